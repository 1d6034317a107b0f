// The network of a simulation: recv(2) and sendmsg(2) of the process as they would be on a bad line. A thread that asks
// for it decides on each call how much of it happens; every other thread gets the kernel's.
#ifndef SIMULATED_SOCKET_H
#define SIMULATED_SOCKET_H

#include <stddef.h>
#include <sys/types.h>

enum { simulatedReceive = 0, simulatedSend = 1, simulatedAccept = 2 };

/// Bytes of the call that may happen, 1 or more, or minus an errno; of an accept it is told the new descriptor, and its
/// answer does not matter.
typedef ssize_t (*SimulatedSocketDecision)(void *context, int descriptor, int operation, size_t wanted);

/// From now on `decision` has its say on this thread; NULL for the kernel's own network.
void simulateSockets(SimulatedSocketDecision decision, void *context);

#endif
