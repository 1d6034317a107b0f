// The descriptor of an open file: an eventfd that can be written to exactly when a URB waits to be reaped.
//
// At its maximum an eventfd is not writable; reading it makes it so and wakes whoever waits in epoll, poll or select.
#ifndef USBFS_SIM_READINESS_H
#define USBFS_SIM_READINESS_H

#include "shared.h"

/// A new descriptor, not ready; -1 with errno.
int readiness_open(void);
void readiness_raise(int descriptor);
void readiness_lower(int descriptor);

/// Makes the descriptor agree with the file again, after it was raised (or lowered) without the device's lock: whoever changes it last
/// sees to that.
void readiness_settle(int descriptor, const struct sim_file *file, bool is_raised);

/// POLLERR for good. False when the kernel cannot do that.
bool readiness_break(int descriptor);

#endif
