// One connection to the engine for the whole program, made when it first opens a device. When it ends, so do its files: the
// engine cleans up after a program that was killed.
#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "message.h"
#include "readiness.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int engine = -1;
static struct sim_shared *shared;
static char text[MESSAGE_LENGTH];  // Too long for a thread's stack.

/// Out of the way: a program's own descriptors have the numbers that they would have without us.
static int move_up(int descriptor) {
  int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, 900);
  if (moved < 0) return descriptor;
  syscall(SYS_close, descriptor);
  return moved;
}

static bool map(int memory) {
  void *place = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  syscall(SYS_close, memory);
  if (place == MAP_FAILED) return false;
  shared = place;
  return true;
}

/// With the lock.
static bool connect_once(void) {
  if (engine >= 0) return true;
  const char *name = getenv("USBFS_SIM");
  int connection = name ? message_connect(name) : -1;
  if (connection < 0) return false;
  connection = move_up(connection);
  int memory = -1;
  if (message_send(connection, "memory", -1) && message_receive(connection, text, &memory) && memory >= 0 && map(memory)) {
    engine = connection;
    return true;
  }
  syscall(SYS_close, connection);
  return false;
}

/// With the lock. What the engine makes of it: 0, or an errno.
static int ask_to_open(struct client_file *file, unsigned bus, unsigned address) {
  int error = EIO;
  snprintf(text, sizeof text, "open %u %u", bus, address);
  if (!message_send(engine, text, file->descriptor) || !message_receive(engine, text, NULL)) return EIO;
  if (sscanf(text, "file %d %d", &file->index, &file->file) == 2) return 0;
  sscanf(text, "error %d", &error);
  return error;
}

struct client_file *client_open(unsigned bus, unsigned address) {
  struct client_file *file = calloc(1, sizeof *file);
  if (!file) return NULL;
  file->descriptor = readiness_open();
  pthread_mutex_lock(&lock);
  int error = file->descriptor < 0 ? errno : connect_once() ? ask_to_open(file, bus, address) : ENODEV;
  pthread_mutex_unlock(&lock);
  if (error == 0) {
    file->device = &shared->devices[file->index];
    return file;
  }
  if (file->descriptor >= 0) syscall(SYS_close, file->descriptor);
  free(file);
  errno = error;
  return NULL;
}

void client_close(struct client_file *file) {
  pthread_mutex_lock(&lock);
  snprintf(text, sizeof text, "close %d %d", file->index, file->file);
  if (message_send(engine, text, -1)) message_receive(engine, text, NULL);
  pthread_mutex_unlock(&lock);
  free(file);
}

void client_unplug(const struct client_file *file) {
  pthread_mutex_lock(&lock);
  snprintf(text, sizeof text, "unplug %d", file->index);
  if (message_send(engine, text, -1)) message_receive(engine, text, NULL);
  pthread_mutex_unlock(&lock);
}
