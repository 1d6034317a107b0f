// One testbed of umockdev. Port 1-3 is the third device of bus 1; it keeps its port when it comes back with another address.
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umockdev.h>
#include <unistd.h>

#include "descriptors.h"

enum { DEVICES_PER_BUS = 64, TEXT_LENGTH = 4096 };

static UMockdevTestbed *testbed;
static char paths[SIM_DEVICES][64];

/// In memory if that can be: hundreds of small files take seconds to remove from a disk.
void tree_open(void) {
  char *before = g_strdup(getenv("TMPDIR"));
  if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 1);
  testbed = umockdev_testbed_new();
  if (before) setenv("TMPDIR", before, 1);
  else unsetenv("TMPDIR");
  g_free(before);
}

void tree_close(void) { g_clear_object(&testbed); }

static int put_hex(char *text, const uint8_t *bytes, uint32_t count) {
  int length = 0;
  for (uint32_t i = 0; i < count; i++) length += sprintf(text + length, "%02X", bytes[i]);
  return length;
}

/// The device number. umockdev forgets to clean up behind a device that is removed without one, and ends at the fiftieth;
/// so interfaces have one, too.
static int put_number(char *text, uint32_t minor) { return sprintf(text, "A: dev=189:%u\\n\n", minor); }

static int put_device(char *text, const struct sim_device *device, const char *path, uint32_t index) {
  int n = sprintf(text, "P: %s\nN: bus/usb/%03u/%03u=", path, device->bus, device->address);
  n += put_hex(text + n, device->descriptors, device->descriptors_length);
  n += sprintf(text + n, "\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nE: BUSNUM=%03u\nE: DEVNUM=%03u\n", device->bus, device->address);
  n += sprintf(text + n, "E: DEVNAME=/dev/bus/usb/%03u/%03u\n", device->bus, device->address);
  n += sprintf(text + n, "A: busnum=%u\\n\nA: devnum=%u\\n\nA: speed=480\\n\nA: bConfigurationValue=1\\n\n", device->bus, device->address);
  n += put_number(text + n, index);
  n += sprintf(text + n, "A: manufacturer=usbfs-sim\\n\nA: product=Simulated device\\n\nA: serial=SIM%03u\\n\n", index);
  n += sprintf(text + n, "A: idVendor=1209\\n\nA: idProduct=%04x\\n\nH: descriptors=", sim_product(device));
  n += put_hex(text + n, device->descriptors, device->descriptors_length);
  return n + sprintf(text + n, "\n\n");
}

static int put_interface(char *text, const char *path, uint32_t index, int number) {
  int n = sprintf(text, "P: %s/%s:1.%d\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_interface\n", path, strrchr(path, '/') + 1, number);
  n += put_number(text + n, SIM_DEVICES + SIM_INTERFACES * index + (uint32_t)number);
  n += sprintf(text + n, "A: bInterfaceNumber=%02x\\n\nA: bInterfaceClass=ff\\n\n", number);
  return n + sprintf(text + n, "L: driver=../../../../bus/usb/drivers/usbsim\n\n");
}

const char *tree_add(const struct sim_device *device, uint32_t index) {
  char text[TEXT_LENGTH];
  snprintf(paths[index], sizeof paths[index], "/devices/usb%u/%u-%u", device->bus, device->bus, index % DEVICES_PER_BUS + 1);
  int n = put_device(text, device, paths[index], index);
  for (int i = 0; i < SIM_INTERFACES; i++) n += put_interface(text + n, paths[index], index, i);
  GError *error = NULL;
  return umockdev_testbed_add_from_string(testbed, text, &error) ? NULL : error->message;
}

/// The uevent needs what it is about. Interfaces first, as the kernel does: umockdev would leave their links in the bus's folder.
void tree_remove(uint32_t index) {
  char path[128];
  const char *name = strrchr(paths[index], '/') + 1;
  snprintf(path, sizeof path, "/sys%s", paths[index]);
  umockdev_testbed_uevent(testbed, path, "remove");
  for (int i = SIM_INTERFACES - 1; i >= 0; i--) {
    snprintf(path, sizeof path, "/sys%s/%s:1.%d", paths[index], name, i);
    umockdev_testbed_remove_device(testbed, path);
  }
  snprintf(path, sizeof path, "/sys%s", paths[index]);
  umockdev_testbed_remove_device(testbed, path);
}
