// What a simulated device does with URBs and reports. The engine and the preloaded shim both call it, with the device locked.
#ifndef USBFS_SIM_DEVICE_H
#define USBFS_SIM_DEVICE_H

#include "shared.h"

uint64_t sim_now(void);

void sim_device_init(struct sim_device *device);
void sim_lock(struct sim_device *device);
void sim_unlock(struct sim_device *device);

/// A free slot for a URB of the file, or NULL.
struct sim_slot *sim_slot_take(struct sim_device *device, int file);
void sim_slot_free(struct sim_device *device, struct sim_slot *slot);

/// Waits on the interrupt IN endpoint for a report, or takes one that waits already.
void sim_post(struct sim_device *device, struct sim_slot *slot);
/// The URB can be reaped.
void sim_finish(struct sim_device *device, struct sim_slot *slot, int status, uint32_t length);
/// The file's oldest finished URB, or NULL. Its owner frees it.
struct sim_slot *sim_reap(struct sim_device *device, int file);
/// Takes back a posted URB; NULL when there is none like it.
struct sim_slot *sim_discard(struct sim_device *device, int file, uint64_t urb);
/// Takes back all posted URBs of a file, or of every file (-1): youngest first.
void sim_discard_all(struct sim_device *device, int file, int status);

/// A report becomes ready now.
void sim_produce(struct sim_device *device);

/// A free file of the device, or -1.
int sim_file_open(struct sim_device *device);
/// Forgets all that the file has: URBs, claims.
void sim_file_close(struct sim_device *device, int file);
/// Pulls the plug: every open file is left with what it can still reap.
void sim_unplug(struct sim_device *device);

#endif
