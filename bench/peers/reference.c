// The reference: Debian's libusbredirhost in a plain poll loop, one device and one guest at a time, one process. It is what Debian's
// usbredirect would be if it did not spin while a guest is connected.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libusb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <usbredirhost.h>

enum { DESCRIPTORS = 16, WARNINGS = 2 };

static void fail(const char *what, const char *why) {
  fprintf(stderr, "reference: %s: %s\n", what, why);
  exit(1);
}

static void check(int result, const char *what) {
  if (result < 0) fail(what, libusb_strerror(result));
}

// MARK: what libusbredirhost calls

struct connection {
  int descriptor;
  bool is_over;
};

static void write_log(void *unused, int level, const char *text) {
  (void)unused;
  if (level <= WARNINGS) fprintf(stderr, "reference: %s\n", text);
}

/// As it wants it: 0 for later, -1 for the end.
static int result_of(struct connection *connection, ssize_t moved, bool is_end) {
  if (moved < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (moved < 0 || is_end) {
    connection->is_over = true;
    return -1;
  }
  return (int)moved;
}

static int read_guest(void *context, uint8_t *data, int count) {
  struct connection *connection = context;
  ssize_t moved = read(connection->descriptor, data, (size_t)count);
  return result_of(connection, moved, moved == 0);
}

static int write_guest(void *context, uint8_t *data, int count) {
  struct connection *connection = context;
  return result_of(connection, send(connection->descriptor, data, (size_t)count, MSG_NOSIGNAL), false);
}

// MARK: the loop

static nfds_t descriptors(libusb_context *usb, struct pollfd *list) {
  const struct libusb_pollfd **watched = libusb_get_pollfds(usb);
  nfds_t count = 0;
  for (int i = 0; watched && watched[i] && count < DESCRIPTORS - 1; i++)
    list[count++] = (struct pollfd){.fd = watched[i]->fd, .events = watched[i]->events};
  libusb_free_pollfds(watched);
  return count;
}

static bool turn(libusb_context *usb, struct usbredirhost *host, struct pollfd *list, nfds_t usb_count) {
  struct pollfd *guest = &list[usb_count];
  guest->events = (short)(POLLIN | (usbredirhost_has_data_to_write(host) ? POLLOUT : 0));
  if (poll(list, usb_count + 1, -1) < 0 && errno != EINTR) fail("poll", strerror(errno));
  if (guest->revents & (POLLIN | POLLHUP | POLLERR) && usbredirhost_read_guest_data(host) < 0) return false;
  bool is_usb_ready = false;
  for (nfds_t i = 0; i < usb_count; i++) is_usb_ready |= list[i].revents != 0;
  struct timeval zero = {0, 0};
  if (is_usb_ready) check(libusb_handle_events_timeout_completed(usb, &zero, NULL), "libusb_handle_events");
  // Not only when poll has said that it would do: the packet of a report that has just come need not wait for another turn.
  return !usbredirhost_has_data_to_write(host) || usbredirhost_write_guest_data(host) == 0;
}

static void serve(libusb_context *usb, const char *node, int descriptor) {
  struct connection connection = {.descriptor = descriptor};
  libusb_device_handle *handle;
  int device = open(node, O_RDWR | O_CLOEXEC);
  if (device < 0) fail(node, strerror(errno));
  check(libusb_wrap_sys_device(usb, device, &handle), node);
  struct usbredirhost *host =
      usbredirhost_open(usb, handle, write_log, read_guest, write_guest, &connection, "reference", WARNINGS, 0);
  if (!host) fail(node, "libusbredirhost refuses it");
  struct pollfd list[DESCRIPTORS];
  nfds_t usb_count = descriptors(usb, list);
  list[usb_count].fd = descriptor;
  while (turn(usb, host, list, usb_count) && !connection.is_over) {}
  usbredirhost_close(host);
  close(device);
}

static int listen_on(uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
      bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0)
    fail("listen", strerror(errno));
  return listener;
}

int main(int count, char **arguments) {
  int no_delay = count > 1 && strcmp(arguments[1], "--no-delay") == 0;
  if (count != 3 + no_delay) {
    fprintf(stderr, "usage: reference [--no-delay] PORT NODE      --no-delay: TCP_NODELAY, which no tool of Debian's sets\n");
    return 2;
  }
  libusb_context *usb;
  check(libusb_set_option(NULL, LIBUSB_OPTION_NO_DEVICE_DISCOVERY), "libusb_set_option");
  check(libusb_init(&usb), "libusb_init");
  int listener = listen_on((uint16_t)atoi(arguments[count - 2]));
  for (;;) {
    int guest = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (guest < 0) fail("accept", strerror(errno));
    if (no_delay) setsockopt(guest, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay);
    serve(usb, arguments[count - 1], guest);
    close(guest);
  }
}
