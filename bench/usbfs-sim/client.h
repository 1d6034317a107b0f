// The program's conversation with the engine: where its bus is, and which devices it has open.
#ifndef USBFS_SIM_CLIENT_H
#define USBFS_SIM_CLIENT_H

#include "shared.h"

/// A simulated device that the program has open.
struct client_file {
  struct sim_device *device;
  int file;
  int index;       // The device's number, for the engine.
  int descriptor;  // Its readiness.
  int64_t offset;  // Of read(2) and lseek(2).
};

/// Opens a node of the bus; NULL with errno.
struct client_file *client_open(unsigned bus, unsigned address);
/// Has the engine pull the plug of the file's device, which must not be locked.
void client_unplug(const struct client_file *file);
void client_close(struct client_file *file);

#endif
