// What the engine is told over its socket: by `usbfs-sim ctl`, and by the shim.
#ifndef USBFS_SIM_COMMANDS_H
#define USBFS_SIM_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

/// Carries out one command line and writes the answer: a result, `ok`, or `error: …`. False when the engine shall end.
bool command_run(const char *line, char *answer, size_t room);

#endif
