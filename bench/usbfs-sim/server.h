// The engine's socket: commands, and the programs that have devices open.
#ifndef USBFS_SIM_SERVER_H
#define USBFS_SIM_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

/// Listens under this name; false with errno.
bool server_listen(const char *name);
/// Serves until `child` (0 for none) ends, a signal to end comes or a command says so. The exit status.
int server_run(pid_t child);

#endif
