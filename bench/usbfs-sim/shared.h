// The memory that the engine shares with the programs on its bus: every simulated device, each under a lock of its own.
// What a host controller and usbfs keep of a device is here; which descriptor belongs to a file is known to its owner alone.
#ifndef USBFS_SIM_SHARED_H
#define USBFS_SIM_SHARED_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
  SIM_DEVICES = 256,
  SIM_FILES = 8,         // Open files of one device.
  SIM_SLOTS = 256,       // URBs of one device that are posted or not yet reaped.
  SIM_PAYLOAD = 1024,    // The longest report: an interrupt endpoint's largest packet.
  SIM_PENDING = 65536,   // Reports that a device can hold.
  SIM_INTERFACES = 2,
  SIM_DESCRIPTORS = 128,
  SIM_FAULTS = 8,        // Of one device at a time.
  SIM_NONE = 0xffff,     // No slot.
  SIM_INTERRUPT_IN = 0x81,
  SIM_INTERRUPT_OUT = 0x01,
  SIM_BULK_IN = 0x82,
  SIM_BULK_OUT = 0x02,
};

/// A list of slots, linked through `next`.
struct sim_list {
  uint16_t first, last;
};

/// A URB that usbfs has.
struct sim_slot {
  uint64_t urb;  // The program's own pointer to it.
  uint32_t capacity;
  uint32_t length;
  int32_t status;
  uint16_t next;
  uint8_t file;
  uint8_t endpoint;
  bool has_payload;  // The data lies in `payload` and has to be copied when the URB is reaped.
};

/// An open file of the device. Its descriptor is ready exactly when `done_count` is not 0.
struct sim_file {
  bool is_used;
  bool is_gone;  // The device it was opened for is unplugged.
  struct sim_list done;
  _Atomic uint32_t done_count;
};

struct sim_interface {
  bool is_bound;   // The kernel's driver has it.
  int8_t claimed;  // The file that has it, or -1.
  uint8_t setting;
};

/// A report that is ready and that no URB has taken.
struct sim_report {
  uint64_t sequence, ready;
};

/// What goes wrong with requests of one kind, after some and so many times: see faults.h.
struct sim_fault {
  uint8_t request, kind;
  int32_t value;
  uint32_t passes, count;
};

struct sim_counters {
  uint64_t ioctls, submits, reaps, empty_reaps, discards, controls;
  uint64_t produced, delivered, lost, forgotten;  // Forgotten: waited in the device when the program stopped polling.
  uint64_t unposted_reports;         // Reports that became ready while no URB was posted.
  uint64_t windows, window_ns;       // Times between a report that took the last URB and the next submit.
  uint64_t faults;                   // Requests that met one.
  uint64_t interrupt_out, bulk_in, bulk_in_bytes, bulk_out, bulk_out_bytes;
};

struct sim_device {
  alignas(4096) pthread_mutex_t lock;
  bool is_present;
  uint8_t bus, address;
  uint8_t configuration;
  uint8_t descriptors[SIM_DESCRIPTORS];
  uint32_t descriptors_length;
  struct sim_interface interfaces[SIM_INTERFACES];
  struct sim_file files[SIM_FILES];
  uint32_t raised;  // Files that had nothing to reap and now do: whoever has the lock takes note and wakes their programs.
  // The interrupt IN endpoint.
  uint32_t report_length;
  uint32_t buffer;  // How many reports wait in the device for a URB before one is lost.
  bool is_flood;    // A report is ready whenever a URB is.
  bool is_polled;   // URBs are posted since the last time that the program took back all of them.
  uint64_t sequence;
  uint64_t window_start;  // When the last URB was taken by a report; 0 while one is posted.
  uint32_t pending_first, pending_count;
  uint32_t posted_count;
  struct sim_list posted;
  struct sim_list unused;
  struct sim_counters counters;
  struct sim_fault faults[SIM_FAULTS];
  uint32_t fault_count;
  int32_t next_status;  // How the URB that is being submitted ends; 0: as it should.
  uint64_t busy_until;  // A request sleeps, and all others wait for it.
  struct sim_slot slots[SIM_SLOTS];
  uint8_t payload[SIM_SLOTS][SIM_PAYLOAD];
  struct sim_report pending[SIM_PENDING];
};

struct sim_shared {
  uint32_t device_count;
  struct sim_device devices[SIM_DEVICES];
};

#endif
