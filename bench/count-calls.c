// Preloaded into a server: counts its system calls and heap allocations into the file $COUNT_CALLS, for whoever has that file open.
//
// Counted are the calls of libc that libraries and programs make, one system call each; a wait for a contended lock inside of libc is
// not seen. A tracer would see everything, but at its speed other reports are ready at a wake-up than without it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/// The order that harness/counters.py knows.
enum counter {
  ALLOCATIONS, LIBUSB_ALLOCATIONS, EPOLL_WAIT, POLL, SELECT, IOCTL, READ, WRITE, READV, WRITEV, SEND, RECV, EPOLL_CTL, TIMER, OPTION,
  COUNTERS
};

static uint64_t before_start[COUNTERS];
static uint64_t *counters = before_start;
static uintptr_t libusb_start, libusb_end;

static inline void count(enum counter counter) { __atomic_add_fetch(&counters[counter], 1, __ATOMIC_RELAXED); }

static int find_libusb(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)size, (void)unused;
  if (!strstr(info->dlpi_name, "libusb-1.0")) return 0;
  libusb_start = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    uintptr_t end = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
    if (info->dlpi_phdr[i].p_type == PT_LOAD && end > libusb_end) libusb_end = end;
  }
  return 1;
}

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("COUNT_CALLS");
  int descriptor = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  void *memory = descriptor < 0 ? MAP_FAILED : mmap(NULL, sizeof before_start, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory != MAP_FAILED) counters = memory;
  if (descriptor >= 0) close(descriptor);
  dl_iterate_phdr(find_libusb, NULL);
}

// MARK: allocations

static inline void count_allocation(const void *caller) {
  uintptr_t place = (uintptr_t)caller;
  count(place >= libusb_start && place < libusb_end ? LIBUSB_ALLOCATIONS : ALLOCATIONS);
}

void *malloc(size_t size) {
  count_allocation(__builtin_return_address(0));
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count_allocation(__builtin_return_address(0));
  return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
  count_allocation(__builtin_return_address(0));
  return __libc_realloc(memory, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  count_allocation(__builtin_return_address(0));
  *memory = __libc_memalign(alignment, size);
  return *memory ? 0 : 12;
}

void *aligned_alloc(size_t alignment, size_t size) {
  count_allocation(__builtin_return_address(0));
  return __libc_memalign(alignment, size);
}

// MARK: system calls

/// `function`, counted as `counter`; the function of the name `real` that is loaded next does the work.
#define COUNTED(counter, result, function, real, parameters, ...)           \
  result function parameters {                                              \
    static __typeof__(&real) next;                                          \
    if (!next) next = (__typeof__(&real))dlsym(RTLD_NEXT, #real);           \
    count(counter);                                                         \
    return next(__VA_ARGS__);                                               \
  }

COUNTED(EPOLL_WAIT, int, epoll_wait, epoll_wait, (int fd, struct epoll_event *events, int room, int timeout), fd, events, room, timeout)
COUNTED(EPOLL_WAIT, int, epoll_pwait, epoll_pwait,
        (int fd, struct epoll_event *events, int room, int timeout, const sigset_t *mask), fd, events, room, timeout, mask)
COUNTED(EPOLL_WAIT, int, epoll_pwait2, epoll_pwait2,
        (int fd, struct epoll_event *events, int room, const struct timespec *timeout, const sigset_t *mask), fd, events, room, timeout, mask)
COUNTED(EPOLL_CTL, int, epoll_ctl, epoll_ctl, (int fd, int what, int other, struct epoll_event *event), fd, what, other, event)
COUNTED(POLL, int, poll, poll, (struct pollfd *list, nfds_t number, int timeout), list, number, timeout)
COUNTED(POLL, int, ppoll, ppoll, (struct pollfd *list, nfds_t number, const struct timespec *timeout, const sigset_t *mask), list,
        number, timeout, mask)
COUNTED(SELECT, int, select, select, (int number, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout), number, in, out,
        other, timeout)
COUNTED(READ, ssize_t, read, read, (int fd, void *memory, size_t size), fd, memory, size)
COUNTED(WRITE, ssize_t, write, write, (int fd, const void *memory, size_t size), fd, memory, size)
COUNTED(READV, ssize_t, readv, readv, (int fd, const struct iovec *parts, int number), fd, parts, number)
COUNTED(WRITEV, ssize_t, writev, writev, (int fd, const struct iovec *parts, int number), fd, parts, number)
COUNTED(SEND, ssize_t, send, send, (int fd, const void *memory, size_t size, int flags), fd, memory, size, flags)
COUNTED(SEND, ssize_t, sendto, sendto,
        (int fd, const void *memory, size_t size, int flags, const struct sockaddr *to, socklen_t length), fd, memory, size, flags, to, length)
COUNTED(SEND, ssize_t, sendmsg, sendmsg, (int fd, const struct msghdr *message, int flags), fd, message, flags)
COUNTED(RECV, ssize_t, recv, recv, (int fd, void *memory, size_t size, int flags), fd, memory, size, flags)
COUNTED(RECV, ssize_t, recvfrom, recvfrom,
        (int fd, void *memory, size_t size, int flags, struct sockaddr *from, socklen_t *length), fd, memory, size, flags, from, length)
COUNTED(RECV, ssize_t, recvmsg, recvmsg, (int fd, struct msghdr *message, int flags), fd, message, flags)
COUNTED(TIMER, int, timerfd_settime, timerfd_settime,
        (int fd, int flags, const struct itimerspec *value, struct itimerspec *old), fd, flags, value, old)
COUNTED(OPTION, int, setsockopt, setsockopt, (int fd, int level, int name, const void *value, socklen_t length), fd, level, name, value,
        length)
COUNTED(OPTION, int, getsockopt, getsockopt, (int fd, int level, int name, void *value, socklen_t *length), fd, level, name, value, length)

// What _FORTIFY_SOURCE makes of some of them; the programs measured here do not overrun.
#define ROOM size_t room __attribute__((unused))
COUNTED(POLL, int, __poll_chk, poll, (struct pollfd *list, nfds_t number, int timeout, ROOM), list, number, timeout)
COUNTED(READ, ssize_t, __read_chk, read, (int fd, void *memory, size_t size, ROOM), fd, memory, size)
COUNTED(RECV, ssize_t, __recv_chk, recv, (int fd, void *memory, size_t size, ROOM, int flags), fd, memory, size, flags)

int ioctl(int fd, unsigned long request, ...) {
  static int (*next)(int, unsigned long, ...);
  if (!next) next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
  va_list list;
  va_start(list, request);
  void *argument = va_arg(list, void *);
  va_end(list);
  count(IOCTL);
  return next(fd, request, argument);
}
