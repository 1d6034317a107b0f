// The floor's USB side. A transfer of the interrupt IN endpoint is submitted again from its own callback, as soon as its report is
// copied behind its packet header; a request's data is sent from where it is.
#include "floor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static int check(int result, const char *what) {
  if (result < 0) fail(what, libusb_strerror(result));
  return result;
}

static struct libusb_config_descriptor *configuration_of(struct device *device) {
  struct libusb_config_descriptor *configuration;
  check(libusb_get_active_config_descriptor(libusb_get_device(device->handle), &configuration), "active configuration");
  return configuration;
}

void usb_open(struct device *device, const char *node) {
  // Taken over by the context that is made next: such a context enumerates nothing.
  check(libusb_set_option(NULL, LIBUSB_OPTION_NO_DEVICE_DISCOVERY), "libusb_set_option");
  check(libusb_init(&device->context), "libusb_init");
  int descriptor = open(node, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) fail(node, strerror(errno));
  check(libusb_wrap_sys_device(device->context, descriptor, &device->handle), node);
  libusb_set_auto_detach_kernel_driver(device->handle, 1);
  struct libusb_config_descriptor *configuration = configuration_of(device);
  for (int i = 0; i < configuration->bNumInterfaces; i++) check(libusb_claim_interface(device->handle, i), "claim");
  libusb_free_config_descriptor(configuration);
}

void usb_reap(struct device *device) {
  struct timeval zero = {0, 0};
  check(libusb_handle_events_timeout_completed(device->context, &zero, NULL), "libusb_handle_events");
}

static uint8_t status_of(const struct libusb_transfer *transfer) {
  switch (transfer->status) {
    case LIBUSB_TRANSFER_COMPLETED: return usb_redir_success;
    case LIBUSB_TRANSFER_CANCELLED: return usb_redir_cancelled;
    case LIBUSB_TRANSFER_STALL: return usb_redir_stall;
    default: return usb_redir_ioerror;
  }
}

// MARK: receiving

static void tell_receiving(struct device *device) {
  struct usb_redir_interrupt_receiving_status_header status = {usb_redir_success, device->receiving_endpoint};
  guest_send(device, usb_redir_interrupt_receiving_status, 0, &status, sizeof status, NULL, 0);
}

static void LIBUSB_CALL received(struct libusb_transfer *transfer) {
  struct request *request = transfer->user_data;
  struct device *device = request->device;
  if (transfer->status == LIBUSB_TRANSFER_COMPLETED) {
    uint16_t length = (uint16_t)transfer->actual_length;
    struct usb_redir_interrupt_packet_header header = {transfer->endpoint, usb_redir_success, length};
    guest_send(device, usb_redir_interrupt_packet, device->next_id++, &header, sizeof header, transfer->buffer, length);
    if (!device->is_stopping && libusb_submit_transfer(transfer) == 0) return;
  }
  if (--device->receiving_count == 0 && device->is_stopping && device->guest >= 0) tell_receiving(device);
}

static void make_receiving(struct device *device, struct request *request, uint8_t endpoint) {
  int length = check(libusb_get_max_packet_size(libusb_get_device(device->handle), endpoint), "packet size");
  if (!request->transfer) {
    request->device = device;
    request->transfer = libusb_alloc_transfer(0);
    request->memory = malloc((size_t)length);
    if (!request->transfer || !request->memory) fail("transfer", "no memory");
  }
  libusb_fill_interrupt_transfer(request->transfer, device->handle, endpoint, request->memory, length, received, request, 0);
}

void usb_start(struct device *device, uint8_t endpoint) {
  device->receiving_endpoint = endpoint;
  device->is_stopping = false;
  device->next_id = 0;
  for (int i = 0; i < DEPTH; i++) {
    make_receiving(device, &device->receiving[i], endpoint);
    check(libusb_submit_transfer(device->receiving[i].transfer), "submit");
    device->receiving_count++;
  }
  tell_receiving(device);
}

