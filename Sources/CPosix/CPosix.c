#define _GNU_SOURCE
#include "CPosix.h"

#include <sys/prctl.h>
#include <sys/timerfd.h>

static int argumentCount;
static char **argumentVector;

// glibc passes main's arguments to constructors.
__attribute__((constructor)) static void keepArguments(int count, char **vector) {
  argumentCount = count;
  argumentVector = vector;
}

int posixArgumentCount(void) { return argumentCount; }

const char *posixArgument(int index) {
  return index >= 0 && index < argumentCount ? argumentVector[index] : NULL;
}

char **posixArgumentVector(void) { return argumentVector; }

int posixPipe(int descriptors[2], int nonBlocking) {
  return pipe2(descriptors, O_CLOEXEC | (nonBlocking ? O_NONBLOCK : 0));
}

int posixTimer(void) { return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC); }

void posixArmTimer(int descriptor, uint64_t deadline) {
  struct itimerspec when = {.it_value = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000}};
  timerfd_settime(descriptor, TFD_TIMER_ABSTIME, &when, NULL);
}

void posixReadTimer(int descriptor) {
  uint64_t expirations;
  ssize_t ignored = read(descriptor, &expirations, sizeof expirations);
  (void)ignored;
}

int posixIsIgnored(int signal) {
  struct sigaction action;
  return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void posixUnblock(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int posixAccept(int descriptor, struct sockaddr *address, socklen_t *length) {
  return accept4(descriptor, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int posixStreamSocket(int family) { return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

ssize_t posixSend(int descriptor, const struct iovec *pieces, int count) {
  struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = count};
  return sendmsg(descriptor, &message, MSG_NOSIGNAL);
}

int posixPeerHasLeft(int descriptor) {
  struct pollfd state = {.fd = descriptor, .events = POLLRDHUP};
  // A poll that fails knows nothing of the peer.
  return poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void posixNameThread(const char *name) { pthread_setname_np(pthread_self(), name); }

int posixForbidNewPrivileges(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

const char *posixErrorText(int error) {
  static __thread char text[128];
  return strerror_r(error, text, sizeof text);
}
