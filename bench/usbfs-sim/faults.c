// A fault names requests, lets some pass, and is met by those behind them until it is used up.
#include "faults.h"

#include <errno.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { ANY = 0, FOREVER = 0 };

static const struct {
  const char *name;
  unsigned long request;
  int endpoint;  // Of a URB; -1: any.
} requests[] = {
    {"any", ANY, -1},
    {"urb", USBDEVFS_SUBMITURB, -1},
    {"urb-00", USBDEVFS_SUBMITURB, 0},
    {"urb-81", USBDEVFS_SUBMITURB, SIM_INTERRUPT_IN},
    {"urb-01", USBDEVFS_SUBMITURB, SIM_INTERRUPT_OUT},
    {"urb-82", USBDEVFS_SUBMITURB, SIM_BULK_IN},
    {"urb-02", USBDEVFS_SUBMITURB, SIM_BULK_OUT},
    {"discard", USBDEVFS_DISCARDURB, -1},
    {"claim", USBDEVFS_CLAIMINTERFACE, -1},
    {"release", USBDEVFS_RELEASEINTERFACE, -1},
    {"set-interface", USBDEVFS_SETINTERFACE, -1},
    {"set-configuration", USBDEVFS_SETCONFIGURATION, -1},
    {"clear-halt", USBDEVFS_CLEAR_HALT, -1},
    {"reset", USBDEVFS_RESET, -1},
};

static const struct {
  const char *name;
  int kind;
  int32_t value;
} kinds[] = {
    {"stall", SIM_FINISH, -EPIPE},   {"ioerror", SIM_FINISH, -EPROTO}, {"babble", SIM_FINISH, -EOVERFLOW},
    {"enomem", SIM_FAIL, ENOMEM},    {"eio", SIM_FAIL, EIO},           {"enodev", SIM_FAIL, ENODEV},
    {"epipe", SIM_FAIL, EPIPE},      {"ebusy", SIM_FAIL, EBUSY},       {"einval", SIM_FAIL, EINVAL},
    {"hang", SIM_HANG, 0},           {"unplug", SIM_UNPLUG, 0},
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

/// Takes `MARK NUMBER` off the end of the text; `otherwise` when it is not there.
static bool take_number(char *text, char mark, uint32_t otherwise, uint32_t *value) {
  char *place = strrchr(text, mark), *end;
  *value = otherwise;
  if (!place) return true;
  unsigned long parsed = strtoul(place + 1, &end, 10);
  if (end == place + 1 || *end || parsed > 1000000) return false;
  *place = 0;
  *value = (uint32_t)parsed;
  return true;
}

static const char *read_kind(char *text, struct sim_fault *fault) {
  uint32_t value;
  if (!take_number(text, '=', 0, &value)) return "the value behind = is a number up to 1000000";
  for (size_t i = 0; i < COUNT(kinds); i++) {
    if (strcmp(text, kinds[i].name) != 0) continue;
    fault->kind = (uint8_t)kinds[i].kind;
    fault->value = kinds[i].kind == SIM_HANG ? (int32_t)value : kinds[i].value;
    if (kinds[i].kind == SIM_HANG && value == 0) return "hang takes its milliseconds: hang=5000";
    if (kinds[i].kind == SIM_FINISH && requests[fault->request].request != USBDEVFS_SUBMITURB)
      return "stall, ioerror and babble are ends of a urb; another request fails with an errno";
    return NULL;
  }
  return "what happens is one of stall, ioerror, babble, enomem, eio, enodev, epipe, ebusy, einval, hang=MS, unplug";
}

const char *sim_fault_read(const char *text, struct sim_fault *fault) {
  char words[64];
  memset(fault, 0, sizeof *fault);
  if (strcmp(text, "none") == 0) return NULL;
  snprintf(words, sizeof words, "%s", text);
  char *colon = strchr(words, ':');
  if (!colon) return "a fault is none, or REQUEST:KIND[=VALUE][xCOUNT][@AFTER]";
  *colon++ = 0;
  // From behind: `hang=5000x2@7`; `x` is no letter of a kind.
  if (!take_number(colon, '@', 0, &fault->passes) || !take_number(colon, 'x', 1, &fault->count))
    return "behind @ and x stand numbers up to 1000000";
  for (size_t i = 0; i < COUNT(requests); i++) {
    fault->request = (uint8_t)i;
    if (strcmp(words, requests[i].name) == 0) return read_kind(colon, fault);
  }
  return "REQUEST is one of any, urb, urb-00, urb-81, urb-01, urb-82, urb-02, discard, claim, release, set-interface, "
         "set-configuration, clear-halt, reset";
}

bool sim_fault_add(struct sim_device *device, const struct sim_fault *fault) {
  if (fault->kind == SIM_PROCEED) {
    device->fault_count = 0;
    return true;
  }
  if (device->fault_count == SIM_FAULTS) return false;
  device->faults[device->fault_count++] = *fault;
  return true;
}

static bool is_meant(const struct sim_fault *fault, unsigned long request, const void *argument) {
  if (requests[fault->request].request == ANY) return true;
  if (requests[fault->request].request != request) return false;
  int endpoint = requests[fault->request].endpoint;
  if (endpoint < 0) return true;
  const struct usbdevfs_urb *urb = argument;
  return (urb->type == USBDEVFS_URB_TYPE_CONTROL ? 0 : urb->endpoint) == endpoint;
}

static void forget(struct sim_device *device, uint32_t index) {
  device->fault_count--;
  memmove(&device->faults[index], &device->faults[index + 1], (device->fault_count - index) * sizeof *device->faults);
}

struct sim_verdict sim_fault_meet(struct sim_device *device, unsigned long request, const void *argument) {
  struct sim_verdict verdict = {.kind = SIM_PROCEED};
  if (request == USBDEVFS_REAPURBNDELAY) return verdict;
  for (uint32_t i = 0; i < device->fault_count; i++) {
    struct sim_fault *fault = &device->faults[i];
    if (!is_meant(fault, request, argument)) continue;
    if (fault->passes > 0) {
      fault->passes--;
      continue;
    }
    verdict.kind = fault->kind;
    verdict.value = fault->value;
    if (fault->count != FOREVER && --fault->count == 0) forget(device, i);
    return verdict;
  }
  return verdict;
}
