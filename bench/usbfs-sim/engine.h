// The devices' side of the bus: when reports become ready, and which programs' descriptors that wakes.
#ifndef USBFS_SIM_ENGINE_H
#define USBFS_SIM_ENGINE_H

#include "shared.h"

struct engine_options {
  uint32_t devices, report_length, rate, burst, buffer;
  int32_t cpu;          // Where the timing thread runs; -1 for anywhere.
  uint32_t spin_us;     // How long before a report is due it no longer sleeps.
  bool is_spread;       // Devices of one rate take turns instead of being in phase.
  bool is_real_time;    // SCHED_FIFO.
  bool is_flood;
};

/// How well the engine keeps time.
struct engine_timing {
  uint64_t ticks, late, latest_ns, skipped;
};

/// Makes the devices and starts the timing thread; an error's text, or NULL.
const char *engine_start(const struct engine_options *options);
struct sim_shared *engine_shared(void);
/// The descriptor of the memory, for programs.
int engine_memory(void);
struct engine_timing engine_timing(void);

/// Reports a second of a device, 0 for none, in bursts of `burst`.
void engine_set_rate(uint32_t index, uint32_t rate, uint32_t burst);
/// As `engine_set_rate`, but a report is ready whenever a URB is.
void engine_set_flood(uint32_t index);
void engine_set_buffer(uint32_t index, uint32_t buffer);
/// `count` reports at once on each of these devices, every one of them before the first program wakes.
void engine_step(uint32_t first, uint32_t last, uint32_t count);

/// A program opens a device: its file there and the index of the device, or a negative errno. Owns the descriptor then.
int engine_open(uint32_t bus, uint32_t address, int descriptor, uint32_t *index);
void engine_close(uint32_t index, int file);
/// False when the programs could not be told through their descriptors.
bool engine_unplug(uint32_t index);
/// Present again, as another address.
void engine_plug(uint32_t index, uint8_t address);

#endif
