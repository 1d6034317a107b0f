// Sequence number and time, in the byte order of the bus: that of every machine that this runs on.
#include "stamp.h"

#include <string.h>

void sim_stamp(uint8_t *data, uint32_t length, uint64_t sequence, uint64_t ready) {
  uint8_t stamp[16];
  uint64_t first = (sequence & 0xffff) | ready << 16;
  memcpy(stamp, &first, 8);
  memcpy(stamp + 8, &sequence, 8);
  memcpy(data, stamp, length < sizeof stamp ? length : sizeof stamp);
}
