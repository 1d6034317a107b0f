// Preloaded into a program: nodes of /dev/bus/usb are simulated devices, everything else goes on to umockdev and libc.
//
// Each ioctl on such a node makes exactly one system call, as it would on a real one: the one that makes the descriptor ready or
// not, or one that the kernel refuses at once.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "faults.h"
#include "readiness.h"
#include "usbfs.h"

#define PRELOADED __attribute__((visibility("default")))
/// The function of the same name that is loaded next.
#define NEXT(name, result, ...)                                      \
  static result (*next)(__VA_ARGS__);                                \
  if (!next) next = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

enum { DESCRIPTORS = 65536 };

static struct client_file *_Atomic files[DESCRIPTORS];

static struct client_file *file_of(int descriptor) {
  return descriptor >= 0 && descriptor < DESCRIPTORS ? files[descriptor] : NULL;
}

// MARK: open and close

/// -2 when the path is none of ours.
static int open_node(const char *path) {
  unsigned bus, address;
  int end = 0;
  if (!path || sscanf(path, "/dev/bus/usb/%3u/%3u%n", &bus, &address, &end) != 2 || path[end]) return -2;
  struct client_file *file = client_open(bus, address);
  if (!file) return -1;
  files[file->descriptor] = file;
  return file->descriptor;
}

static mode_t mode_of(int flags, va_list list) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0; }

#define OPEN(name)                                   \
  PRELOADED int name(const char *path, int flags, ...) { \
    NEXT(name, int, const char *, int, ...);         \
    va_list list;                                    \
    va_start(list, flags);                           \
    mode_t mode = mode_of(flags, list);              \
    va_end(list);                                    \
    int node = open_node(path);                      \
    return node == -2 ? next(path, flags, mode) : node; \
  }

#define OPENAT(name)                                 \
  PRELOADED int name(int folder, const char *path, int flags, ...) { \
    NEXT(name, int, int, const char *, int, ...);    \
    va_list list;                                    \
    va_start(list, flags);                           \
    mode_t mode = mode_of(flags, list);              \
    va_end(list);                                    \
    int node = open_node(path);                      \
    return node == -2 ? next(folder, path, flags, mode) : node; \
  }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

PRELOADED int __open_2(const char *path, int flags) {
  NEXT(__open_2, int, const char *, int);
  int node = open_node(path);
  return node == -2 ? next(path, flags) : node;
}

PRELOADED int __open64_2(const char *path, int flags) {
  NEXT(__open64_2, int, const char *, int);
  int node = open_node(path);
  return node == -2 ? next(path, flags) : node;
}

PRELOADED int close(int descriptor) {
  NEXT(close, int, int);
  struct client_file *file = file_of(descriptor);
  if (file) {
    files[descriptor] = NULL;
    client_close(file);
  }
  return next(descriptor);
}

// MARK: ioctl

static long refused(int descriptor, unsigned long request) { return syscall(SYS_ioctl, descriptor, request, NULL); }

/// Until then, or until the device is unplugged; it is not locked meanwhile.
static void sleep_until(struct client_file *file, uint64_t when) {
  const struct timespec pause = {.tv_nsec = 1000000};
  while (sim_now() < when && !file->device->files[file->file].is_gone) {
    sim_unlock(file->device);
    nanosleep(&pause, NULL);
    sim_lock(file->device);
  }
}

/// 0 when the request is to be carried out, or its errno. usbfs has a lock for each device, which every request takes: while
/// one sleeps the others wait, reaping too.
static int meet_faults(struct client_file *file, unsigned long request, void *argument) {
  struct sim_device *device = file->device;
  sleep_until(file, device->busy_until);
  const struct sim_verdict verdict = sim_fault_meet(device, request, argument);
  if (verdict.kind != SIM_PROCEED) device->counters.faults++;
  switch (verdict.kind) {
    case SIM_FAIL: return verdict.value;
    case SIM_FINISH: device->next_status = verdict.value; return 0;
    case SIM_HANG:
      device->busy_until = sim_now() + (uint64_t)verdict.value * 1000000;
      sleep_until(file, device->busy_until);
      device->busy_until = 0;
      return 0;
    case SIM_UNPLUG:
      sim_unlock(device);
      client_unplug(file);
      sim_lock(device);
      return 0;
    default: return 0;
  }
}

static int node_ioctl(struct client_file *file, unsigned long request, void *argument) {
  struct sim_device *device = file->device;
  struct sim_file *state = &device->files[file->file];
  sim_lock(device);
  int error = device->fault_count > 0 || device->busy_until > 0 ? meet_faults(file, request, argument) : 0;
  bool was_ready = state->done_count > 0;
  long result = error ? -error : usbfs_ioctl(device, file->file, request, argument);
  bool is_ready = state->done_count > 0;
  device->raised &= ~(1u << file->file);
  bool has_changed = was_ready != is_ready && !state->is_gone;
  sim_unlock(device);
  if (!has_changed) {
    refused(file->descriptor, request);
  } else {
    if (is_ready) readiness_raise(file->descriptor);
    else readiness_lower(file->descriptor);
    readiness_settle(file->descriptor, state, is_ready);
  }
  if (result >= 0) return (int)result;
  errno = (int)-result;
  return -1;
}

