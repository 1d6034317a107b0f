// Straight to the kernel, since the libraries' read and write may be somebody else's.
#define _GNU_SOURCE
#include "readiness.h"

#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint64_t full = UINT64_MAX - 1;

int readiness_open(void) {
  int descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (descriptor >= 0) readiness_lower(descriptor);
  return descriptor;
}

void readiness_raise(int descriptor) {
  uint64_t value;
  syscall(SYS_read, descriptor, &value, sizeof value);
}

void readiness_lower(int descriptor) { syscall(SYS_write, descriptor, &full, sizeof full); }

void readiness_settle(int descriptor, const struct sim_file *file, bool is_raised) {
  while (!file->is_gone && (file->done_count > 0) != is_raised) {
    is_raised = !is_raised;
    if (is_raised) readiness_raise(descriptor);
    else readiness_lower(descriptor);
  }
}

/// One beyond the maximum is POLLERR. Only the kernel's own signals count so far: that of an asynchronous read, here of nothing. It
/// wakes who waits for reading alone, as usbfs does not: the others find the descriptor writable before, for as long as it takes to wake.
bool readiness_break(int descriptor) {
  int ends[2];
  aio_context_t context = 0;
  if (pipe(ends) < 0) return false;
  close(ends[1]);
  struct iocb block = {.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = (uint32_t)ends[0], .aio_buf = POLLHUP | POLLIN,
                       .aio_flags = IOCB_FLAG_RESFD, .aio_resfd = (uint32_t)descriptor};
  struct iocb *blocks[] = {&block};
  if (syscall(SYS_io_setup, 1, &context) == 0) {
    readiness_raise(descriptor);
    usleep(1000);
    readiness_lower(descriptor);
    syscall(SYS_io_submit, context, 1, blocks);
    syscall(SYS_io_destroy, context);
  }
  close(ends[0]);
  struct pollfd state = {.fd = descriptor, .events = 0};
  return poll(&state, 1, 0) == 1 && state.revents & POLLERR;
}
