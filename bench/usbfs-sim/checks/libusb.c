// Through libusb: a plain program under poll, select and epoll gets every report in order; hot-plugging is heard of.
#define _GNU_SOURCE
#include <libusb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "checks.h"

enum { TRANSFERS = 4, REPORTS = 300 };

// MARK: reports

struct receiver {
  libusb_context *context;
  libusb_device_handle *handle;
  struct libusb_transfer *transfers[TRANSFERS];
  unsigned char data[TRANSFERS][64];
  int reports, gaps, ended;
  unsigned next;
  uint64_t last_ready;
  bool is_stopping;
};

static void take(struct receiver *receiver, const unsigned char *data, int length) {
  uint64_t stamp;
  CHECK(length == 16);
  memcpy(&stamp, data, 8);
  unsigned sequence = stamp & 0xffff;
  if (receiver->reports++ > 0 && (sequence != receiver->next || stamp >> 16 < receiver->last_ready)) receiver->gaps++;
  receiver->next = (sequence + 1) & 0xffff;
  receiver->last_ready = stamp >> 16;
}

static void LIBUSB_CALL completed(struct libusb_transfer *transfer) {
  struct receiver *receiver = transfer->user_data;
  if (transfer->status == LIBUSB_TRANSFER_COMPLETED) take(receiver, transfer->buffer, transfer->actual_length);
  if (!receiver->is_stopping && libusb_submit_transfer(transfer) == 0) return;
  receiver->ended++;
}

/// The second device: libusb lists them in no order.
static libusb_device_handle *open_second(libusb_device **list) {
  libusb_device_handle *handle = NULL;
  for (; *list; list++) {
    if (libusb_get_device_address(*list) == 3) CHECK(libusb_open(*list, &handle) == 0);
  }
  return handle;
}

static void start(struct receiver *receiver) {
  memset(receiver, 0, sizeof *receiver);
  libusb_device **list;
  CHECK(libusb_init(&receiver->context) == 0);
  CHECK(libusb_get_device_list(receiver->context, &list) == 2);
  CHECK((receiver->handle = open_second(list)));
  libusb_free_device_list(list, 1);
  libusb_set_auto_detach_kernel_driver(receiver->handle, 1);
  CHECK(libusb_claim_interface(receiver->handle, 0) == 0 && libusb_claim_interface(receiver->handle, 1) == 0);
  for (int i = 0; i < TRANSFERS; i++) {
    receiver->transfers[i] = libusb_alloc_transfer(0);
    libusb_fill_interrupt_transfer(receiver->transfers[i], receiver->handle, 0x81, receiver->data[i], 64, completed, receiver, 0);
    CHECK(libusb_submit_transfer(receiver->transfers[i]) == 0);
  }
}

static void stop(struct receiver *receiver) {
  struct timeval none = {0, 100000};
  receiver->is_stopping = true;
  for (int i = 0; i < TRANSFERS; i++) libusb_cancel_transfer(receiver->transfers[i]);
  while (receiver->ended < TRANSFERS) libusb_handle_events_timeout_completed(receiver->context, &none, NULL);
  for (int i = 0; i < TRANSFERS; i++) libusb_free_transfer(receiver->transfers[i]);
  libusb_close(receiver->handle);
  libusb_exit(receiver->context);
}

// MARK: three loops

static void wait_in_poll(const struct libusb_pollfd **list) {
  struct pollfd states[8];
  nfds_t count = 0;
  for (; list[count]; count++) states[count] = (struct pollfd){list[count]->fd, list[count]->events, 0};
  poll(states, count, 1000);
}

static void wait_in_select(const struct libusb_pollfd **list) {
  fd_set in, out;
  int most = 0;
  struct timeval time = {1, 0};
  FD_ZERO(&in);
  FD_ZERO(&out);
  for (; *list; list++) {
    FD_SET((*list)->fd, (*list)->events & POLLIN ? &in : &out);
    if ((*list)->fd > most) most = (*list)->fd;
  }
  select(most + 1, &in, &out, NULL, &time);
}

static void wait_in_epoll(const struct libusb_pollfd **list) {
  static int set = -1;
  struct epoll_event event;
  close(set);
  set = epoll_create1(EPOLL_CLOEXEC);
  for (; *list; list++) {
    event.events = (*list)->events & POLLIN ? EPOLLIN : EPOLLOUT;
    epoll_ctl(set, EPOLL_CTL_ADD, (*list)->fd, &event);
  }
  epoll_wait(set, &event, 1, 1000);
}