PRELOADED int ioctl(int descriptor, unsigned long request, ...) {
  NEXT(ioctl, int, int, unsigned long, ...);
  va_list list;
  va_start(list, request);
  void *argument = va_arg(list, void *);
  va_end(list);
  struct client_file *file = file_of(descriptor);
  return file ? node_ioctl(file, request, argument) : next(descriptor, request, argument);
}

// MARK: read and write. What is not ours goes straight to the kernel: umockdev would add two system calls to each.

static ssize_t read_descriptors(struct client_file *file, void *buffer, size_t count, int64_t offset) {
  int64_t length = file->device->descriptors_length;
  if (offset >= length) return 0;
  size_t rest = (size_t)(length - offset);
  if (count > rest) count = rest;
  memcpy(buffer, file->device->descriptors + offset, count);
  return (ssize_t)count;
}

PRELOADED ssize_t read(int descriptor, void *buffer, size_t count) {
  struct client_file *file = file_of(descriptor);
  if (!file) return syscall(SYS_read, descriptor, buffer, count);
  ssize_t given = read_descriptors(file, buffer, count, file->offset);
  file->offset += given;
  return given;
}

PRELOADED ssize_t pread(int descriptor, void *buffer, size_t count, off_t offset) {
  struct client_file *file = file_of(descriptor);
  if (!file) return syscall(SYS_pread64, descriptor, buffer, count, offset);
  return read_descriptors(file, buffer, count, offset);
}

PRELOADED ssize_t pread64(int descriptor, void *buffer, size_t count, off64_t offset) {
  return pread(descriptor, buffer, count, offset);
}

PRELOADED off_t lseek(int descriptor, off_t offset, int whence) {
  struct client_file *file = file_of(descriptor);
  if (!file) return syscall(SYS_lseek, descriptor, offset, whence);
  if (whence == SEEK_CUR) offset += file->offset;
  if (offset < 0 || whence == SEEK_END) {
    errno = EINVAL;
    return -1;
  }
  return file->offset = offset;
}

PRELOADED off64_t lseek64(int descriptor, off64_t offset, int whence) { return lseek(descriptor, offset, whence); }

PRELOADED ssize_t write(int descriptor, const void *buffer, size_t count) {
  if (!file_of(descriptor)) return syscall(SYS_write, descriptor, buffer, count);
  errno = EINVAL;
  return -1;
}

PRELOADED ssize_t send(int descriptor, const void *buffer, size_t count, int flags) {
  return syscall(SYS_sendto, descriptor, buffer, count, flags, NULL, 0);
}

PRELOADED ssize_t recv(int descriptor, void *buffer, size_t count, int flags) {
  return syscall(SYS_recvfrom, descriptor, buffer, count, flags, NULL, NULL);
}

// MARK: what libusb finds out

/// libusb takes the bus and the address of a descriptor that it is given from here.
PRELOADED ssize_t readlink(const char *path, char *buffer, size_t room) {
  NEXT(readlink, ssize_t, const char *, char *, size_t);
  int descriptor;
  struct client_file *file = NULL;
  if (sscanf(path, "/proc/self/fd/%d", &descriptor) == 1) file = file_of(descriptor);
  if (!file) return next(path, buffer, room);
  char node[32];
  int length = snprintf(node, sizeof node, "/dev/bus/usb/%03u/%03u", file->device->bus, file->device->address);
  size_t given = (size_t)length < room ? (size_t)length : room;
  memcpy(buffer, node, given);
  return (ssize_t)given;
}

/// umockdev names the socket that a program hears of hot-plugging on after its descriptor alone, which several programs may have.
PRELOADED int bind(int descriptor, const struct sockaddr *address, socklen_t length) {
  NEXT(bind, int, int, const struct sockaddr *, socklen_t);
  const char *folder = getenv("UMOCKDEV_DIR");
  int family = 0;
  socklen_t size = sizeof family;
  if (!folder || address->sa_family != AF_NETLINK || getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size) < 0 ||
      family != AF_UNIX)
    return next(descriptor, address, length);
  struct sockaddr_un own = {.sun_family = AF_UNIX};
  snprintf(own.sun_path, sizeof own.sun_path, "%s/event%d.%d", folder, (int)getpid(), descriptor);
  syscall(SYS_unlink, own.sun_path);
  return (int)syscall(SYS_bind, descriptor, &own, sizeof own);
}
