// One thread keeps the time: it sleeps until shortly before the next report is due, then watches the clock. Others change what it does under `lock`.
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "descriptors.h"
#include "device.h"
#include "readiness.h"

enum { FIRST_ADDRESS = 2, DEVICES_PER_BUS = 64, SECOND = 1000000000, LATE = 50000, GIVE_UP = SECOND / 10 };

/// When a device's next burst is due.
struct schedule {
  uint64_t due, period;  // No period: never.
  uint32_t burst;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct engine_options options;
static struct sim_shared *shared;
static int memory = -1;
static struct schedule schedules[SIM_DEVICES];
static int descriptors[SIM_DEVICES][SIM_FILES];
static uint32_t raised[SIM_DEVICES];
static struct engine_timing timing;

struct sim_shared *engine_shared(void) { return shared; }
int engine_memory(void) { return memory; }

struct engine_timing engine_timing(void) {
  pthread_mutex_lock(&lock);
  struct engine_timing copy = timing;
  pthread_mutex_unlock(&lock);
  return copy;
}

// MARK: reports

static void produce(uint32_t index, uint32_t count) {
  struct sim_device *device = &shared->devices[index];
  sim_lock(device);
  if (device->is_present && device->is_polled && !device->is_flood) {
    while (count-- > 0) sim_produce(device);
  }
  raised[index] |= device->raised;
  device->raised = 0;
  sim_unlock(device);
}

/// The device is not locked: a program that wakes must not find it so.
static void wake(uint32_t index) {
  for (int i = 0; raised[index] != 0; i++) {
    if (!(raised[index] & 1u << i)) continue;
    raised[index] &= ~(1u << i);
    if (descriptors[index][i] < 0) continue;
    readiness_raise(descriptors[index][i]);
    readiness_settle(descriptors[index][i], &shared->devices[index].files[i], true);
  }
}

static void note_lateness(uint64_t late) {
  timing.ticks++;
  if (late > LATE) timing.late++;
  if (late > timing.latest_ns) timing.latest_ns = late;
}

/// All that is due by now; when the next will be, or 0.
static uint64_t run_due(void) {
  uint64_t now = sim_now(), next = 0;
  for (uint32_t i = 0; i < shared->device_count; i++) {
    struct schedule *schedule = &schedules[i];
    if (schedule->period == 0) continue;
    if (now > schedule->due + GIVE_UP) {
      timing.skipped += (now - schedule->due) / schedule->period * schedule->burst;
      schedule->due = now;
    }
    for (; schedule->due <= now; schedule->due += schedule->period) {
      note_lateness(now - schedule->due);
      produce(i, schedule->burst);
    }
    if (next == 0 || schedule->due < next) next = schedule->due;
  }
  for (uint32_t i = 0; i < shared->device_count; i++) wake(i);
  return next;
}

// MARK: the timing thread

static void sleep_until(uint64_t when) {
  const struct timespec time = {(time_t)(when / SECOND), (long)(when % SECOND)};
  pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &time);
}

_Noreturn static void *keep_time(void *unused) {
  (void)unused;
  prctl(PR_SET_TIMERSLACK, 1);
  pthread_mutex_lock(&lock);
  for (;;) {
    uint64_t next = run_due(), spin = (uint64_t)options.spin_us * 1000;
    if (next == 0) {
      pthread_cond_wait(&changed, &lock);
    } else if (sim_now() + spin < next) {
      sleep_until(next - spin);
    } else {
      pthread_mutex_unlock(&lock);
      while (sim_now() < next) __asm__ volatile("");
      pthread_mutex_lock(&lock);
    }
  }
}

static const char *start_thread(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, keep_time, NULL)) return "cannot start a thread";
  if (options.cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(options.cpu, &set);
    if (pthread_setaffinity_np(thread, sizeof set, &set)) return "--cpu: there is no such processor for us";
  }
  const struct sched_param priority = {.sched_priority = 50};
  if (options.is_real_time && pthread_setschedparam(thread, SCHED_FIFO, &priority))
    return "--real-time is not permitted; run as root, or without it";
  return NULL;
}

// MARK: devices

static void make_device(uint32_t index) {
  struct sim_device *device = &shared->devices[index];
  sim_device_init(device);
  sim_describe(device, (uint16_t)options.report_length, 1);
  device->bus = (uint8_t)(1 + index / DEVICES_PER_BUS);
  device->buffer = options.buffer;
  for (int i = 0; i < SIM_FILES; i++) descriptors[index][i] = -1;
  engine_plug(index, (uint8_t)(FIRST_ADDRESS + index % DEVICES_PER_BUS));
  if (options.is_flood) engine_set_flood(index);
  else engine_set_rate(index, options.rate, options.burst);
}

