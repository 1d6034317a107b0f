// What a simulated device says of itself.
#ifndef USBFS_SIM_DESCRIPTORS_H
#define USBFS_SIM_DESCRIPTORS_H

#include "shared.h"

enum { SIM_VENDOR = 0x1209, SIM_PRODUCT = 0x0001 };

/// As the device's node reads: the device descriptor and its one configuration.
void sim_describe(struct sim_device *device, uint16_t report_length, uint8_t interval);

/// idProduct.
void sim_set_product(struct sim_device *device, uint16_t product);
uint16_t sim_product(const struct sim_device *device);

/// A descriptor that GET_DESCRIPTOR asks for; its length, or -1 when the device has none such.
int sim_descriptor(const struct sim_device *device, uint8_t type, uint8_t index, uint8_t *buffer, uint32_t room);

#endif
