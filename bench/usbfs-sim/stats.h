// What the counters say, for people's scripts.
#ifndef USBFS_SIM_STATS_H
#define USBFS_SIM_STATS_H

#include <stddef.h>
#include <stdint.h>

/// One JSON object: the devices' sums, each device, and how well the engine keeps time.
void stats_write(char *text, size_t room, uint32_t first, uint32_t last);

#endif
