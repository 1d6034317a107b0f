// A high-speed device with two vendor specific interfaces: interrupt IN and OUT on the first, bulk IN and OUT on the second.
#include "descriptors.h"

#include <stdio.h>
#include <string.h>

enum { DEVICE_LENGTH = 18, PRODUCT = 10, DEVICE_TYPE = 1, CONFIGURATION_TYPE = 2, STRING_TYPE = 3 };

void sim_describe(struct sim_device *device, uint16_t report_length, uint8_t interval) {
  const uint8_t bytes[] = {
      18, 1, 0x00, 0x02, 0, 0, 0, 64, SIM_VENDOR & 0xff, SIM_VENDOR >> 8, SIM_PRODUCT, 0, 0, 1, 1, 2, 3, 1,
      9, 2, 64, 0, SIM_INTERFACES, 1, 0, 0x80, 50,
      9, 4, 0, 0, 2, 0xff, 0, 0, 0,
      7, 5, SIM_INTERRUPT_IN, 3, report_length & 0xff, report_length >> 8, interval,
      7, 5, SIM_INTERRUPT_OUT, 3, 64, 0, 1,
      9, 4, 1, 0, 2, 0xff, 0, 0, 0,
      7, 5, SIM_BULK_IN, 2, 0x00, 0x02, 0,
      7, 5, SIM_BULK_OUT, 2, 0x00, 0x02, 0,
  };
  memcpy(device->descriptors, bytes, sizeof bytes);
  device->descriptors[DEVICE_LENGTH + 2] = (uint8_t)(sizeof bytes - DEVICE_LENGTH);
  device->descriptors_length = sizeof bytes;
  device->report_length = report_length;
}

void sim_set_product(struct sim_device *device, uint16_t product) {
  device->descriptors[PRODUCT] = product & 0xff;
  device->descriptors[PRODUCT + 1] = product >> 8;
}

uint16_t sim_product(const struct sim_device *device) {
  return (uint16_t)(device->descriptors[PRODUCT] | device->descriptors[PRODUCT + 1] << 8);
}

static int give(const uint8_t *bytes, uint32_t length, uint8_t *buffer, uint32_t room) {
  uint32_t given = length < room ? length : room;
  memcpy(buffer, bytes, given);
  return (int)given;
}

static int give_string(const struct sim_device *device, uint8_t index, uint8_t *buffer, uint32_t room) {
  char text[32];
  uint8_t bytes[2 + 2 * sizeof text] = {4, STRING_TYPE, 0x09, 0x04};
  switch (index) {
    case 0: return give(bytes, 4, buffer, room);
    case 1: strcpy(text, "usbfs-sim"); break;
    case 2: strcpy(text, "Simulated device"); break;
    case 3: snprintf(text, sizeof text, "SIM%03u%03u", device->bus, device->address); break;
    default: return -1;
  }
  size_t count = strlen(text);
  for (size_t i = 0; i < count; i++) {
    bytes[2 + 2 * i] = (uint8_t)text[i];
    bytes[3 + 2 * i] = 0;
  }
  bytes[0] = (uint8_t)(2 + 2 * count);
  return give(bytes, bytes[0], buffer, room);
}

int sim_descriptor(const struct sim_device *device, uint8_t type, uint8_t index, uint8_t *buffer, uint32_t room) {
  const uint8_t *bytes = device->descriptors;
  if (type == DEVICE_TYPE) return give(bytes, DEVICE_LENGTH, buffer, room);
  if (type == CONFIGURATION_TYPE && index == 0)
    return give(bytes + DEVICE_LENGTH, device->descriptors_length - DEVICE_LENGTH, buffer, room);
  if (type == STRING_TYPE) return give_string(device, index, buffer, room);
  return -1;
}
