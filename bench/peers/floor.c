// The floor: the least that a usb-host on libusb has to do, to measure servers against. One process, an epoll of its own, a libusb
// context for each device, four URBs posted on an interrupt IN endpoint, and one send for each connection and wake-up.
//
// It speaks what a load generator needs and checks nothing: no control requests, no error recovery, one kind of guest
// (64bits_ids, 32bits_bulk_length, ep_info_max_packet_size). What is bounded elsewhere is not bounded here.
#define _GNU_SOURCE
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 256 };
enum watched { USB, CONNECTION, LISTENER, KINDS };

static int poller;

void fail(const char *what, const char *why) {
  fprintf(stderr, "floor: %s: %s\n", what, why);
  exit(1);
}

static void watch(int descriptor, uint32_t events, int device, enum watched kind) {
  struct epoll_event event = {.events = events, .data.u32 = (uint32_t)(device * KINDS + kind)};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event) < 0) fail("epoll_ctl", strerror(errno));
}

static void watch_usb(struct device *device, int index) {
  const struct libusb_pollfd **list = libusb_get_pollfds(device->context);
  if (!list) fail("libusb_get_pollfds", "no memory");
  // POLLIN and POLLOUT are the same bits for epoll.
  for (int i = 0; list[i]; i++) watch(list[i]->fd, (uint32_t)list[i]->events, index, USB);
  libusb_free_pollfds(list);
}

static void accept_guest(struct device *device, int index) {
  int guest = guest_accept(device->listener);
  if (guest < 0) return;
  if (device->guest >= 0) {
    close(guest);
    return;
  }
  device->guest = guest;
  watch(guest, EPOLLIN, index, CONNECTION);
  guest_greet(device);
}

static void end_guest(struct device *device) {
  close(device->guest);
  device->guest = -1;
  usb_stop_all(device);
  guest_forget(device);
}

/// The kernel's refusal of bytes is rare: only then is writability asked about.
static void flush(struct device *device, int index) {
  bool was_blocked = device->is_blocked;
  guest_flush(device);
  if (device->is_blocked == was_blocked) return;
  struct epoll_event event = {.events = EPOLLIN | (device->is_blocked ? EPOLLOUT : 0),
                              .data.u32 = (uint32_t)(index * KINDS + CONNECTION)};
  epoll_ctl(poller, EPOLL_CTL_MOD, device->guest, &event);
}

static void turn(struct device *devices, struct epoll_event *events) {
  int ready[EVENTS], ready_count = 0;
  int count = epoll_wait(poller, events, EVENTS, -1);
  if (count < 0 && errno != EINTR) fail("epoll_wait", strerror(errno));
  for (int i = 0; i < count; i++) {
    int index = (int)(events[i].data.u32 / KINDS);
    struct device *device = &devices[index];
    switch (events[i].data.u32 % KINDS) {
      case USB: device->is_reapable = true; break;
      case LISTENER: accept_guest(device, index); break;
      default:
        if (device->guest >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT) && !guest_receive(device)) end_guest(device);
    }
    if (!device->is_ready) ready[ready_count++] = index;
    device->is_ready = true;
  }
  for (int i = 0; i < ready_count; i++) {
    struct device *device = &devices[ready[i]];
    if (device->is_reapable) usb_reap(device);
    device->is_reapable = device->is_ready = false;
    if (device->guest >= 0) flush(device, ready[i]);
  }
}

int main(int count, char **arguments) {
  if (count < 3) {
    fprintf(stderr, "usage: floor PORT NODE…      each device on the port behind that of the one before\n");
    return 2;
  }
  int devices_count = count - 2, first_port = atoi(arguments[1]);
  struct device *devices = calloc((size_t)devices_count, sizeof *devices);
  struct epoll_event *events = calloc(EVENTS, sizeof *events);
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (!devices || !events || poller < 0) fail("start", strerror(errno));
  for (int i = 0; i < devices_count; i++) {
    usb_open(&devices[i], arguments[2 + i]);
    guest_prepare(&devices[i]);
    devices[i].listener = guest_listen((uint16_t)(first_port + i));
    watch_usb(&devices[i], i);
    watch(devices[i].listener, EPOLLIN, i, LISTENER);
  }
  for (;;) turn(devices, events);
}
