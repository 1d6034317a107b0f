// One function per ioctl, and a switch. Errors are those of drivers/usb/core/devio.c.
#include "usbfs.h"

#include <errno.h>
#include <linux/usb/ch9.h>
#include <linux/usbdevice_fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "device.h"
#include "requests.h"
#include "stamp.h"

enum { SETUP_LENGTH = 8, HIGH_SPEED = USB_SPEED_HIGH };

// MARK: interfaces

static const char kernel_driver[] = "usbsim";

static struct sim_interface *interface_of(struct sim_device *device, unsigned number) {
  return number < SIM_INTERFACES ? &device->interfaces[number] : NULL;
}

static long claim(struct sim_device *device, int file, unsigned number) {
  struct sim_interface *interface = interface_of(device, number);
  if (!interface) return -ENOENT;
  if (interface->claimed == file) return 0;
  if (interface->is_bound || interface->claimed >= 0) return -EBUSY;
  interface->claimed = (int8_t)file;
  return 0;
}

/// URBs of one interface come back with this status; only the interrupt IN endpoint has some that wait.
static void flush_interface(struct sim_device *device, int file, unsigned number, int status) {
  if (number == 0) sim_discard_all(device, file, status);
}

static long release(struct sim_device *device, int file, unsigned number) {
  struct sim_interface *interface = interface_of(device, number);
  if (!interface) return -ENOENT;
  if (interface->claimed != file) return -EINVAL;
  flush_interface(device, file, number, -ENOENT);
  interface->claimed = -1;
  interface->setting = 0;
  return 0;
}

static long get_driver(struct sim_device *device, struct usbdevfs_getdriver *answer) {
  struct sim_interface *interface = interface_of(device, answer->interface);
  if (!interface) return -ENOENT;
  if (!interface->is_bound && interface->claimed < 0) return -ENODATA;
  strcpy(answer->driver, interface->is_bound ? kernel_driver : "usbfs");
  return 0;
}

static long driver_call(struct sim_device *device, const struct usbdevfs_ioctl *call) {
  struct sim_interface *interface = interface_of(device, (unsigned)call->ifno);
  if (!interface) return -EINVAL;
  switch ((unsigned)call->ioctl_code) {
    case USBDEVFS_DISCONNECT:
      if (!interface->is_bound) return -ENODATA;
      interface->is_bound = false;
      return 0;
    case USBDEVFS_CONNECT:
      if (interface->is_bound || interface->claimed >= 0) return -EBUSY;
      interface->is_bound = true;
      return 1;
    default: return -ENOTTY;
  }
}

static long disconnect_claim(struct sim_device *device, int file, const struct usbdevfs_disconnect_claim *call) {
  struct sim_interface *interface = interface_of(device, call->interface);
  if (!interface) return -EINVAL;
  interface->is_bound = false;
  return claim(device, file, call->interface);
}

static long set_interface(struct sim_device *device, int file, const struct usbdevfs_setinterface *call) {
  struct sim_interface *interface = interface_of(device, call->interface);
  if (!interface) return -ENOENT;
  long error = claim(device, file, call->interface);
  if (error) return error;
  if (call->altsetting != 0) return -EINVAL;
  flush_interface(device, file, call->interface, -ESHUTDOWN);
  return 0;
}

static long set_configuration(struct sim_device *device, int value) {
  for (int i = 0; i < SIM_INTERFACES; i++) {
    if (device->interfaces[i].claimed >= 0) return -EBUSY;
  }
  if (value > 1) return -EINVAL;
  device->configuration = value < 0 ? 0 : (uint8_t)value;
  for (int i = 0; i < SIM_INTERFACES; i++) device->interfaces[i].is_bound = device->configuration != 0;
  return 0;
}

// MARK: transfers

static void finish_control(struct sim_device *device, struct sim_slot *slot, const struct usbdevfs_urb *urb) {
  struct sim_setup setup;
  memcpy(&setup, urb->buffer, sizeof setup);
  int length = sim_control(device, &setup, (uint8_t *)urb->buffer + SETUP_LENGTH);
  sim_finish(device, slot, length < 0 ? length : 0, length < 0 ? 0 : (uint32_t)length);
}

static void finish_bulk_in(struct sim_device *device, struct sim_slot *slot, const struct usbdevfs_urb *urb) {
  sim_stamp(urb->buffer, slot->capacity, device->counters.bulk_in++, sim_now());
  device->counters.bulk_in_bytes += slot->capacity;
  sim_finish(device, slot, 0, slot->capacity);
}

static void finish_out(struct sim_device *device, struct sim_slot *slot) {
  if (slot->endpoint == SIM_INTERRUPT_OUT) {
    device->counters.interrupt_out++;
  } else {
    device->counters.bulk_out++;
    device->counters.bulk_out_bytes += slot->capacity;
  }
  sim_finish(device, slot, 0, slot->capacity);
}

