// Through ioctls alone: a descriptor is ready exactly when a URB waits, reports and URBs keep their order, counters count.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checks.h"
#include "node.h"

static const char first_node[] = "/dev/bus/usb/001/002";

// MARK: readiness

enum waiting { POLL, SELECT, EPOLL, EPOLL_EDGE, WAYS };

struct waiter {
  int descriptor;
  enum waiting way;
  bool has_woken;
};

static int wait_in_epoll(int descriptor, uint32_t flags) {
  struct epoll_event event = {.events = EPOLLOUT | flags};
  int set = epoll_create1(EPOLL_CLOEXEC);
  epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event);
  int count = epoll_wait(set, &event, 1, 5000);
  close(set);
  return count;
}

static int wait_in_select(int descriptor) {
  fd_set set;
  struct timeval time = {5, 0};
  FD_ZERO(&set);
  FD_SET(descriptor, &set);
  return select(descriptor + 1, NULL, &set, NULL, &time);
}

static void *wait_for_it(void *context) {
  struct waiter *waiter = context;
  struct pollfd state = {.fd = waiter->descriptor, .events = POLLOUT};
  switch (waiter->way) {
    case POLL: waiter->has_woken = poll(&state, 1, 5000) == 1; break;
    case SELECT: waiter->has_woken = wait_in_select(waiter->descriptor) == 1; break;
    case EPOLL: waiter->has_woken = wait_in_epoll(waiter->descriptor, 0) == 1; break;
    default: waiter->has_woken = wait_in_epoll(waiter->descriptor, EPOLLET) == 1; break;
  }
  return NULL;
}

/// Whoever sleeps already is woken, however it sleeps.
static void check_waking(struct node *node) {
  for (enum waiting way = POLL; way < WAYS; way++) {
    struct waiter waiter = {node->descriptor, way, false};
    pthread_t thread;
    CHECK(node_submit(node, 0) == 0);
    pthread_create(&thread, NULL, wait_for_it, &waiter);
    usleep(20000);
    engine_told("step 1 0");
    pthread_join(thread, NULL);
    if (!CHECK(waiter.has_woken)) printf("way %d\n", way);
    CHECK(node_reap(node) == 0);
  }
}

void check_readiness(void) {
  struct node node;
  node_open(&node, first_node);
  CHECK(!node_is_ready(&node, 0));
  CHECK(node_submit(&node, 0) == 0 && node_submit(&node, 1) == 0);
  CHECK(!node_is_ready(&node, 0));
  engine_told("step 2 0");
  CHECK(node_is_ready(&node, 0));
  CHECK(node_reap(&node) == 0);
  CHECK(node_is_ready(&node, 0));
  CHECK(node_reap(&node) == 1);
  CHECK(!node_is_ready(&node, 0));
  CHECK(node_reap(&node) == -EAGAIN);
  CHECK(!node_is_ready(&node, 0));
  check_waking(&node);
  node_close(&node);
}

// MARK: the queue

/// Reports wait in the device, in order and with their time, until a URB comes; beyond its buffer they are lost.
static void check_buffer(struct node *node) {
  uint64_t lost = counter("lost"), delivered = counter("delivered"), produced = counter("produced");
  engine_told("buffer 2 0");
  node_submit(node, 0);
  engine_told("step 4 0");
  CHECK(node_reap(node) == 0);
  int sequence = node_sequence(node, 0);
  CHECK(counter("lost") - lost == 1 && counter("pending") == 2 && counter("produced") - produced == 4);
  node_submit(node, 1);
  node_submit(node, 2);
  CHECK(node_is_ready(node, 0));
  CHECK(node_reap(node) == 1 && node_sequence(node, 1) == sequence + 1);
  CHECK(node_reap(node) == 2 && node_sequence(node, 2) == sequence + 2);
  node_submit(node, 0);
  engine_told("step 1 0");
  CHECK(node_reap(node) == 0 && node_sequence(node, 0) == sequence + 4);
  CHECK(counter("delivered") - delivered == 4);
  engine_told("buffer 65536 0");
}

