// CPosix first: every libc type has to belong to one module, in both builds.
#include "../CPosix/include/CPosix.h"

#include <libusb.h>

// Swift imports neither variadic functions nor flexible array members.

static inline int usbNoDeviceDiscovery(void) {
  return libusb_set_option(NULL, LIBUSB_OPTION_NO_DEVICE_DISCOVERY);
}

static inline int usbSetLogLevel(libusb_context *context, int level) {
  return libusb_set_option(context, LIBUSB_OPTION_LOG_LEVEL, level);
}

static inline struct libusb_iso_packet_descriptor *usbIsoPackets(struct libusb_transfer *transfer) {
  return transfer->iso_packet_desc;
}
