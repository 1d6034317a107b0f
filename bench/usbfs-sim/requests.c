// Standard requests by the book; class and vendor requests bring zeroes and take everything.
#include "requests.h"

#include <errno.h>
#include <string.h>

#include "descriptors.h"

enum { TYPE_MASK = 0x60, IN = 0x80 };
enum { GET_STATUS = 0, GET_DESCRIPTOR = 6, GET_CONFIGURATION = 8, GET_INTERFACE = 10 };

static int give_bytes(const struct sim_setup *setup, uint8_t *data, const uint8_t *bytes, uint16_t count) {
  uint16_t given = setup->length < count ? setup->length : count;
  memcpy(data, bytes, given);
  return given;
}

static int standard_in(struct sim_device *device, const struct sim_setup *setup, uint8_t *data) {
  const uint8_t status[2] = {0, 0};
  int length;
  switch (setup->request) {
    case GET_STATUS: return give_bytes(setup, data, status, 2);
    case GET_CONFIGURATION: return give_bytes(setup, data, &device->configuration, 1);
    case GET_INTERFACE:
      if (setup->index >= SIM_INTERFACES) return -EPIPE;
      return give_bytes(setup, data, &device->interfaces[setup->index].setting, 1);
    case GET_DESCRIPTOR:
      length = sim_descriptor(device, setup->value >> 8, setup->value & 0xff, data, setup->length);
      return length < 0 ? -EPIPE : length;
    default: return -EPIPE;
  }
}

int sim_control(struct sim_device *device, const struct sim_setup *setup, uint8_t *data) {
  device->counters.controls++;
  bool is_in = setup->request_type & IN;
  if (is_in && (setup->request_type & TYPE_MASK) == 0) return standard_in(device, setup, data);
  if (is_in) memset(data, 0, setup->length);
  return setup->length;
}
