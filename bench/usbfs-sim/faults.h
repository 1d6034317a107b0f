// What goes wrong with a device on purpose: which request to usbfs, how, and how often. Told by `ctl NAME fault`.
#ifndef USBFS_SIM_FAULTS_H
#define USBFS_SIM_FAULTS_H

#include "shared.h"

/// What becomes of a request.
struct sim_verdict {
  enum { SIM_PROCEED, SIM_FAIL, SIM_FINISH, SIM_HANG, SIM_UNPLUG } kind;
  int32_t value;  // An errno, a URB's status, or milliseconds.
};

/// Reads `none`, or `REQUEST:KIND[=VALUE][xCOUNT][@AFTER]`, into a fault; an error's text, or NULL. A fault without a kind
/// stands for `none`.
const char *sim_fault_read(const char *text, struct sim_fault *fault);
/// Adds a fault to those of the device, or forgets all of them; false when there are too many.
bool sim_fault_add(struct sim_device *device, const struct sim_fault *fault);
/// What becomes of this request, which counts as one from now on. Only for a device with faults.
struct sim_verdict sim_fault_meet(struct sim_device *device, unsigned long request, const void *argument);

#endif