void usb_stop(struct device *device, uint8_t endpoint) {
  device->receiving_endpoint = endpoint;
  device->is_stopping = true;
  if (device->receiving_count == 0) tell_receiving(device);
  for (int i = DEPTH - 1; i >= 0; i--) {
    if (device->receiving[i].transfer) libusb_cancel_transfer(device->receiving[i].transfer);
  }
}

// MARK: requests

static void LIBUSB_CALL answered(struct libusb_transfer *transfer) {
  struct request *request = transfer->user_data;
  struct device *device = request->device;
  uint32_t length = (uint32_t)transfer->actual_length;
  size_t data = transfer->endpoint & 0x80 ? length : 0;
  device->in_flight--;
  if (transfer->type == LIBUSB_TRANSFER_TYPE_INTERRUPT) {
    struct usb_redir_interrupt_packet_header header = {transfer->endpoint, status_of(transfer), (uint16_t)length};
    guest_send_request(device, usb_redir_interrupt_packet, request, &header, sizeof header, data);
  } else {
    struct usb_redir_bulk_packet_header header = {
        transfer->endpoint, status_of(transfer), (uint16_t)length, 0, (uint16_t)(length >> 16)};
    guest_send_request(device, usb_redir_bulk_packet, request, &header, sizeof header, data);
  }
}

static struct request *take_request(struct device *device, size_t length) {
  struct request *request = device->unused;
  if (request) {
    device->unused = request->next;
  } else {
    request = calloc(1, sizeof *request);
    if (!request || !(request->transfer = libusb_alloc_transfer(0))) fail("request", "no memory");
    request->device = device;
  }
  if (request->capacity < length) {
    free(request->memory);
    request->memory = malloc(HEADROOM + length);
    request->capacity = length;
    if (!request->memory) fail("request", "no memory");
  }
  return request;
}

void usb_free_request(struct device *device, struct request *request) {
  request->next = device->unused;
  device->unused = request;
}

struct request *usb_request(struct device *device, uint8_t type, uint8_t endpoint, uint64_t id, size_t length) {
  struct request *request = take_request(device, length);
  request->id = id;
  libusb_fill_bulk_transfer(request->transfer, device->handle, endpoint, request->memory + HEADROOM, (int)length, answered,
                            request, 0);
  request->transfer->type = type;
  return request;
}

void usb_submit(struct request *request) {
  check(libusb_submit_transfer(request->transfer), "submit");
  request->device->in_flight++;
}

void usb_stop_all(struct device *device) {
  usb_stop(device, device->receiving_endpoint);
  while (device->receiving_count + device->in_flight > 0) check(libusb_handle_events(device->context), "libusb_handle_events");
}

// MARK: descriptors

void usb_endpoints(struct device *device, struct usb_redir_ep_info_header *endpoints,
                   struct usb_redir_interface_info_header *interfaces) {
  struct libusb_config_descriptor *configuration = configuration_of(device);
  memset(endpoints->type, usb_redir_type_invalid, sizeof endpoints->type);
  endpoints->type[0] = endpoints->type[16] = usb_redir_type_control;
  interfaces->interface_count = configuration->bNumInterfaces;
  for (int i = 0; i < configuration->bNumInterfaces; i++) {
    const struct libusb_interface_descriptor *interface = &configuration->interface[i].altsetting[0];
    interfaces->interface[i] = interface->bInterfaceNumber;
    interfaces->interface_class[i] = interface->bInterfaceClass;
    for (int j = 0; j < interface->bNumEndpoints; j++) {
      const struct libusb_endpoint_descriptor *endpoint = &interface->endpoint[j];
      int slot = (endpoint->bEndpointAddress & 15) | (endpoint->bEndpointAddress & 0x80 ? 16 : 0);
      endpoints->type[slot] = endpoint->bmAttributes & 3;
      endpoints->interval[slot] = endpoint->bInterval;
      endpoints->interface[slot] = interface->bInterfaceNumber;
      endpoints->max_packet_size[slot] = endpoint->wMaxPacketSize;
    }
  }
  libusb_free_config_descriptor(configuration);
}
