// Preloaded into a server: allocations of libusb and libevent, and new threads, fail when they are told to. Swift's own
// allocations end a process that gets none, and are left alone.
//
// $SCARCITY names a file with two `struct scarce`, memory's and threads', that may change at any time.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

struct scarce {
  /// Requests that go well before some fail.
  _Atomic int64_t after;
  /// Requests that still fail.
  _Atomic int64_t count;
  /// Requests that have failed.
  _Atomic int64_t failed;
  /// When none fails any more, in nanoseconds of CLOCK_MONOTONIC: however late whoever began it is to end it.
  _Atomic int64_t until;
};

struct range {
  uintptr_t start, end;
};

static struct scarce *scarce;
static struct range libraries[2];
static int library_count;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static bool fails(struct scarce *what) {
  if (what->count <= 0 || now() > what->until || what->after-- > 0 || what->count-- <= 0) return false;
  what->failed++;
  return true;
}

static bool memory_fails(const void *caller) {
  uintptr_t address = (uintptr_t)caller;
  for (int i = 0; i < library_count; i++) {
    if (address >= libraries[i].start && address < libraries[i].end) {
      if (!fails(&scarce[0])) return false;
      errno = ENOMEM;
      return true;
    }
  }
  return false;
}

// MARK: what fails

void *malloc(size_t size) { return memory_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size); }

void *calloc(size_t count, size_t size) {
  return memory_fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  return memory_fails(__builtin_return_address(0)) ? NULL : __libc_realloc(memory, size);
}

char *strdup(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = memory_fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
  return copy ? memcpy(copy, text, size) : NULL;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
  static __typeof__(&pthread_create) next;
  if (!next) next = (__typeof__(next))dlsym(RTLD_NEXT, "pthread_create");
  if (!scarce || !fails(&scarce[1])) return next(thread, attributes, body, argument);
  // As glibc leaves it behind a clone(2) that was refused.
  errno = EAGAIN;
  return EAGAIN;
}

// MARK: whose requests

static int find_libraries(struct dl_phdr_info *object, size_t size, void *unused) {
  (void)size, (void)unused;
  if (!strstr(object->dlpi_name, "/libusb-1.0.so") && !strstr(object->dlpi_name, "/libevent_core-")) return 0;
  struct range *range = &libraries[library_count];
  *range = (struct range){UINTPTR_MAX, 0};
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
    if (segment->p_type != PT_LOAD) continue;
    uintptr_t start = object->dlpi_addr + segment->p_vaddr, end = start + segment->p_memsz;
    if (start < range->start) range->start = start;
    if (end > range->end) range->end = end;
  }
  library_count++;
  return library_count == 2;
}

__attribute__((constructor)) static void install(void) {
  const char *path = getenv("SCARCITY");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  void *memory = file < 0 ? MAP_FAILED : mmap(NULL, 2 * sizeof *scarce, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (file >= 0) close(file);
  if (memory == MAP_FAILED) return;
  scarce = memory;
  dl_iterate_phdr(find_libraries, NULL);
}