static void check_discard(struct node *node) {
  uint64_t discards = counter("discards");
  for (int i = 0; i < 3; i++) node_submit(node, i);
  CHECK(node_discard(node, 1) == 0);
  CHECK(node_discard(node, 1) == EINVAL);
  CHECK(node_is_ready(node, 0));
  CHECK(node_reap(node) == 1 && node->urbs[1].status == -ENOENT);
  engine_told("step 1 0");
  CHECK(node_reap(node) == 0 && node->urbs[0].status == 0 && node->urbs[0].actual_length == 16);
  CHECK(node_discard(node, 2) == 0 && node_reap(node) == 2);
  CHECK(!node_is_ready(node, 0));
  CHECK(counter("discards") - discards == 2 && counter("posted") == 0);
}

void check_queue(void) {
  struct node node;
  node_open(&node, first_node);
  check_buffer(&node);
  check_discard(&node);
  uint64_t submits = counter("submits"), reaps = counter("reaps"), empty = counter("empty_reaps"), ioctls = counter("ioctls");
  node_submit(&node, 0);
  engine_told("step 1 0");
  node_reap(&node);
  node_reap(&node);
  CHECK(counter("submits") - submits == 1 && counter("reaps") - reaps == 1);
  CHECK(counter("empty_reaps") - empty == 1 && counter("ioctls") - ioctls == 3);
  node_close(&node);
}

// MARK: windows

void check_windows(void) {
  struct node node;
  node_open(&node, first_node);
  uint64_t windows = counter("windows"), duration = counter("window_ns"), unposted = counter("unposted_reports");
  node_submit(&node, 0);
  engine_told("step 1 0");
  usleep(10000);
  node_reap(&node);
  node_submit(&node, 0);
  node_submit(&node, 1);
  CHECK(counter("windows") - windows == 1);
  CHECK(counter("window_ns") - duration >= 10000000);
  engine_told("step 1 0");
  node_reap(&node);
  node_submit(&node, 0);
  CHECK(counter("windows") - windows == 1 && counter("unposted_reports") == unposted);
  engine_told("step 3 0");
  CHECK(counter("unposted_reports") - unposted == 1);
  node_close(&node);
}

// MARK: interfaces and files

void check_interfaces(void) {
  struct node node, other = {0};
  unsigned number = 0, wrong = 9;
  node_open(&node, first_node);
  struct usbdevfs_getdriver driver = {.interface = 0};
  CHECK(ioctl(node.descriptor, USBDEVFS_GETDRIVER, &driver) == 0);
  CHECK(ioctl(node.descriptor, USBDEVFS_CLAIMINTERFACE, &wrong) == -1 && errno == ENOENT);
  driver.interface = 1;
  CHECK(ioctl(node.descriptor, USBDEVFS_GETDRIVER, &driver) == 0);
  number = 1;
  CHECK(ioctl(node.descriptor, USBDEVFS_CLAIMINTERFACE, &number) == -1 && errno == EBUSY);
  other.urbs[0] = (struct usbdevfs_urb){.type = USBDEVFS_URB_TYPE_BULK, .endpoint = 0x85};
  CHECK(ioctl(node.descriptor, USBDEVFS_SUBMITURB, &other.urbs[0]) == -1 && errno == ENOENT);
  node_close(&node);
}

static bool becomes_posted(uint64_t count) {
  for (int i = 0; i < 3000 && counter("posted") != count; i++) usleep(10000);
  return counter("posted") == count;
}

/// What a program has that is killed becomes free.
void check_killed_program(void) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    execl("/proc/self/exe", "check", "hold", (char *)NULL);
    _exit(1);
  }
  CHECK(becomes_posted(1));
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  CHECK(becomes_posted(0));
  check_interfaces();
}

/// The program that is to be killed.
void hold_device(void) {
  struct node node;
  node_open(&node, first_node);
  node_submit(&node, 0);
  for (;;) pause();
}

// MARK: unplugged

void check_unplug(void) {
  struct node node;
  node_open(&node, first_node);
  for (int i = 0; i < 3; i++) node_submit(&node, i);
  CHECK(engine_told("unplug 0")[0] == 'o');
  struct pollfd state = {.fd = node.descriptor, .events = POLLOUT};
  CHECK(poll(&state, 1, 0) == 1 && state.revents & POLLERR);
  CHECK(node_submit(&node, 3) == ENODEV);
  for (int i = 2; i >= 0; i--) CHECK(node_reap(&node) == i && node.urbs[i].status == -ESHUTDOWN);
  CHECK(node_reap(&node) == -ENODEV);
  CHECK(poll(&state, 1, 0) == 1 && state.revents & POLLERR);
  engine_told("plug 0");
  CHECK(node_reap(&node) == -ENODEV);
  node_close(&node);
}
