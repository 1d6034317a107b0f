// Slots, the interrupt IN endpoint's queue, files: the state of one device, always under its lock. No system calls here but
// those of a contended lock.
#include "device.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "stamp.h"

uint64_t sim_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// MARK: the lock

/// The engine may run in real time and on the program's core: whoever it waits for has to inherit its priority.
static void init_lock(pthread_mutex_t *lock) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(lock, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

void sim_lock(struct sim_device *device) {
  if (pthread_mutex_lock(&device->lock) == EOWNERDEAD) pthread_mutex_consistent(&device->lock);
}

void sim_unlock(struct sim_device *device) { pthread_mutex_unlock(&device->lock); }

// MARK: lists of slots

static uint16_t slot_index(struct sim_device *device, struct sim_slot *slot) { return (uint16_t)(slot - device->slots); }

static void append(struct sim_device *device, struct sim_list *list, struct sim_slot *slot) {
  uint16_t index = slot_index(device, slot);
  slot->next = SIM_NONE;
  if (list->first == SIM_NONE) list->first = index;
  else device->slots[list->last].next = index;
  list->last = index;
}

static struct sim_slot *take_first(struct sim_device *device, struct sim_list *list) {
  if (list->first == SIM_NONE) return NULL;
  struct sim_slot *slot = &device->slots[list->first];
  list->first = slot->next;
  if (list->first == SIM_NONE) list->last = SIM_NONE;
  return slot;
}

/// Takes the slot behind `previous` (SIM_NONE for the first) out of a list.
static struct sim_slot *take_after(struct sim_device *device, struct sim_list *list, uint16_t previous) {
  if (previous == SIM_NONE) return take_first(device, list);
  struct sim_slot *slot = &device->slots[device->slots[previous].next];
  device->slots[previous].next = slot->next;
  if (slot->next == SIM_NONE) list->last = previous;
  return slot;
}

void sim_device_init(struct sim_device *device) {
  const struct sim_list empty = {SIM_NONE, SIM_NONE};
  init_lock(&device->lock);
  device->posted = empty;
  device->unused = empty;
  for (int i = 0; i < SIM_SLOTS; i++) append(device, &device->unused, &device->slots[i]);
  for (int i = 0; i < SIM_INTERFACES; i++) device->interfaces[i].claimed = -1;
}

struct sim_slot *sim_slot_take(struct sim_device *device, int file) {
  struct sim_slot *slot = take_first(device, &device->unused);
  if (!slot) return NULL;
  slot->file = (uint8_t)file;
  slot->has_payload = false;
  return slot;
}

/// The slot used last is used next: the fewer are touched, the smaller the program looks.
void sim_slot_free(struct sim_device *device, struct sim_slot *slot) {
  uint16_t index = slot_index(device, slot);
  slot->next = device->unused.first;
  device->unused.first = index;
  if (slot->next == SIM_NONE) device->unused.last = index;
}

// MARK: the interrupt IN endpoint

static void deliver(struct sim_device *device, struct sim_report report, uint64_t now) {
  struct sim_slot *slot = take_first(device, &device->posted);
  uint32_t length = device->report_length < slot->capacity ? device->report_length : slot->capacity;
  sim_stamp(device->payload[slot_index(device, slot)], length, report.sequence, report.ready);
  slot->has_payload = true;
  if (--device->posted_count == 0) device->window_start = now;
  device->counters.delivered++;
  sim_finish(device, slot, 0, length);
}

static struct sim_report next_pending(struct sim_device *device) {
  struct sim_report report = device->pending[device->pending_first];
  device->pending_first = (device->pending_first + 1) % SIM_PENDING;
  device->pending_count--;
  return report;
}

void sim_produce(struct sim_device *device) {
  struct sim_report report = {device->sequence++, sim_now()};
  device->counters.produced++;
  if (device->posted_count > 0) {
    deliver(device, report, report.ready);
    return;
  }
  device->counters.unposted_reports++;
  if (device->pending_count < device->buffer) {
    device->pending[(device->pending_first + device->pending_count++) % SIM_PENDING] = report;
  } else {
    device->counters.lost++;
  }
}

static void end_window(struct sim_device *device) {
  if (device->window_start == 0) return;
  device->counters.windows++;
  device->counters.window_ns += sim_now() - device->window_start;
  device->window_start = 0;
}

void sim_post(struct sim_device *device, struct sim_slot *slot) {
  append(device, &device->posted, slot);
  device->is_polled = true;
  if (device->posted_count++ == 0) end_window(device);
  if (device->pending_count > 0) deliver(device, next_pending(device), sim_now());
  else if (device->is_flood) sim_produce(device);
}

// MARK: the way back

void sim_finish(struct sim_device *device, struct sim_slot *slot, int status, uint32_t length) {
  struct sim_file *file = &device->files[slot->file];
  slot->status = status;
  slot->length = length;
  append(device, &file->done, slot);
  if (file->done_count++ == 0) device->raised |= 1u << slot->file;
}

struct sim_slot *sim_reap(struct sim_device *device, int file) {
  struct sim_slot *slot = take_first(device, &device->files[file].done);
  if (slot) device->files[file].done_count--;
  return slot;
}

/// What waits is stale when a program begins again.
static void stop_polling(struct sim_device *device) {
  device->is_polled = false;
  device->window_start = 0;
  device->counters.forgotten += device->pending_count;
  device->pending_count = 0;
}

/// A program that takes back its last URB has stopped polling.
static void unpost(struct sim_device *device) {
  if (--device->posted_count == 0) stop_polling(device);
}

struct sim_slot *sim_discard(struct sim_device *device, int file, uint64_t urb) {
  uint16_t previous = SIM_NONE;
  for (uint16_t i = device->posted.first; i != SIM_NONE; i = device->slots[i].next) {
    if (device->slots[i].urb == urb && device->slots[i].file == file) {
      unpost(device);
      return take_after(device, &device->posted, previous);
    }
    previous = i;
  }
  return NULL;
}

/// The youngest posted URB of the file, or of any (-1).
static struct sim_slot *take_youngest(struct sim_device *device, int file) {
  uint16_t before = SIM_NONE, previous = SIM_NONE;
  bool is_found = false;
  for (uint16_t i = device->posted.first; i != SIM_NONE; previous = i, i = device->slots[i].next) {
    if (file >= 0 && device->slots[i].file != file) continue;
    before = previous;
    is_found = true;
  }
  if (!is_found) return NULL;
  unpost(device);
  return take_after(device, &device->posted, before);
}

void sim_discard_all(struct sim_device *device, int file, int status) {
  struct sim_slot *slot;
  while ((slot = take_youngest(device, file))) sim_finish(device, slot, status, 0);
}

// MARK: files

int sim_file_open(struct sim_device *device) {
  for (int i = 0; i < SIM_FILES; i++) {
    struct sim_file *file = &device->files[i];
    if (file->is_used) continue;
    *file = (struct sim_file){.is_used = true, .done = {SIM_NONE, SIM_NONE}};
    return i;
  }
  return -1;
}

void sim_file_close(struct sim_device *device, int file) {
  struct sim_slot *slot;
  sim_discard_all(device, file, 0);
  while ((slot = sim_reap(device, file))) sim_slot_free(device, slot);
  for (int i = 0; i < SIM_INTERFACES; i++) {
    if (device->interfaces[i].claimed == file) device->interfaces[i].claimed = -1;
  }
  if (device->posted_count == 0) stop_polling(device);
  device->raised &= ~(1u << file);
  device->files[file].is_used = false;
}

void sim_unplug(struct sim_device *device) {
  device->is_present = false;
  for (int i = 0; i < SIM_FILES; i++) device->files[i].is_gone = device->files[i].is_used;
  sim_discard_all(device, -1, -ESHUTDOWN);
  for (int i = 0; i < SIM_INTERFACES; i++) device->interfaces[i] = (struct sim_interface){.claimed = -1};
}
