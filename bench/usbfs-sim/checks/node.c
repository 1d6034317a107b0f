#define _GNU_SOURCE
#include "node.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <unistd.h>

#include "checks.h"

static int call(const struct node *node, unsigned long request, void *argument) {
  return ioctl(node->descriptor, request, argument) < 0 ? errno : 0;
}

void node_open(struct node *node, const char *path) {
  memset(node, 0, sizeof *node);
  struct usbdevfs_disconnect_claim claim = {.interface = 0};
  node->descriptor = open(path, O_RDWR | O_CLOEXEC);
  CHECK(node->descriptor >= 0);
  CHECK(call(node, USBDEVFS_DISCONNECT_CLAIM, &claim) == 0);
}

void node_close(struct node *node) { close(node->descriptor); }

int node_submit(struct node *node, int index) {
  node->urbs[index] = (struct usbdevfs_urb){.type = USBDEVFS_URB_TYPE_INTERRUPT, .endpoint = 0x81,
                                            .buffer = node->data[index], .buffer_length = sizeof node->data[index]};
  return call(node, USBDEVFS_SUBMITURB, &node->urbs[index]);
}

int node_discard(struct node *node, int index) { return call(node, USBDEVFS_DISCARDURB, &node->urbs[index]); }

int node_reap(struct node *node) {
  struct usbdevfs_urb *urb = NULL;
  int error = call(node, USBDEVFS_REAPURBNDELAY, &urb);
  return error ? -error : (int)(urb - node->urbs);
}

int node_sequence(const struct node *node, int index) { return node->data[index][0] | node->data[index][1] << 8; }

// MARK: readiness

static bool poll_says(int descriptor, int milliseconds) {
  struct pollfd state = {.fd = descriptor, .events = POLLOUT};
  return poll(&state, 1, milliseconds) == 1 && state.revents & POLLOUT;
}

static bool select_says(int descriptor, int milliseconds) {
  fd_set set;
  struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};
  FD_ZERO(&set);
  FD_SET(descriptor, &set);
  return select(descriptor + 1, NULL, &set, NULL, &time) == 1;
}

static bool epoll_says(int descriptor, int milliseconds, uint32_t flags) {
  struct epoll_event event = {.events = EPOLLOUT | flags};
  int set = epoll_create1(EPOLL_CLOEXEC);
  epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event);
  bool is_ready = epoll_wait(set, &event, 1, milliseconds) == 1;
  close(set);
  return is_ready;
}

bool node_is_ready(const struct node *node, int milliseconds) {
  bool is_ready = poll_says(node->descriptor, milliseconds);
  CHECK(select_says(node->descriptor, milliseconds) == is_ready);
  CHECK(epoll_says(node->descriptor, milliseconds, 0) == is_ready);
  CHECK(epoll_says(node->descriptor, milliseconds, EPOLLET) == is_ready);
  return is_ready;
}
