// What the simulation's own checks share.
#ifndef USBFS_SIM_CHECKS_H
#define USBFS_SIM_CHECKS_H

#include <stdbool.h>
#include <stdint.h>

/// Prints what does not hold, and remembers it for the exit status.
#define CHECK(condition) checks_that(condition, #condition, __FILE__, __LINE__)
bool checks_that(bool condition, const char *text, const char *file, int line);

/// Tells the engine something; the answer lives until the next call.
const char *engine_told(const char *line);
/// One of the engine's counters: its sum over the devices.
uint64_t counter(const char *name);

void check_readiness(void);
void check_queue(void);
void check_windows(void);
void check_interfaces(void);
void check_killed_program(void);
_Noreturn void hold_device(void);
void check_loops(void);
void check_unplug(void);
void check_hotplug(void);

#endif
