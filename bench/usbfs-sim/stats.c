// JSON by hand: names and whole numbers alone.
#include "stats.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "engine.h"

struct writer {
  char *text;
  size_t room, length;
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *writer, const char *format, ...) {
  va_list list;
  va_start(list, format);
  int length = vsnprintf(writer->text + writer->length, writer->room - writer->length, format, list);
  va_end(list);
  if (length > 0 && (size_t)length < writer->room - writer->length) writer->length += (size_t)length;
}

#define COUNTERS(each)                                                                                        \
  each(ioctls) each(submits) each(reaps) each(empty_reaps) each(discards) each(controls) each(produced)       \
  each(delivered) each(lost) each(forgotten) each(unposted_reports) each(windows) each(window_ns) each(faults)\
  each(interrupt_out) each(bulk_in) each(bulk_in_bytes) each(bulk_out) each(bulk_out_bytes)

static void put_counters(struct writer *writer, const struct sim_counters *counters) {
#define PUT(name) put(writer, ",\"" #name "\":%llu", (unsigned long long)counters->name);
  COUNTERS(PUT)
}

static void add(struct sim_counters *sum, const struct sim_counters *counters) {
#define ADD(name) sum->name += counters->name;
  COUNTERS(ADD)
}

struct snapshot {
  struct sim_counters counters;
  uint32_t pending, posted;
  uint32_t open, claimed, bound;
  bool is_present;
  uint8_t bus, address;
};

static void count_owners(struct snapshot *snapshot, const struct sim_device *device) {
  for (int i = 0; i < SIM_FILES; i++) snapshot->open += device->files[i].is_used;
  for (int i = 0; i < SIM_INTERFACES; i++) {
    snapshot->claimed += device->interfaces[i].claimed >= 0;
    snapshot->bound += device->interfaces[i].is_bound;
  }
}

static struct snapshot take(uint32_t index) {
  struct sim_device *device = &engine_shared()->devices[index];
  sim_lock(device);
  struct snapshot snapshot = {.counters = device->counters,
                              .pending = device->pending_count,
                              .posted = device->posted_count,
                              .is_present = device->is_present,
                              .bus = device->bus,
                              .address = device->address};
  count_owners(&snapshot, device);
  sim_unlock(device);
  return snapshot;
}

void stats_write(char *text, size_t room, uint32_t first, uint32_t last) {
  struct writer writer = {text, room, 0};
  struct sim_counters sum = {0};
  uint32_t pending = 0, posted = 0;
  put(&writer, "{\"devices\":[");
  for (uint32_t i = first; i <= last; i++) {
    struct snapshot device = take(i);
    put(&writer, "%s{\"device\":%u,\"bus\":%u,\"address\":%u,\"present\":%s,\"open\":%u,\"claimed\":%u,\"bound\":%u,\"pending\":%u,"
        "\"posted\":%u", i > first ? "," : "", i, device.bus, device.address, device.is_present ? "true" : "false", device.open,
        device.claimed, device.bound, device.pending, device.posted);
    put_counters(&writer, &device.counters);
    put(&writer, "}");
    add(&sum, &device.counters);
    pending += device.pending;
    posted += device.posted;
  }
  put(&writer, "],\"total\":{\"time_ns\":%llu,\"pending\":%u,\"posted\":%u", (unsigned long long)sim_now(), pending, posted);
  put_counters(&writer, &sum);
  struct engine_timing timing = engine_timing();
  put(&writer, "},\"engine\":{\"ticks\":%llu,\"late\":%llu,\"latest_ns\":%llu,\"skipped\":%llu}}", (unsigned long long)timing.ticks,
      (unsigned long long)timing.late, (unsigned long long)timing.latest_ns, (unsigned long long)timing.skipped);
}
