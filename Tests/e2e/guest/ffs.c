// The inside of a FunctionFS gadget with one interrupt IN and one interrupt OUT endpoint: a source and a sink.
//   ffs DIRECTORY    where the functionfs instance is mounted; prints "ready" when the gadget may be plugged in, then
//                    for each packet that comes "good", or "bad" if it has other data than usbtest writes
// Data are what the kernel's usbtest driver writes and expects with pattern=1: each packet counts from 0, modulo 63.
#include <fcntl.h>
#include <linux/usb/functionfs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PACKET = 64, EVERY_MILLISECOND = 4 };

#define ENDPOINT(address)                                                                        \
  {                                                                                              \
    .bLength = USB_DT_ENDPOINT_SIZE, .bDescriptorType = USB_DT_ENDPOINT,                         \
    .bEndpointAddress = (address), .bmAttributes = USB_ENDPOINT_XFER_INT,                        \
    .wMaxPacketSize = PACKET /* little-endian machine */, .bInterval = EVERY_MILLISECOND         \
  }

static const struct {
  struct usb_functionfs_descs_head_v2 head;
  __le32 high_speed_count;
  struct usb_interface_descriptor interface;
  struct usb_endpoint_descriptor_no_audio in, out;
} __attribute__((packed)) descriptors = {
    .head = {.magic = FUNCTIONFS_DESCRIPTORS_MAGIC_V2,
             .length = sizeof descriptors,
             .flags = FUNCTIONFS_HAS_HS_DESC},
    .high_speed_count = 3,
    .interface = {.bLength = USB_DT_INTERFACE_SIZE,
                  .bDescriptorType = USB_DT_INTERFACE,
                  .bNumEndpoints = 2,
                  .bInterfaceClass = USB_CLASS_VENDOR_SPEC},
    .in = ENDPOINT(1 | USB_DIR_IN),
    .out = ENDPOINT(2 | USB_DIR_OUT)};

static const struct usb_functionfs_strings_head strings = {.magic = FUNCTIONFS_STRINGS_MAGIC,
                                                           .length = sizeof strings};

static unsigned char pattern[PACKET];

static int open_in(const char *directory, const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  int fd = open(path, O_RDWR);
  if (fd < 0) perror(path);
  return fd;
}

// Both go on after an error: it is how they hear that the usb-host chose a configuration or a setting again, or
// left. They end with the machine.
static void source(int fd) {
  for (;;) {
    ssize_t ignored = write(fd, pattern, PACKET);
    (void)ignored;
    usleep(1000);
  }
}

static void sink(int fd) {
  for (;;) {
    unsigned char packet[PACKET];
    ssize_t bytes = read(fd, packet, sizeof packet);
    if (bytes > 0) puts(memcmp(packet, pattern, (size_t)bytes) == 0 ? "good" : "bad");
    if (bytes < 0) usleep(1000);
  }
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fputs("usage: ffs DIRECTORY\n", stderr);
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (int i = 0; i < PACKET; i++) pattern[i] = (unsigned char)(i % 63);

  int control = open_in(argv[1], "ep0");
  if (control < 0) return 1;
  if (write(control, &descriptors, sizeof descriptors) < 0 || write(control, &strings, sizeof strings) < 0) {
    perror("ffs: descriptors");
    return 1;
  }
  int in = open_in(argv[1], "ep1"), out = open_in(argv[1], "ep2");
  if (in < 0 || out < 0) return 1;
  puts("ready");
  if (fork() == 0) source(in);
  sink(out);
}
