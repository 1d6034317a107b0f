// The system calls of the load generator that Swift cannot make by itself, or only clumsily: addresses, sockets,
// epoll's union, clocks.
#ifndef CLOAD_H
#define CLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/// Where a server listens.
struct loadAddress {
  struct sockaddr_storage storage;
  socklen_t length;
};

/// Resolves a host and a port; 0, or an error that gai_strerror(3) knows.
int loadResolve(const char *host, const char *port, struct loadAddress *address);
/// A unix socket's path; 0, or -1 when it is too long.
int loadUnixAddress(const char *path, struct loadAddress *address);
/// What gai_strerror(3) says.
const char *loadResolveText(int error);

/// Begins to connect, without waiting, TCP_NODELAY; the descriptor, or -1 with errno.
int loadConnect(const struct loadAddress *address);
/// What became of it: 0, or an errno value.
int loadConnectResult(int descriptor);
/// Lets close(2) reset the connection.
void loadResetOnClose(int descriptor);
/// Listens on a port of the loopback that is free; the descriptor, or -1. The port is stored.
int loadListen(uint16_t *port);
/// Listens on a unix socket; the descriptor, or -1 with errno.
int loadListenUnix(const char *path);
/// Sets SO_RCVBUF.
int loadSetReceiveBuffer(int descriptor, int bytes);
/// TCP_NODELAY; a unix socket has none and needs none.
void loadNoDelay(int descriptor);

/// epoll_create1(2), close-on-exec.
int loadPoller(void);
/// Watches for readability, and for writability when asked; `token` comes back. 0, or -1 with errno.
int loadWatch(int poller, int descriptor, uint32_t token, int reads, int writes, int isNew);
void loadUnwatch(int poller, int descriptor);

struct loadEvent {
  uint32_t token;
  uint32_t isReadable;
  uint32_t isWritable;
};

/// epoll_pwait2(2) for at most `nanoseconds`, forever when negative; the number of events, 0 after a signal.
int loadWait(int poller, struct loadEvent *events, int capacity, int64_t nanoseconds);

/// CLOCK_MONOTONIC in nanoseconds: the clock that stamps reports.
uint64_t loadClock(void);

/// What the calling thread has cost so far.
struct loadUsage {
  uint64_t cpuNanoseconds;
  uint64_t voluntarySwitches;
  uint64_t involuntarySwitches;
};

struct loadUsage loadThreadUsage(void);

/// errno, and what strerror(3) says.
int loadErrno(void);
const char *loadErrorText(int error);

#endif
