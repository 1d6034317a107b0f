#define _GNU_SOURCE
// Files of any size: on 32-bit machines `off_t` has 64 bits only where this is defined, and Swift sees the headers
// without it.
#define _FILE_OFFSET_BITS 64
#include "CPosix.h"

#include <sys/file.h>

int posixOpenFile(const char *path, int flags) { return open(path, flags | O_CLOEXEC | O_NOCTTY); }

int posixKind(const char *path) {
  struct stat status;
  return stat(path, &status) < 0 ? -1 : (int)(status.st_mode & S_IFMT);
}

int64_t posixSize(int descriptor) { return lseek(descriptor, 0, SEEK_END); }

int posixLock(int descriptor, int exclusive) {
  return flock(descriptor, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
}

ssize_t posixReadAt(int descriptor, void *memory, size_t count, uint64_t offset) {
  return pread(descriptor, memory, count, (off_t)offset);
}

ssize_t posixReadNow(int descriptor, void *memory, size_t count, uint64_t offset) {
  struct iovec piece = {.iov_base = memory, .iov_len = count};
  return preadv2(descriptor, &piece, 1, (off_t)offset, RWF_NOWAIT);
}

ssize_t posixWriteAt(int descriptor, const void *memory, size_t count, uint64_t offset) {
  return pwrite(descriptor, memory, count, (off_t)offset);
}
