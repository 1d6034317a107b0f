// Control requests that a simulated device answers itself.
#ifndef USBFS_SIM_REQUESTS_H
#define USBFS_SIM_REQUESTS_H

#include "shared.h"

/// A setup packet, in the order of the wire.
struct sim_setup {
  uint8_t request_type, request;
  uint16_t value, index, length;
};

/// Carries out a request; `data` has room for `setup->length` bytes. The number of bytes moved, or a negative errno.
int sim_control(struct sim_device *device, const struct sim_setup *setup, uint8_t *data);

#endif
