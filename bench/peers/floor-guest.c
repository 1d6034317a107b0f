// The floor's guest side: packets out of one receive buffer, and what goes back gathered for one send.
#define _GNU_SOURCE
#include "floor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HELLO_HEADER = 12, MAX_PACKET_SIZES_END = offsetof(struct usb_redir_ep_info_header, max_streams) };

// MARK: connections

int guest_listen(uint16_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
      bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0)
    fail("listen", strerror(errno));
  return listener;
}

int guest_accept(int listener) {
  int one = 1, guest = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (guest >= 0) setsockopt(guest, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return guest;
}

void guest_prepare(struct device *device) {
  device->guest = -1;
  device->received = malloc(RECEIVE);
  device->small_capacity = 4096;
  device->small = malloc(device->small_capacity);
  device->pieces_capacity = 64;
  device->pieces = calloc(device->pieces_capacity, sizeof *device->pieces);
  if (!device->received || !device->small || !device->pieces) fail("guest", "no memory");
}

// MARK: sending

static struct piece *add_piece(struct device *device) {
  if (device->pieces_count == device->pieces_capacity) {
    device->pieces_capacity *= 2;
    device->pieces = realloc(device->pieces, device->pieces_capacity * sizeof *device->pieces);
    if (!device->pieces) fail("pieces", "no memory");
  }
  return &device->pieces[device->pieces_count++];
}

/// Room at the end of the small packets; a piece with the small ones before it where that is possible.
static uint8_t *add_small(struct device *device, size_t length) {
  if (device->small_length + length > device->small_capacity) {
    device->small_capacity = 2 * (device->small_capacity + length);
    device->small = realloc(device->small, device->small_capacity);
    if (!device->small) fail("packets", "no memory");
  }
  struct piece *last = device->pieces_count ? &device->pieces[device->pieces_count - 1] : NULL;
  if (last && !last->request) last->length += length;
  else *add_piece(device) = (struct piece){NULL, device->small_length, length};
  device->small_length += length;
  return device->small + device->small_length - length;
}

void guest_send(struct device *device, uint32_t type, uint64_t id, const void *header, size_t header_length,
                const void *data, size_t length) {
  struct usb_redir_header start = {type, (uint32_t)(header_length + length), id};
  uint8_t *packet = add_small(device, sizeof start + header_length + length);
  memcpy(packet, &start, sizeof start);
  memcpy(packet + sizeof start, header, header_length);
  if (length) memcpy(packet + sizeof start + header_length, data, length);
}

void guest_send_request(struct device *device, uint32_t type, struct request *request, const void *header,
                        size_t header_length, size_t length) {
  if (device->guest < 0) {
    usb_free_request(device, request);
    return;
  }
  struct usb_redir_header start = {type, (uint32_t)(header_length + length), request->id};
  size_t first = HEADROOM - header_length - sizeof start;
  memcpy(request->memory + first, &start, sizeof start);
  memcpy(request->memory + first + sizeof start, header, header_length);
  *add_piece(device) = (struct piece){request, first, HEADROOM - first + length};
}

/// Drops what was sent; requests are free again.
static void take_sent(struct device *device, size_t sent) {
  while (device->pieces_first < device->pieces_count) {
    struct piece *piece = &device->pieces[device->pieces_first];
    if (sent < piece->length) {
      piece->start += sent;
      piece->length -= sent;
      return;
    }
    sent -= piece->length;
    if (piece->request) usb_free_request(device, piece->request);
    device->pieces_first++;
  }
  device->pieces_first = device->pieces_count = device->small_length = 0;
}

void guest_flush(struct device *device) {
  while (device->pieces_count > 0) {
    struct iovec parts[PIECES];
    size_t count = 0;
    for (size_t i = device->pieces_first; i < device->pieces_count && count < PIECES; i++) {
      const struct piece *piece = &device->pieces[i];
      uint8_t *memory = piece->request ? piece->request->memory : device->small;
      parts[count++] = (struct iovec){memory + piece->start, piece->length};
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent = sendmsg(device->guest, &message, MSG_NOSIGNAL);
    // A connection that is over says so when it is read.
    device->is_blocked = sent < 0 && errno == EAGAIN;
    if (sent < 0) return;
    take_sent(device, (size_t)sent);
  }
  device->is_blocked = false;
}

void guest_forget(struct device *device) {
  take_sent(device, SIZE_MAX);
  if (device->filling) usb_free_request(device, device->filling);
  device->filling = NULL;
  device->received_length = device->missing = 0;
  device->has_greeted = device->is_blocked = false;
}

// MARK: the beginning

void guest_greet(struct device *device) {
  struct {
    uint32_t type, length, id;
    char version[64];
    uint32_t capabilities;
  } hello = {usb_redir_hello, 68, 0, "floor",
             1u << usb_redir_cap_connect_device_version | 1u << usb_redir_cap_ep_info_max_packet_size |
                 1u << usb_redir_cap_64bits_ids | 1u << usb_redir_cap_32bits_bulk_length};
  memcpy(add_small(device, sizeof hello), &hello, sizeof hello);
}

static uint8_t speed_of(int speed) {
  return speed == LIBUSB_SPEED_HIGH ? usb_redir_speed_high : speed == LIBUSB_SPEED_FULL ? usb_redir_speed_full : usb_redir_speed_low;
}

static void announce(struct device *device) {
  struct usb_redir_interface_info_header interfaces = {0};
  struct usb_redir_ep_info_header endpoints = {0};
  struct libusb_device_descriptor descriptor;
  libusb_device *usb = libusb_get_device(device->handle);
  libusb_get_device_descriptor(usb, &descriptor);
  usb_endpoints(device, &endpoints, &interfaces);
  struct usb_redir_device_connect_header connect = {
      speed_of(libusb_get_device_speed(usb)), descriptor.bDeviceClass, descriptor.bDeviceSubClass,
      descriptor.bDeviceProtocol, descriptor.idVendor, descriptor.idProduct, descriptor.bcdDevice};
  guest_send(device, usb_redir_interface_info, 0, &interfaces, sizeof interfaces, NULL, 0);
  guest_send(device, usb_redir_ep_info, 0, &endpoints, MAX_PACKET_SIZES_END, NULL, 0);
  guest_send(device, usb_redir_device_connect, 0, &connect, sizeof connect, NULL, 0);
}

// MARK: receiving

/// Submits a request whose data is there, or leaves it to be filled. What of the packet has been received is taken.
static void begin(struct device *device, struct request *request, const uint8_t *data, size_t length, size_t there) {
  memcpy(request->memory + HEADROOM, data, there);
  if (there == length) {
    usb_submit(request);
  } else {
    device->filling = request;
    device->missing = length - there;
  }
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/// The packet's length, as far as it has been received; 0 when even its header has not.
static size_t take_bulk(struct device *device, uint64_t id, const uint8_t *body, size_t left) {
  struct usb_redir_bulk_packet_header header;
  if (left < sizeof header) return 0;
  memcpy(&header, body, sizeof header);
  size_t length = (size_t)header.length_high << 16 | header.length;
  struct request *request = usb_request(device, LIBUSB_TRANSFER_TYPE_BULK, header.endpoint, id, length);
  if (header.endpoint & 0x80) {
    usb_submit(request);
    return sizeof header;
  }
  size_t there = smaller(length, left - sizeof header);
  begin(device, request, body + sizeof header, length, there);
  return sizeof header + there;
}

static void take_interrupt(struct device *device, uint64_t id, const uint8_t *body) {
  struct usb_redir_interrupt_packet_header header;
  memcpy(&header, body, sizeof header);
  struct request *request = usb_request(device, LIBUSB_TRANSFER_TYPE_INTERRUPT, header.endpoint, id, header.length);
  begin(device, request, body + sizeof header, header.length, header.length);
}

static void take(struct device *device, const struct usb_redir_header *header, const uint8_t *body) {
  switch (header->type) {
    case usb_redir_interrupt_packet: take_interrupt(device, header->id, body); break;
    case usb_redir_start_interrupt_receiving: usb_start(device, body[0]); break;
    case usb_redir_stop_interrupt_receiving: usb_stop(device, body[0]); break;
    default: break;  // Nothing that the load generator waits for.
  }
}

/// Takes one packet at the beginning of what was received; its length, or 0 when not all of it is there.
static size_t take_next(struct device *device, const uint8_t *bytes, size_t left) {
  struct usb_redir_header header = {0};
  size_t size = device->has_greeted ? sizeof header : HELLO_HEADER;
  if (left < size) return 0;
  memcpy(&header, bytes, size);
  if (device->has_greeted && header.type == usb_redir_bulk_packet) {
    size_t taken = take_bulk(device, header.id, bytes + size, left - size);
    return taken ? size + taken : 0;
  }
  if (left < size + header.length) return 0;
  if (device->has_greeted) take(device, &header, bytes + size);
  else announce(device);
  device->has_greeted = true;
  return size + header.length;
}

/// The data that a request misses comes first; false when it is still not complete.
static bool fill(struct device *device, size_t *count) {
  size_t part = smaller(*count, device->missing);
  device->missing -= part;
  *count -= part;
  if (device->missing > 0) return false;
  if (device->filling) usb_submit(device->filling);
  device->filling = NULL;
  return true;
}

bool guest_receive(struct device *device) {
  struct request *filling = device->filling;
  uint8_t *end = filling ? filling->memory + HEADROOM + filling->transfer->length - device->missing : NULL;
  struct iovec parts[] = {{end, device->missing},
                          {device->received + device->received_length, RECEIVE - device->received_length}};
  ssize_t received = filling ? readv(device->guest, parts, 2) : recv(device->guest, parts[1].iov_base, parts[1].iov_len, 0);
  if (received <= 0) return received < 0 && errno == EAGAIN;
  size_t count = (size_t)received, position = 0, taken;
  if (!fill(device, &count)) return true;
  device->received_length += count;
  while (!device->filling && (taken = take_next(device, device->received + position, device->received_length - position)))
    position += taken;
  device->received_length -= position;
  if (position) memmove(device->received, device->received + position, device->received_length);
  return position > 0 || device->received_length < RECEIVE;
}