const char *engine_start(const struct engine_options *given) {
  options = *given;
  memory = memfd_create("usbfs-sim", MFD_CLOEXEC);
  if (memory < 0 || ftruncate(memory, sizeof *shared) < 0) return "cannot make shared memory";
  void *place = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (place == MAP_FAILED) return "cannot map shared memory";
  shared = place;
  shared->device_count = options.devices;
  for (uint32_t i = 0; i < options.devices; i++) make_device(i);
  return start_thread();
}

// MARK: commands

static void set_flood(uint32_t index, bool is_flood) {
  sim_lock(&shared->devices[index]);
  shared->devices[index].is_flood = is_flood;
  sim_unlock(&shared->devices[index]);
}

void engine_set_rate(uint32_t index, uint32_t rate, uint32_t burst) {
  pthread_mutex_lock(&lock);
  struct schedule *schedule = &schedules[index];
  schedule->burst = burst;
  schedule->period = rate ? (uint64_t)SECOND * burst / rate : 0;
  // On a common grid, so that devices that are told one after the other are in phase.
  if (rate) schedule->due = (sim_now() / schedule->period + 2) * schedule->period;
  if (options.is_spread) schedule->due += schedule->period * index / shared->device_count;
  set_flood(index, false);
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

/// URBs that are posted already get their reports, too.
void engine_set_flood(uint32_t index) {
  struct sim_device *device = &shared->devices[index];
  pthread_mutex_lock(&lock);
  schedules[index].period = 0;
  produce(index, device->posted_count);
  set_flood(index, true);
  wake(index);
  pthread_mutex_unlock(&lock);
}

void engine_set_buffer(uint32_t index, uint32_t buffer) {
  sim_lock(&shared->devices[index]);
  shared->devices[index].buffer = buffer;
  sim_unlock(&shared->devices[index]);
}

void engine_step(uint32_t first, uint32_t last, uint32_t count) {
  pthread_mutex_lock(&lock);
  for (uint32_t i = first; i <= last; i++) produce(i, count);
  for (uint32_t i = first; i <= last; i++) wake(i);
  pthread_mutex_unlock(&lock);
}

// MARK: files

static struct sim_device *find(uint32_t bus, uint32_t address, uint32_t *index) {
  for (*index = 0; *index < shared->device_count; ++*index) {
    struct sim_device *device = &shared->devices[*index];
    if (device->is_present && device->bus == bus && device->address == address) return device;
  }
  return NULL;
}

int engine_open(uint32_t bus, uint32_t address, int descriptor, uint32_t *index) {
  struct sim_device *device = find(bus, address, index);
  if (!device) return -ENODEV;
  pthread_mutex_lock(&lock);
  sim_lock(device);
  int file = sim_file_open(device);
  sim_unlock(device);
  if (file >= 0) descriptors[*index][file] = descriptor;
  pthread_mutex_unlock(&lock);
  return file >= 0 ? file : -EMFILE;
}

void engine_close(uint32_t index, int file) {
  struct sim_device *device = &shared->devices[index];
  pthread_mutex_lock(&lock);
  sim_lock(device);
  sim_file_close(device, file);
  sim_unlock(device);
  raised[index] &= ~(1u << file);
  close(descriptors[index][file]);
  descriptors[index][file] = -1;
  pthread_mutex_unlock(&lock);
}

bool engine_unplug(uint32_t index) {
  struct sim_device *device = &shared->devices[index];
  bool is_told = true;
  pthread_mutex_lock(&lock);
  sim_lock(device);
  sim_unplug(device);
  device->raised = 0;
  sim_unlock(device);
  pthread_mutex_unlock(&lock);
  // The kernel takes its time for that, on a busy machine seconds: the other devices' reports must not wait for it. Only this
  // thread opens and closes files.
  for (int i = 0; i < SIM_FILES; i++) {
    if (descriptors[index][i] >= 0 && !readiness_break(descriptors[index][i])) is_told = false;
  }
  return is_told;
}

void engine_plug(uint32_t index, uint8_t address) {
  struct sim_device *device = &shared->devices[index];
  sim_lock(device);
  device->address = address;
  device->configuration = 1;
  device->busy_until = 0;
  for (int i = 0; i < SIM_INTERFACES; i++) device->interfaces[i].is_bound = true;
  device->is_present = true;
  sim_unlock(device);
}
