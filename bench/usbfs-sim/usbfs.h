// The ioctls of usbfs on a simulated device, as a program calls them.
#ifndef USBFS_SIM_USBFS_H
#define USBFS_SIM_USBFS_H

#include "shared.h"

/// Carries out one ioctl of an open file, with the device locked. What ioctl(2) returns, or a negative errno.
long usbfs_ioctl(struct sim_device *device, int file, unsigned long request, void *argument);

#endif