/// What the URB is for has to exist, to be of that type, and to be the file's own.
static long check(struct sim_device *device, int file, const struct usbdevfs_urb *urb) {
  if (urb->buffer_length < 0) return -EINVAL;
  switch (urb->type) {
    case USBDEVFS_URB_TYPE_CONTROL: {
      struct sim_setup setup;
      if (urb->buffer_length < SETUP_LENGTH) return -EINVAL;
      memcpy(&setup, urb->buffer, sizeof setup);
      return urb->buffer_length < setup.length + SETUP_LENGTH ? -EINVAL : 0;
    }
    case USBDEVFS_URB_TYPE_INTERRUPT:
      if (urb->endpoint != SIM_INTERRUPT_IN && urb->endpoint != SIM_INTERRUPT_OUT) return -ENOENT;
      return claim(device, file, 0);
    case USBDEVFS_URB_TYPE_BULK:
      if (urb->endpoint != SIM_BULK_IN && urb->endpoint != SIM_BULK_OUT) return -ENOENT;
      return claim(device, file, 1);
    default: return -EINVAL;
  }
}

static long submit(struct sim_device *device, int file, struct usbdevfs_urb *urb) {
  int status = device->next_status;
  device->next_status = 0;
  long error = check(device, file, urb);
  if (error) return error;
  struct sim_slot *slot = sim_slot_take(device, file);
  if (!slot) return -ENOMEM;
  device->counters.submits++;
  slot->urb = (uintptr_t)urb;
  slot->endpoint = urb->endpoint;
  slot->capacity = (uint32_t)urb->buffer_length;
  if (status) sim_finish(device, slot, status, 0);
  else if (urb->type == USBDEVFS_URB_TYPE_CONTROL) finish_control(device, slot, urb);
  else if (urb->endpoint == SIM_INTERRUPT_IN) sim_post(device, slot);
  else if (urb->endpoint == SIM_BULK_IN) finish_bulk_in(device, slot, urb);
  else finish_out(device, slot);
  return 0;
}

static long reap(struct sim_device *device, int file, void **argument) {
  struct sim_slot *slot = sim_reap(device, file);
  if (!slot) {
    device->counters.empty_reaps++;
    return device->files[file].is_gone ? -ENODEV : -EAGAIN;
  }
  struct usbdevfs_urb *urb = (void *)(uintptr_t)slot->urb;
  if (slot->has_payload) memcpy(urb->buffer, device->payload[slot - device->slots], slot->length);
  urb->status = slot->status;
  urb->actual_length = (int)slot->length;
  sim_slot_free(device, slot);
  device->counters.reaps++;
  *argument = urb;
  return 0;
}

static long discard(struct sim_device *device, int file, const void *urb) {
  struct sim_slot *slot = sim_discard(device, file, (uintptr_t)urb);
  if (!slot) return -EINVAL;
  device->counters.discards++;
  sim_finish(device, slot, -ENOENT, 0);
  return 0;
}

static long control(struct sim_device *device, const struct usbdevfs_ctrltransfer *call) {
  const struct sim_setup setup = {call->bRequestType, call->bRequest, call->wValue, call->wIndex, call->wLength};
  return sim_control(device, &setup, call->data);
}

// MARK: the switch

static long connect_info(const struct sim_device *device, struct usbdevfs_connectinfo *answer) {
  answer->devnum = device->address;
  answer->slow = 0;
  return 0;
}

static long carry_out(struct sim_device *device, int file, unsigned long request, void *argument) {
  switch (request) {
    case USBDEVFS_SUBMITURB: return submit(device, file, argument);
    case USBDEVFS_DISCARDURB: return discard(device, file, argument);
    case USBDEVFS_CONTROL: return control(device, argument);
    case USBDEVFS_GETDRIVER: return get_driver(device, argument);
    case USBDEVFS_IOCTL: return driver_call(device, argument);
    case USBDEVFS_CLAIMINTERFACE: return claim(device, file, *(unsigned *)argument);
    case USBDEVFS_RELEASEINTERFACE: return release(device, file, *(unsigned *)argument);
    case USBDEVFS_DISCONNECT_CLAIM: return disconnect_claim(device, file, argument);
    case USBDEVFS_SETINTERFACE: return set_interface(device, file, argument);
    case USBDEVFS_SETCONFIGURATION: return set_configuration(device, *(int *)argument);
    case USBDEVFS_CLEAR_HALT: return 0;
    case USBDEVFS_RESET: return 0;
    case USBDEVFS_CONNECTINFO: return connect_info(device, argument);
    case USBDEVFS_GET_SPEED: return HIGH_SPEED;
    case USBDEVFS_GET_CAPABILITIES:
      *(__u32 *)argument = USBDEVFS_CAP_ZERO_PACKET | USBDEVFS_CAP_NO_PACKET_SIZE_LIM |
                           USBDEVFS_CAP_BULK_SCATTER_GATHER | USBDEVFS_CAP_REAP_AFTER_DISCONNECT;
      return 0;
    default: return -ENOTTY;
  }
}

long usbfs_ioctl(struct sim_device *device, int file, unsigned long request, void *argument) {
  device->counters.ioctls++;
  if (request == USBDEVFS_REAPURBNDELAY) return reap(device, file, argument);
  if (device->files[file].is_gone) return -ENODEV;
  return carry_out(device, file, request, argument);
}
