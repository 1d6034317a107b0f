// What a report, and what bulk IN brings, begins with: README.md has the table.
#ifndef USBFS_SIM_STAMP_H
#define USBFS_SIM_STAMP_H

#include <stdint.h>

void sim_stamp(uint8_t *data, uint32_t length, uint64_t sequence, uint64_t ready);

#endif
