// libc as Swift sees it: the headers, and what Swift cannot import by itself (errno, variadic functions,
// GNU functions, argv, C globals). `_GNU_SOURCE` stays out of this header: it would turn the
// `struct sockaddr *` parameters into unions that Swift cannot fill. CPosix.c defines it.
#ifndef CPOSIX_H
#define CPOSIX_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "TCPInfo.h"

static inline int posixErrno(void) { return errno; }
static inline void posixSetErrno(int value) { errno = value; }

static inline int posixOpen(const char *path, int flags, unsigned mode) { return open(path, flags, mode); }

/// Sets O_NONBLOCK on a descriptor that was made elsewhere; 0 or -1 with errno.
static inline int posixSetNonBlocking(int descriptor) {
  int flags = fcntl(descriptor, F_GETFL, 0);
  return flags < 0 ? -1 : fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

/// Sets FD_CLOEXEC; 0 or -1 with errno.
static inline int posixSetCloseOnExec(int descriptor) { return fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

static inline unsigned posixMajor(dev_t device) { return major(device); }
static inline unsigned posixMinor(dev_t device) { return minor(device); }

/// The arguments of the process, kept by a constructor before `main`: Embedded Swift has no CommandLine.
int posixArgumentCount(void);
const char *posixArgument(int index);
/// The argument vector itself, for getopt_long, which permutes it.
char **posixArgumentVector(void);

static inline const char *posixOptarg(void) { return optarg; }
static inline int posixOptind(void) { return optind; }
static inline int posixOptopt(void) { return optopt; }
/// Rewinds getopt_long (0 makes glibc forget its state) and silences its own messages.
static inline void posixResetGetopt(void) { optind = 0; opterr = 0; }

/// pipe2(2): a close-on-exec pipe, non-blocking when asked; 0 or -1 with errno.
int posixPipe(int descriptors[2], int nonBlocking);

/// timerfd_create(2) on CLOCK_MONOTONIC, non-blocking and close-on-exec; the descriptor, or -1 with errno.
int posixTimer(void);
/// Lets the timer expire once at `deadline`, nanoseconds of CLOCK_MONOTONIC.
void posixArmTimer(int descriptor, uint64_t deadline);
/// Takes the expiry, so that the descriptor is not readable any more.
void posixReadTimer(int descriptor);

/// accept4(2): non-blocking and close-on-exec.
int posixAccept(int descriptor, struct sockaddr *address, socklen_t *length);
/// socket(2), SOCK_STREAM: non-blocking and close-on-exec.
int posixStreamSocket(int family);
/// sendmsg(2) of several pieces, without SIGPIPE: writev(2) takes no flags.
ssize_t posixSend(int descriptor, const struct iovec *pieces, int count);

/// True when the peer of a connected socket has closed its side or reset the connection, whatever lies unread in front of
/// that. Takes nothing from the socket.
int posixPeerHasLeft(int descriptor);

/// pthread_setname_np(3) for the calling thread, at most 15 bytes.
void posixNameThread(const char *name);

/// prctl(2), PR_SET_NO_NEW_PRIVS: for this thread and those that it starts. 0, or -1 with errno.
int posixForbidNewPrivileges(void);

/// open(2) without a mode, close-on-exec, for files of any size; the descriptor, or -1 with errno.
int posixOpenFile(const char *path, int flags);
/// What stat(2) says a path leads to: S_IFREG, S_IFBLK, …; -1 with errno.
int posixKind(const char *path);
/// Bytes of an open file or block device; -1 with errno.
int64_t posixSize(int descriptor);
/// flock(2), exclusive or shared, without waiting; 0, or -1 with errno (EWOULDBLOCK: somebody has it).
int posixLock(int descriptor, int exclusive);
/// pread(2) and pwrite(2) with 64-bit offsets on every machine.
ssize_t posixReadAt(int descriptor, void *memory, size_t count, uint64_t offset);
ssize_t posixWriteAt(int descriptor, const void *memory, size_t count, uint64_t offset);
/// preadv2(2) with RWF_NOWAIT: what is in memory already, else -1 (EAGAIN, or a file system that cannot tell).
ssize_t posixReadNow(int descriptor, void *memory, size_t count, uint64_t offset);

/// Ignores SIGPIPE for the whole process: a reader that went away is an error of write(2), not our end.
static inline void posixIgnoreBrokenPipes(void) { signal(SIGPIPE, SIG_IGN); }

/// True when the process was started with the signal ignored, as nohup(1) does with SIGHUP.
int posixIsIgnored(int signal);

/// Lets the signal through to the calling thread: whoever started the process may have blocked it.
void posixUnblock(int signal);

/// strerror_r(3), the GNU one: never fails, text valid until the next call on this thread.
const char *posixErrorText(int error);

#endif
