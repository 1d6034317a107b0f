// What the parts of the floor share: a device, its guest, and what goes between them.
#ifndef FLOOR_H
#define FLOOR_H

#include <libusb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <usbredirproto.h>

enum {
  DEPTH = 4,         // URBs posted on the interrupt IN endpoint.
  HEADROOM = 32,     // In front of a transfer's data, for the headers of its packet.
  PIECES = 512,      // What one send may take.
  RECEIVE = 32 * 1024,  // Small packets; what else there is of a request's data goes straight to its place.
};

/// A transfer with its buffer: one of the interrupt IN endpoint's, or a guest's request.
struct request {
  struct device *device;
  struct libusb_transfer *transfer;
  uint8_t *memory;  // HEADROOM, then the data.
  size_t capacity;
  uint64_t id;
  struct request *next;
};

/// Bytes to be sent: of a request that is free afterwards, or small ones that were copied.
struct piece {
  struct request *request;
  size_t start, length;
};

struct device {
  // USB
  libusb_context *context;
  libusb_device_handle *handle;
  struct request receiving[DEPTH];
  struct request *unused;
  uint8_t receiving_endpoint;
  int receiving_count, in_flight;
  bool is_stopping, is_reapable, is_ready;
  uint64_t next_id;
  // The guest
  int listener, guest;
  bool is_blocked, has_greeted;
  uint8_t *received;
  size_t received_length;
  struct request *filling;  // A request of which data is missing.
  size_t missing;
  uint8_t *small;  // Packets without a buffer of their own.
  size_t small_length, small_capacity;
  struct piece *pieces;
  size_t pieces_first, pieces_count, pieces_capacity;
};

void fail(const char *what, const char *why) __attribute__((noreturn));

void usb_open(struct device *device, const char *node);
void usb_reap(struct device *device);
void usb_start(struct device *device, uint8_t endpoint);
void usb_stop(struct device *device, uint8_t endpoint);
/// A request of the guest, to be submitted when its data is there: `type` is LIBUSB_TRANSFER_TYPE_BULK or _INTERRUPT.
struct request *usb_request(struct device *device, uint8_t type, uint8_t endpoint, uint64_t id, size_t length);
void usb_submit(struct request *request);
/// Cancels everything, and waits for it.
void usb_stop_all(struct device *device);
void usb_free_request(struct device *device, struct request *request);
/// What the device's active configuration has, as a guest is told.
void usb_endpoints(struct device *device, struct usb_redir_ep_info_header *endpoints,
                   struct usb_redir_interface_info_header *interfaces);

int guest_listen(uint16_t port);
int guest_accept(int listener);
void guest_prepare(struct device *device);
void guest_greet(struct device *device);
/// False when the connection is over.
bool guest_receive(struct device *device);
void guest_flush(struct device *device);
void guest_forget(struct device *device);
/// Queues a packet; its bytes are copied.
void guest_send(struct device *device, uint32_t type, uint64_t id, const void *header, size_t header_length,
                const void *data, size_t length);
/// Queues a packet whose data lies in a request already; frees it when it is sent.
void guest_send_request(struct device *device, uint32_t type, struct request *request, const void *header,
                        size_t header_length, size_t length);

#endif
