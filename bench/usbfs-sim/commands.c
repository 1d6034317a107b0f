// A table of commands: a name, what it does, and to which devices.
#include "commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "descriptors.h"
#include "device.h"
#include "engine.h"
#include "faults.h"
#include "stats.h"
#include "tree.h"

enum { FIRST_ADDRESS = 2, LAST_ADDRESS = 127 };

struct call {
  uint32_t first, last;  // The devices.
  const char *value;
  char *answer;
  size_t room;
};

__attribute__((format(printf, 2, 3))) static void refuse(const struct call *call, const char *format, ...) {
  int length = snprintf(call->answer, call->room, "error: ");
  va_list list;
  va_start(list, format);
  vsnprintf(call->answer + length, call->room - (size_t)length, format, list);
  va_end(list);
}

static bool number(const struct call *call, uint32_t *value) {
  char *end;
  unsigned long parsed = strtoul(call->value, &end, 10);
  if (end == call->value || *end || parsed > 1000000) {
    refuse(call, "'%s' is no number up to 1000000", call->value);
    return false;
  }
  *value = (uint32_t)parsed;
  return true;
}

// MARK: the commands

static void stats(const struct call *call) { stats_write(call->answer, call->room, call->first, call->last); }

/// Where the mocked sysfs is, for `usbfs-sim run`.
static void folder(const struct call *call) { snprintf(call->answer, call->room, "%s", getenv("UMOCKDEV_DIR")); }

static void rate(const struct call *call) {
  uint32_t rate = 0, burst = 1;
  char text[32], *times;
  snprintf(text, sizeof text, "%s", call->value);
  if ((times = strchr(text, 'x'))) {
    *times = 0;
    struct call part = *call;
    part.value = times + 1;
    if (!number(&part, &burst)) return;
  }
  struct call part = *call;
  part.value = text;
  bool is_flood = strcmp(text, "flood") == 0;
  if (!is_flood && !number(&part, &rate)) return;
  if (burst == 0) {
    refuse(call, "'%s': a burst has at least one report", call->value);
    return;
  }
  for (uint32_t i = call->first; i <= call->last; i++) {
    if (is_flood) engine_set_flood(i);
    else engine_set_rate(i, rate, burst);
  }
}

static void buffer(const struct call *call) {
  uint32_t value;
  if (!number(call, &value)) return;
  if (value > SIM_PENDING) {
    refuse(call, "'%s': a device holds 65536 reports at most", call->value);
    return;
  }
  for (uint32_t i = call->first; i <= call->last; i++) engine_set_buffer(i, value);
}

static void step(const struct call *call) {
  uint32_t count;
  if (number(call, &count)) engine_step(call->first, call->last, count);
}

static void unplug(const struct call *call) {
  for (uint32_t i = call->first; i <= call->last; i++) {
    if (!engine_shared()->devices[i].is_present) continue;
    if (!engine_unplug(i)) refuse(call, "%s", "the kernel has no asynchronous I/O: programs do not see POLLERR");
    tree_remove(i);
  }
}

static bool is_taken(uint8_t bus, uint8_t address) {
  for (uint32_t i = 0; i < engine_shared()->device_count; i++) {
    const struct sim_device *device = &engine_shared()->devices[i];
    if (device->is_present && device->bus == bus && device->address == address) return true;
  }
  return false;
}

/// As the kernel counts: the next one up, around after 127.
static uint8_t next_address(const struct sim_device *device) {
  uint8_t address = device->address;
  do address = address == LAST_ADDRESS ? FIRST_ADDRESS : (uint8_t)(address + 1);
  while (is_taken(device->bus, address));
  return address;
}

static void plug(const struct call *call) {
  for (uint32_t i = call->first; i <= call->last; i++) {
    struct sim_device *device = &engine_shared()->devices[i];
    if (device->is_present) continue;
    engine_plug(i, next_address(device));
    const char *error = tree_add(device, i);
    if (error) refuse(call, "%s", error);
  }
}

static void fault(const struct call *call) {
  struct sim_fault fault;
  const char *error = sim_fault_read(call->value, &fault);
  for (uint32_t i = call->first; i <= call->last && !error; i++) {
    struct sim_device *device = &engine_shared()->devices[i];
    sim_lock(device);
    if (!sim_fault_add(device, &fault)) error = "a device has eight faults at most";
    sim_unlock(device);
  }
  if (error) refuse(call, "%s", error);
}

/// Another device, as one whose firmware was exchanged: tools and programs see it when it is plugged in the next time.
static void product(const struct call *call) {
  unsigned value;
  int end = 0;
  if (sscanf(call->value, "%4x%n", &value, &end) != 1 || call->value[end]) {
    refuse(call, "'%s' is no idProduct in hexadecimal", call->value);
    return;
  }
  for (uint32_t i = call->first; i <= call->last; i++) {
    struct sim_device *device = &engine_shared()->devices[i];
    sim_lock(device);
    sim_set_product(device, (uint16_t)value);
    sim_unlock(device);
  }
}

static const struct command {
  const char *name;
  void (*run)(const struct call *call);
  bool has_value;
} commands[] = {
    {"stats", stats, false}, {"rate", rate, true},     {"buffer", buffer, true},
    {"step", step, true},    {"unplug", unplug, false}, {"plug", plug, false},
    {"folder", folder, false}, {"fault", fault, true}, {"product", product, true},
};

// MARK: one line

static bool parse_devices(const char *text, struct call *call) {
  uint32_t count = engine_shared()->device_count;
  int end = 0;
  if (!text || strcmp(text, "all") == 0) {
    call->first = 0;
    call->last = count - 1;
    return true;
  }
  if (sscanf(text, "%u-%u%n", &call->first, &call->last, &end) != 2 || text[end]) {
    end = 0;
    if (sscanf(text, "%u%n", &call->first, &end) != 1 || text[end]) end = 0;
    call->last = call->first;
  }
  if (end && call->first <= call->last && call->last < count) return true;
  refuse(call, "'%s': there are no such devices; use all, a number from 0 or FIRST-LAST", text);
  return false;
}

bool command_run(const char *line, char *answer, size_t room) {
  char words[256], *rest;
  struct call call = {.answer = answer, .room = room};
  snprintf(words, sizeof words, "%s", line);
  snprintf(answer, room, "ok");
  const char *name = strtok_r(words, " ", &rest);
  if (name && strcmp(name, "quit") == 0) return false;
  for (size_t i = 0; name && i < sizeof commands / sizeof commands[0]; i++) {
    const struct command *command = &commands[i];
    if (strcmp(name, command->name) != 0) continue;
    call.value = command->has_value ? strtok_r(NULL, " ", &rest) : "";
    if (!call.value) refuse(&call, "%s needs a value", name);
    else if (parse_devices(strtok_r(NULL, " ", &rest), &call)) command->run(&call);
    return true;
  }
  refuse(&call, "'%s' is none of stats, rate, buffer, step, unplug, plug, fault, product, quit", name ? name : "");
  return true;
}
