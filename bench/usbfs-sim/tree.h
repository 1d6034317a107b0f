// The mocked sysfs that libusb and libudev enumerate, and the uevents of hot-plugging.
#ifndef USBFS_SIM_TREE_H
#define USBFS_SIM_TREE_H

#include "shared.h"

/// Makes the tree's folder; programs find it through the environment.
void tree_open(void);
/// The device can be found, and programs that listen hear of it. An error's text, or NULL.
const char *tree_add(const struct sim_device *device, uint32_t index);
void tree_remove(uint32_t index);
/// Removes the folder.
void tree_close(void);

#endif
