#define _GNU_SOURCE
#include "SimulatedSocket.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { maxPieces = 64 };

static __thread SimulatedSocketDecision decide;
static __thread void *decisionContext;

void simulateSockets(SimulatedSocketDecision decision, void *context) {
  decide = decision;
  decisionContext = context;
}

ssize_t recv(int descriptor, void *memory, size_t count, int flags) {
  if (decide != NULL) {
    ssize_t allowed = decide(decisionContext, descriptor, simulatedReceive, count);
    if (allowed < 0) {
      errno = -allowed;
      return -1;
    }
    if ((size_t)allowed < count) count = allowed;
  }
  return syscall(SYS_recvfrom, descriptor, memory, count, flags, NULL, NULL);
}

/// The first `count` bytes of what `message` points at.
static ssize_t sendStart(int descriptor, const struct msghdr *message, int flags, size_t count) {
  struct iovec pieces[maxPieces];
  struct msghdr start = *message;
  size_t used = 0;
  while (count > 0 && used < message->msg_iovlen && used < maxPieces) {
    pieces[used] = message->msg_iov[used];
    if (pieces[used].iov_len > count) pieces[used].iov_len = count;
    count -= pieces[used].iov_len;
    used++;
  }
  start.msg_iov = pieces;
  start.msg_iovlen = used;
  return syscall(SYS_sendmsg, descriptor, &start, flags);
}

ssize_t sendmsg(int descriptor, const struct msghdr *message, int flags) {
  if (decide == NULL) return syscall(SYS_sendmsg, descriptor, message, flags);
  size_t count = 0;
  for (size_t index = 0; index < message->msg_iovlen; index++) count += message->msg_iov[index].iov_len;
  ssize_t allowed = decide(decisionContext, descriptor, simulatedSend, count);
  if (allowed < 0) {
    errno = -allowed;
    return -1;
  }
  return sendStart(descriptor, message, flags, allowed);
}

int accept4(int descriptor, struct sockaddr *restrict address, socklen_t *restrict length, int flags) {
  int accepted = syscall(SYS_accept4, descriptor, address, length, flags);
  if (accepted >= 0 && decide != NULL) decide(decisionContext, accepted, simulatedAccept, 0);
  return accepted;
}
