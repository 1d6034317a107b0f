// Messages between the engine and everybody else: a line of text, perhaps with a descriptor.
#ifndef USBFS_SIM_MESSAGE_H
#define USBFS_SIM_MESSAGE_H

#include <stdbool.h>

enum { MESSAGE_LENGTH = 160 * 1024 };

/// Connected to the engine of this name, or -1 with errno.
int message_connect(const char *name);
/// Where the engine of this name listens, or -1 with errno.
int message_listen(const char *name);
bool message_send(int connection, const char *text, int descriptor);
/// Takes one message; `text` has room for MESSAGE_LENGTH. Without `descriptor`, one that comes is closed.
bool message_receive(int connection, char *text, int *descriptor);

#endif
