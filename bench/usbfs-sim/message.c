// SOCK_SEQPACKET sockets in the abstract namespace, so that nothing is left behind. Straight to the kernel: in a program under test
// the libraries' calls are somebody else's.
#define _GNU_SOURCE
#include "message.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t address_of(const char *name, struct sockaddr_un *address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  int length = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "usbfs-sim/%s", name);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static int open_socket(void) { return (int)syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0); }

static int or_close(int result, int connection) {
  if (result == 0) return connection;
  int error = errno;
  syscall(SYS_close, connection);
  errno = error;
  return -1;
}

int message_connect(const char *name) {
  struct sockaddr_un address;
  socklen_t length = address_of(name, &address);
  int connection = open_socket();
  if (connection < 0) return -1;
  return or_close((int)syscall(SYS_connect, connection, &address, length), connection);
}

int message_listen(const char *name) {
  struct sockaddr_un address;
  socklen_t length = address_of(name, &address);
  int listener = open_socket();
  if (listener < 0) return -1;
  int result = (int)syscall(SYS_bind, listener, &address, length);
  if (result == 0) result = (int)syscall(SYS_listen, listener, 512);
  return or_close(result, listener);
}

union attachment {
  char bytes[CMSG_SPACE(sizeof(int))];
  struct cmsghdr header;
};

bool message_send(int connection, const char *text, int descriptor) {
  struct iovec part = {.iov_base = (char *)text, .iov_len = strlen(text) + 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  union attachment attachment = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  if (descriptor >= 0) {
    memcpy(CMSG_DATA(&attachment.header), &descriptor, sizeof descriptor);
    message.msg_control = &attachment;
    message.msg_controllen = sizeof attachment;
  }
  return syscall(SYS_sendmsg, connection, &message, MSG_NOSIGNAL) >= 0;
}

bool message_receive(int connection, char *text, int *descriptor) {
  struct iovec part = {.iov_base = text, .iov_len = MESSAGE_LENGTH - 1};
  union attachment attachment;
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &attachment, .msg_controllen = sizeof attachment};
  long length;
  do length = syscall(SYS_recvmsg, connection, &message, MSG_CMSG_CLOEXEC);
  while (length < 0 && errno == EINTR);
  if (length <= 0) return false;
  text[length] = 0;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  int received = -1;
  if (header && header->cmsg_type == SCM_RIGHTS) memcpy(&received, CMSG_DATA(header), sizeof received);
  if (descriptor) *descriptor = received;
  else if (received >= 0) syscall(SYS_close, received);
  return true;
}