static void check_loop(const char *name, void (*wait)(const struct libusb_pollfd **)) {
  struct receiver receiver;
  struct timeval none = {0, 0};
  uint64_t delivered = counter("delivered"), produced = counter("produced"), forgotten = counter("forgotten");
  start(&receiver);
  int turns = 0;
  time_t deadline = time(NULL) + 30;
  for (; receiver.reports < REPORTS && time(NULL) < deadline; turns++) {
    const struct libusb_pollfd **list = libusb_get_pollfds(receiver.context);
    wait(list);
    libusb_free_pollfds(list);
    libusb_handle_events_timeout_completed(receiver.context, &none, NULL);
  }
  // A loop that is woken when there is nothing, or without end, has turned far more often than there were reports.
  CHECK(turns <= 2 * REPORTS);
  stop(&receiver);
  if (!CHECK(receiver.reports >= REPORTS && receiver.gaps == 0)) printf("%s: %d reports\n", name, receiver.reports);
  CHECK(counter("delivered") - delivered == (uint64_t)receiver.reports);
  // A program that was kept from running at the end leaves reports behind that nobody asks for any more.
  CHECK(counter("produced") - produced == counter("delivered") - delivered + counter("forgotten") - forgotten);
}

static void check_transfers(void) {
  struct receiver receiver;
  static unsigned char data[65536];
  int length;
  start(&receiver);
  uint64_t in = counter("bulk_in_bytes"), out = counter("bulk_out_bytes"), interrupt_out = counter("interrupt_out");
  CHECK(libusb_bulk_transfer(receiver.handle, 0x82, data, sizeof data, &length, 15000) == 0 && length == sizeof data);
  CHECK(libusb_bulk_transfer(receiver.handle, 0x02, data, 1000, &length, 15000) == 0 && length == 1000);
  CHECK(libusb_interrupt_transfer(receiver.handle, 0x01, data, 8, &length, 15000) == 0 && length == 8);
  CHECK(libusb_get_string_descriptor_ascii(receiver.handle, 3, data, sizeof data) > 0);
  CHECK(libusb_get_string_descriptor_ascii(receiver.handle, 9, data, sizeof data) == LIBUSB_ERROR_PIPE);
  CHECK(counter("bulk_in_bytes") - in == sizeof data && counter("bulk_out_bytes") - out == 1000);
  CHECK(counter("interrupt_out") - interrupt_out == 1);
  stop(&receiver);
}

void check_loops(void) {
  engine_told("rate 1000 1");
  check_loop("poll", wait_in_poll);
  check_loop("select", wait_in_select);
  check_loop("epoll", wait_in_epoll);
  check_transfers();
  engine_told("rate flood 1");
  check_loop("poll, flood", wait_in_poll);
  engine_told("rate 0 1");
}

// MARK: hot-plugging

static int left, arrived;

static int LIBUSB_CALL changed(libusb_context *context, libusb_device *device, libusb_hotplug_event event, void *user) {
  (void)context, (void)device, (void)user;
  ++*(event == LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT ? &left : &arrived);
  return 0;
}

static void wait_until(struct receiver *receiver, const int *count, int least) {
  struct timeval time = {0, 100000};
  for (int i = 0; i < 300 && *count < least; i++) libusb_handle_events_timeout_completed(receiver->context, &time, NULL);
  if (!CHECK(*count >= least)) printf("%d of %d\n", *count, least);
}

void check_hotplug(void) {
  struct receiver receiver;
  libusb_hotplug_callback_handle handle;
  start(&receiver);
  libusb_hotplug_register_callback(receiver.context, LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT | LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED, 0,
                                   LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY, LIBUSB_HOTPLUG_MATCH_ANY, changed, NULL, &handle);
  engine_told("unplug 0-1");
  wait_until(&receiver, &left, 2);
  wait_until(&receiver, &receiver.ended, TRANSFERS);
  CHECK(receiver.transfers[0]->status == LIBUSB_TRANSFER_NO_DEVICE);
  engine_told("plug 0-1");
  wait_until(&receiver, &arrived, 2);
  libusb_device **list;
  CHECK(libusb_get_device_list(receiver.context, &list) == 2);
  libusb_free_device_list(list, 1);
  stop(&receiver);
}
