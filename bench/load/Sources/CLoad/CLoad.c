#define _GNU_SOURCE
#include "CLoad.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { maxEvents = 256 };

int loadResolve(const char *host, const char *port, struct loadAddress *address) {
  struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
  int error = getaddrinfo(host, port, &hints, &found);
  if (error) return error;
  memcpy(&address->storage, found->ai_addr, found->ai_addrlen);
  address->length = found->ai_addrlen;
  freeaddrinfo(found);
  return 0;
}

int loadUnixAddress(const char *path, struct loadAddress *address) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof un.sun_path) return -1;
  strcpy(un.sun_path, path);
  memcpy(&address->storage, &un, sizeof un);
  address->length = sizeof un;
  return 0;
}

const char *loadResolveText(int error) { return gai_strerror(error); }

int loadConnect(const struct loadAddress *address) {
  int descriptor = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  loadNoDelay(descriptor);
  if (connect(descriptor, (const struct sockaddr *)&address->storage, address->length) == 0 || errno == EINPROGRESS)
    return descriptor;
  int error = errno;
  close(descriptor);
  errno = error;
  return -1;
}

int loadConnectResult(int descriptor) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

void loadResetOnClose(int descriptor) {
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

int loadListen(uint16_t *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0 || listen(descriptor, 128) < 0 ||
      getsockname(descriptor, (struct sockaddr *)&address, &size) < 0) {
    close(descriptor);
    return -1;
  }
  *port = ntohs(address.sin_port);
  return descriptor;
}

int loadListenUnix(const char *path) {
  struct loadAddress address;
  if (loadUnixAddress(path, &address) < 0) return -1;
  int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  if (bind(descriptor, (struct sockaddr *)&address.storage, address.length) < 0 || listen(descriptor, 128) < 0) {
    close(descriptor);
    return -1;
  }
  return descriptor;
}

int loadSetReceiveBuffer(int descriptor, int bytes) {
  return setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

void loadNoDelay(int descriptor) {
  int one = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

int loadPoller(void) { return epoll_create1(EPOLL_CLOEXEC); }

int loadWatch(int poller, int descriptor, uint32_t token, int reads, int writes, int isNew) {
  struct epoll_event event = {.events = (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0), .data.u32 = token};
  return epoll_ctl(poller, isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event);
}

void loadUnwatch(int poller, int descriptor) { epoll_ctl(poller, EPOLL_CTL_DEL, descriptor, NULL); }

int loadWait(int poller, struct loadEvent *events, int capacity, int64_t nanoseconds) {
  struct epoll_event ready[maxEvents];
  struct timespec time = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
  if (capacity > maxEvents) capacity = maxEvents;
  int count = epoll_pwait2(poller, ready, capacity, nanoseconds < 0 ? NULL : &time, NULL);
  if (count < 0) return errno == EINTR ? 0 : -1;
  for (int i = 0; i < count; i++) {
    // An error shows in whatever is tried next.
    uint32_t isBroken = ready[i].events & (EPOLLERR | EPOLLHUP);
    events[i].token = ready[i].data.u32;
    events[i].isReadable = (ready[i].events & EPOLLIN) || isBroken;
    events[i].isWritable = (ready[i].events & EPOLLOUT) || isBroken;
  }
  return count;
}

uint64_t loadClock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct loadUsage loadThreadUsage(void) {
  struct rusage usage;
  struct timespec cpu;
  getrusage(RUSAGE_THREAD, &usage);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  return (struct loadUsage){.cpuNanoseconds = (uint64_t)cpu.tv_sec * 1000000000 + cpu.tv_nsec,
                            .voluntarySwitches = usage.ru_nvcsw,
                            .involuntarySwitches = usage.ru_nivcsw};
}

int loadErrno(void) { return errno; }

const char *loadErrorText(int error) {
  static __thread char text[128];
  return strerror_r(error, text, sizeof text);
}
