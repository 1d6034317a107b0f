// usbfs nodes that do what a test tells them. umockdev hands us every ioctl(2) on a node, on a thread of its own and
// with the caller's pointers, which are ours as well: it is the same process. One ioctl of a descriptor waits for the
// one before it, as in usbfs, where all of them take the device's lock.
//
// A header alone, and not a C target: `swift build` would want umockdev for that.
#ifndef MOCKED_USBFS_H
#define MOCKED_USBFS_H

#include "../../Sources/CPosix/include/CPosix.h"

#include <linux/usbdevice_fs.h>
#include <sys/ioctl.h>
#include <umockdev.h>

enum {
  mockedInterfaces = 4,
  mockedRules = 32,
  mockedURBs = 128,
  mockedPackets = 8,
  mockedLogSize = 65536,
  mockedLoggedBytes = 16,
};

/// What can be told to fail or to wait.
enum MockedRequest {
  mockedClaim,
  mockedSubmit,
  mockedSetConfiguration,
  mockedSetInterface,
  mockedClearHalt,
  mockedReset,
  mockedGetDriver,
  mockedStreams,
  mockedDiscard,
  mockedOther,
};

/// What the device has to say for one URB of an endpoint.
struct MockedAnswer {
  unsigned char endpoint;
  int skip;  // How many older URBs of the endpoint it passes over.
  int status;
  int length;
  void *data;       // Of its own; NULL for none.
  int packetCount;  // Isochronous: how many packets, what became of each, and their data one behind the other.
  int packetStatus[mockedPackets];
  int packetLength[mockedPackets];
};

struct MockedInterface {
  char driver[32];  // What the kernel has for it; empty for nothing.
  int isBound;
  int isClaimed;
};

typedef struct MockedDevice {
  pthread_mutex_t lock;
  UMockdevIoctlBase *handler;
  struct MockedInterface interfaces[mockedInterfaces];
  unsigned char configuration;
  int speed;
  int address;
  int isGone;
  int steps;     // Requests so far, but for reaps.
  int unplugAt;  // Which of them finds the device gone; -1 for none.
  unsigned capabilities;  // USBDEVFS_CAP_*
  int streams;            // Bulk streams it has; 0 for as many as are asked for.
  int passes[mockedOther + 1];    // How many of the next ones go through as ever,…
  int failures[mockedOther + 1];  // …how many of those behind them fail…
  int errors[mockedOther + 1];    // …and with which errno.
  int holds[mockedOther + 1];     // How many of the next ones wait for mockedDeviceLetGo.
  UMockdevIoctlClient *held;
  struct usbdevfs_urb *posted[mockedURBs];
  int postedCount;
  struct usbdevfs_urb *done[mockedURBs];
  int doneCount;
  struct MockedAnswer answers[mockedRules];
  int answerCount;
  struct MockedAnswer discarded;  // Data that comes in while a URB is being killed.
  char log[mockedLogSize];
  int logLength;
} MockedDevice;

__attribute__((format(printf, 2, 3))) static inline void mockedLog(MockedDevice *device, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int room = mockedLogSize - device->logLength;
  int length = vsnprintf(device->log + device->logLength, room, format, arguments);
  if (length < room) device->logLength += length;
  va_end(arguments);
}

static inline void mockedLogBytes(MockedDevice *device, const unsigned char *bytes, int count) {
  for (int i = 0; i < count && i < mockedLoggedBytes; i++) mockedLog(device, "%s%02x", i ? "" : " ", bytes[i]);
  if (count > mockedLoggedBytes) mockedLog(device, "…");
}

static inline struct MockedInterface *mockedInterface(MockedDevice *device, unsigned number) {
  static struct MockedInterface none;
  return number < mockedInterfaces ? &device->interfaces[number] : &none;
}

static inline void mockedFinish(MockedDevice *device, int index, int status, const void *data, int length) {
  struct usbdevfs_urb *urb = device->posted[index];
  memmove(device->posted + index, device->posted + index + 1, (device->postedCount - index - 1) * sizeof urb);
  device->postedCount--;
  int offset = urb->type == USBDEVFS_URB_TYPE_CONTROL ? 8 : 0;
  int room = urb->buffer_length - offset;
  urb->actual_length = length < room ? length : room;
  if (data) memcpy((char *)urb->buffer + offset, data, urb->actual_length);
  urb->status = status;
  device->done[device->doneCount++] = urb;
}

/// What became of an isochronous URB's packets: each has its own place in the buffer.
static inline void mockedFillPackets(struct usbdevfs_urb *urb, const struct MockedAnswer *answer) {
  unsigned char *place = urb->buffer;
  const unsigned char *data = answer->data;
  for (int i = 0; i < urb->number_of_packets && i < answer->packetCount; i++) {
    struct usbdevfs_iso_packet_desc *packet = &urb->iso_frame_desc[i];
    packet->status = answer->packetStatus[i];
    packet->actual_length = answer->packetLength[i];
    if (data) {
      memcpy(place, data, packet->actual_length);
      data += packet->actual_length;
    }
    place += packet->length;
  }
}

static inline void mockedKeepData(struct MockedAnswer *answer, const void *data, int length) {
  answer->length = length;
  answer->data = data ? memcpy(malloc(length + 1), data, length) : NULL;
}

/// The posted URB that an answer is for, or -1.
static inline int mockedFind(MockedDevice *device, const struct MockedAnswer *answer) {
  int skip = answer->skip;
  for (int i = 0; i < device->postedCount; i++) {
    if (device->posted[i]->endpoint == answer->endpoint && skip-- == 0) return i;
  }
  return -1;
}

/// Gives waiting answers to posted URBs, oldest to oldest.
static inline void mockedMatch(MockedDevice *device) {
  for (int a = 0; a < device->answerCount;) {
    struct MockedAnswer *answer = &device->answers[a];
    int u = mockedFind(device, answer);
    if (u < 0) {
      a++;
      continue;
    }
    int isIso = device->posted[u]->type == USBDEVFS_URB_TYPE_ISO;
    if (isIso) mockedFillPackets(device->posted[u], answer);
    mockedFinish(device, u, answer->status, isIso ? NULL : answer->data, isIso ? 0 : answer->length);
    free(answer->data);
    memmove(answer, answer + 1, (device->answerCount - a - 1) * sizeof *answer);
    device->answerCount--;
  }
}

static inline int mockedSubmitURB(MockedDevice *device, struct usbdevfs_urb *urb) {
  unsigned char *buffer = urb->buffer;
  int isControl = urb->type == USBDEVFS_URB_TYPE_CONTROL;
  mockedLog(device, "submit %02x type %d length %d", urb->endpoint, urb->type, urb->buffer_length);
  if (urb->type == USBDEVFS_URB_TYPE_BULK && urb->stream_id) mockedLog(device, " stream %u", urb->stream_id);
  for (int i = 0; urb->type == USBDEVFS_URB_TYPE_ISO && i < urb->number_of_packets; i++)
    mockedLog(device, "%s%u", i ? "," : " packets ", urb->iso_frame_desc[i].length);
  if (isControl) mockedLogBytes(device, buffer, 8);
  if (isControl && !(buffer[0] & 0x80)) mockedLogBytes(device, buffer + 8, urb->buffer_length - 8);
  if (!isControl && !(urb->endpoint & 0x80)) mockedLogBytes(device, buffer, urb->buffer_length);
  mockedLog(device, "\n");
  device->posted[device->postedCount++] = urb;
  mockedMatch(device);
  return 0;
}

static inline int mockedReap(MockedDevice *device, struct usbdevfs_urb **urb) {
  if (device->doneCount == 0) return device->isGone ? ENODEV : EAGAIN;
  *urb = device->done[0];
  memmove(device->done, device->done + 1, --device->doneCount * sizeof *device->done);
  return 0;
}

static inline int mockedDiscardURB(MockedDevice *device, struct usbdevfs_urb *urb) {
  for (int i = 0; i < device->postedCount; i++) {
    if (device->posted[i] != urb) continue;
    mockedLog(device, "discard %02x\n", urb->endpoint);
    struct MockedAnswer *data = &device->discarded;
    int hasData = data->data && data->endpoint == urb->endpoint;
    mockedFinish(device, i, -ENOENT, hasData ? data->data : NULL, hasData ? data->length : 0);
    if (hasData) {
      free(data->data);
      data->data = NULL;
    }
    return 0;
  }
  return EINVAL;
}

static inline int mockedDetach(MockedDevice *device, unsigned number) {
  struct MockedInterface *interface = mockedInterface(device, number);
  if (!interface->isBound) return ENODATA;
  mockedLog(device, "detach %u\n", number);
  interface->isBound = 0;
  return 0;
}

static inline void mockedBind(MockedDevice *device, unsigned number) {
  struct MockedInterface *interface = mockedInterface(device, number);
  interface->isBound = interface->driver[0] && !interface->isClaimed;
}

static inline int mockedDriverCall(MockedDevice *device, struct usbdevfs_ioctl *call, long *result) {
  if ((unsigned)call->ioctl_code == USBDEVFS_DISCONNECT) return mockedDetach(device, call->ifno);
  mockedLog(device, "attach %d\n", call->ifno);
  mockedBind(device, call->ifno);
  *result = 1;
  return 0;
}

static inline int mockedClaimInterface(MockedDevice *device, unsigned number) {
  mockedLog(device, "claim %u\n", number);
  if (mockedInterface(device, number)->isBound) return EBUSY;
  mockedInterface(device, number)->isClaimed = 1;
  return 0;
}

static inline int mockedGetDriverName(MockedDevice *device, struct usbdevfs_getdriver *answer) {
  struct MockedInterface *interface = mockedInterface(device, answer->interface);
  if (!interface->isBound && !interface->isClaimed) return ENODATA;
  strcpy(answer->driver, interface->isClaimed ? "usbfs" : interface->driver);
  return 0;
}

static inline int mockedConfigure(MockedDevice *device, int value) {
  mockedLog(device, "configuration %d\n", value);
  for (int i = 0; i < mockedInterfaces; i++) {
    if (device->interfaces[i].isClaimed) return EBUSY;
  }
  device->configuration = value < 0 ? 0 : value;
  for (int i = 0; i < mockedInterfaces; i++) mockedBind(device, i);
  return 0;
}

/// The synchronous transfer: libusb asks for the configuration with it.
static inline int mockedControl(MockedDevice *device, struct usbdevfs_ctrltransfer *transfer, long *result) {
  if (transfer->bRequest != 8 || transfer->wLength < 1) return EPIPE;
  *(unsigned char *)transfer->data = device->configuration;
  *result = 1;
  return 0;
}

static inline void mockedLogStreams(MockedDevice *device, const char *what, const struct usbdevfs_streams *streams) {
  mockedLog(device, "%s streams", what);
  if (streams->num_streams) mockedLog(device, " %u", streams->num_streams);
  for (unsigned i = 0; i < streams->num_eps; i++) mockedLog(device, "%s%02x", i ? " " : " of ", streams->eps[i]);
  mockedLog(device, "\n");
}

static inline int mockedAllocStreams(MockedDevice *device, const struct usbdevfs_streams *streams, long *result) {
  mockedLogStreams(device, "allocate", streams);
  int has = device->streams;
  *result = has && has < (int)streams->num_streams ? has : (int)streams->num_streams;
  return 0;
}

static inline enum MockedRequest mockedKind(unsigned long request) {
  switch (request) {
    case USBDEVFS_CLAIMINTERFACE: return mockedClaim;
    case USBDEVFS_SUBMITURB: return mockedSubmit;
    case USBDEVFS_SETCONFIGURATION: return mockedSetConfiguration;
    case USBDEVFS_SETINTERFACE: return mockedSetInterface;
    case USBDEVFS_CLEAR_HALT: return mockedClearHalt;
    case USBDEVFS_RESET: return mockedReset;
    case USBDEVFS_GETDRIVER: return mockedGetDriver;
    case USBDEVFS_ALLOC_STREAMS: return mockedStreams;
    case USBDEVFS_DISCARDURB: return mockedDiscard;
    default: return mockedOther;
  }
}

/// Carries out one ioctl: an errno, or 0 and the result.
static inline int mockedCarryOut(MockedDevice *device, unsigned long request, void *argument, long *result) {
  unsigned number = 0;
  if (request == USBDEVFS_CLAIMINTERFACE || request == USBDEVFS_RELEASEINTERFACE || request == USBDEVFS_CLEAR_HALT)
    number = *(unsigned *)argument;
  switch (request) {
    case USBDEVFS_GET_CAPABILITIES:
      *(__u32 *)argument = device->capabilities;
      return 0;
    case USBDEVFS_GET_SPEED: *result = device->speed; return 0;
    case USBDEVFS_CONNECTINFO:
      ((struct usbdevfs_connectinfo *)argument)->devnum = device->address;
      return 0;
    case USBDEVFS_CONTROL: return mockedControl(device, argument, result);
    case USBDEVFS_GETDRIVER: return mockedGetDriverName(device, argument);
    case USBDEVFS_IOCTL: return mockedDriverCall(device, argument, result);
    case USBDEVFS_CLAIMINTERFACE: return mockedClaimInterface(device, number);
    case USBDEVFS_RELEASEINTERFACE:
      mockedLog(device, "release %u\n", number);
      mockedInterface(device, number)->isClaimed = 0;
      return 0;
    case USBDEVFS_DISCONNECT_CLAIM: {
      number = ((struct usbdevfs_disconnect_claim *)argument)->interface;
      mockedInterface(device, number)->isBound = 0;
      return mockedClaimInterface(device, number);
    }
    case USBDEVFS_SETCONFIGURATION: return mockedConfigure(device, *(int *)argument);
    case USBDEVFS_SETINTERFACE: {
      struct usbdevfs_setinterface *setting = argument;
      mockedLog(device, "setting %u %u\n", setting->interface, setting->altsetting);
      return 0;
    }
    case USBDEVFS_CLEAR_HALT: mockedLog(device, "clear halt %02x\n", number); return 0;
    case USBDEVFS_RESET: mockedLog(device, "reset\n"); return 0;
    case USBDEVFS_ALLOC_STREAMS: return mockedAllocStreams(device, argument, result);
    case USBDEVFS_FREE_STREAMS: mockedLogStreams(device, "free", argument); return 0;
    case USBDEVFS_SUBMITURB: return mockedSubmitURB(device, argument);
    case USBDEVFS_REAPURBNDELAY: return mockedReap(device, argument);
    case USBDEVFS_DISCARDURB: return mockedDiscardURB(device, argument);
    default: return ENOTTY;
  }
}

/// What is posted comes back with ESHUTDOWN, youngest first, and every request fails with ENODEV from now on.
static inline void mockedPull(MockedDevice *device) {
  device->isGone = 1;
  while (device->postedCount > 0) mockedFinish(device, device->postedCount - 1, -ESHUTDOWN, NULL, 0);
}

static inline void mockedComplete(MockedDevice *device, UMockdevIoctlClient *client) {
  unsigned long request = umockdev_ioctl_client_get_request(client);
  if (request != USBDEVFS_REAPURBNDELAY && device->steps++ == device->unplugAt) mockedPull(device);
  void *argument = *(void **)umockdev_ioctl_client_get_arg(client)->data;
  enum MockedRequest kind = mockedKind(request);
  long result = 0;
  int error = 0;
  if (device->failures[kind] > 0 && device->passes[kind]-- <= 0) {
    device->failures[kind]--;
    error = device->errors[kind];
  } else if (device->isGone && request != USBDEVFS_REAPURBNDELAY) {
    error = ENODEV;
  } else {
    error = mockedCarryOut(device, request, argument, &result);
  }
  umockdev_ioctl_client_complete(client, error ? -1 : result, error);
}

/// A caller that should not have waited would wait for ever: what nobody lets go fails, later than a test gives up.
static void *mockedExpire(void *context) {
  MockedDevice *device = context;
  UMockdevIoctlClient *client = device->held;
  sleep(90);
  pthread_mutex_lock(&device->lock);
  if (client && device->held == client) {
    umockdev_ioctl_client_complete(client, -1, ETIME);
    device->held = NULL;
  }
  pthread_mutex_unlock(&device->lock);
  return NULL;
}

static gboolean mockedHandle(UMockdevIoctlBase *handler, UMockdevIoctlClient *client, MockedDevice *device) {
  enum MockedRequest kind = mockedKind(umockdev_ioctl_client_get_request(client));
  pthread_mutex_lock(&device->lock);
  if (device->holds[kind] > 0) {
    device->holds[kind]--;
    device->held = g_object_ref(client);
    pthread_t thread;
    pthread_create(&thread, NULL, mockedExpire, device);
    pthread_detach(thread);
  } else {
    mockedComplete(device, client);
  }
  pthread_mutex_unlock(&device->lock);
  return TRUE;
}

/// A node at `path`, to be described to the testbed next. Lives as long as the process.
static inline MockedDevice *mockedDeviceNew(UMockdevTestbed *testbed, const char *path, int address, int speed) {
  MockedDevice *device = calloc(1, sizeof *device);
  pthread_mutex_init(&device->lock, NULL);
  device->configuration = 1;
  device->address = address;
  device->unplugAt = -1;
  device->speed = speed;
  device->capabilities = USBDEVFS_CAP_BULK_SCATTER_GATHER | USBDEVFS_CAP_REAP_AFTER_DISCONNECT;
  device->handler = umockdev_ioctl_base_new();
  g_signal_connect(device->handler, "handle-ioctl", G_CALLBACK(mockedHandle), device);
  umockdev_testbed_attach_ioctl(testbed, path, device->handler, NULL);
  return device;
}

/// The kernel's driver for an interface, bound to it now.
static inline void mockedDeviceDriver(MockedDevice *device, unsigned interface, const char *driver) {
  strncpy(device->interfaces[interface].driver, driver, sizeof device->interfaces[interface].driver - 1);
  device->interfaces[interface].isBound = 1;
}

static inline int mockedDeviceIsBound(MockedDevice *device, unsigned interface) {
  pthread_mutex_lock(&device->lock);
  int isBound = device->interfaces[interface].isBound;
  pthread_mutex_unlock(&device->lock);
  return isBound;
}

/// `count` requests of a kind fail with `error`, after `passes` of them.
static inline void mockedDeviceFail(MockedDevice *device, enum MockedRequest kind, int error, int count, int passes) {
  pthread_mutex_lock(&device->lock);
  device->passes[kind] = passes;
  device->errors[kind] = error;
  device->failures[kind] = count;
  pthread_mutex_unlock(&device->lock);
}

/// The next request of a kind is not answered before `mockedDeviceLetGo`.
static inline void mockedDeviceHold(MockedDevice *device, enum MockedRequest kind) {
  pthread_mutex_lock(&device->lock);
  device->holds[kind] = 1;
  pthread_mutex_unlock(&device->lock);
}

static inline int mockedDeviceHolds(MockedDevice *device) {
  pthread_mutex_lock(&device->lock);
  int holds = device->held != NULL;
  pthread_mutex_unlock(&device->lock);
  return holds;
}

static inline void mockedDeviceLetGo(MockedDevice *device) {
  pthread_mutex_lock(&device->lock);
  if (device->held) {
    mockedComplete(device, device->held);
    g_object_unref(device->held);
    device->held = NULL;
  }
  pthread_mutex_unlock(&device->lock);
}

/// A host controller that takes no long URB: libusb cuts what is larger than 16 KiB into several.
static inline void mockedDeviceTakesShortURBs(MockedDevice *device) {
  pthread_mutex_lock(&device->lock);
  device->capabilities = USBDEVFS_CAP_BULK_CONTINUATION | USBDEVFS_CAP_REAP_AFTER_DISCONNECT;
  pthread_mutex_unlock(&device->lock);
}

/// The host controller has so many bulk streams and no more.
static inline void mockedDeviceStreams(MockedDevice *device, int streams) {
  pthread_mutex_lock(&device->lock);
  device->streams = streams;
  pthread_mutex_unlock(&device->lock);
}

/// The device's answer to the oldest URB of an endpoint (0 for control) but `skip`, posted already or not. Without data
/// `length` is what an OUT transfer took. Returns 0 when too many wait.
static inline int mockedDeviceAnswer(
    MockedDevice *device, unsigned char endpoint, int skip, int status, const void *data, int length) {
  pthread_mutex_lock(&device->lock);
  int hasRoom = device->answerCount < mockedRules;
  if (hasRoom) {
    struct MockedAnswer *answer = &device->answers[device->answerCount++];
    answer->packetCount = 0;
    answer->endpoint = endpoint;
    answer->skip = skip;
    answer->status = status;
    mockedKeepData(answer, data, length);
    mockedMatch(device);
  }
  pthread_mutex_unlock(&device->lock);
  return hasRoom;
}

/// The device's answer to the oldest isochronous URB of an endpoint: what becomes of `count` packets, and their data one
/// behind the other.
static inline void mockedDeviceAnswerPackets(
    MockedDevice *device, unsigned char endpoint, int count, const int *status, const int *length, const void *data) {
  pthread_mutex_lock(&device->lock);
  if (device->answerCount < mockedRules && count <= mockedPackets) {
    struct MockedAnswer *answer = &device->answers[device->answerCount++];
    *answer = (struct MockedAnswer){.endpoint = endpoint, .packetCount = count};
    int bytes = 0;
    for (int i = 0; i < count; i++) {
      answer->packetStatus[i] = status[i];
      answer->packetLength[i] = length[i];
      bytes += length[i];
    }
    mockedKeepData(answer, data, bytes);
    mockedMatch(device);
  }
  pthread_mutex_unlock(&device->lock);
}

/// The next URB of the endpoint that is discarded got this data while it was being killed.
static inline void mockedDeviceDiscardData(
    MockedDevice *device, unsigned char endpoint, const void *data, int length) {
  pthread_mutex_lock(&device->lock);
  device->discarded.endpoint = endpoint;
  free(device->discarded.data);
  mockedKeepData(&device->discarded, data, length);
  pthread_mutex_unlock(&device->lock);
}

static inline int mockedDevicePosted(MockedDevice *device) {
  pthread_mutex_lock(&device->lock);
  int count = device->postedCount;
  pthread_mutex_unlock(&device->lock);
  return count;
}

/// Pulls the plug.
static inline void mockedDeviceUnplug(MockedDevice *device) {
  pthread_mutex_lock(&device->lock);
  mockedPull(device);
  pthread_mutex_unlock(&device->lock);
}

/// Request number `step` (from 0, reaps not counted) finds that the plug has just been pulled; -1: none does.
static inline void mockedDeviceUnplugAt(MockedDevice *device, int step) {
  pthread_mutex_lock(&device->lock);
  device->unplugAt = step;
  pthread_mutex_unlock(&device->lock);
}

/// Requests so far, reaps not counted.
static inline int mockedDeviceSteps(MockedDevice *device) {
  pthread_mutex_lock(&device->lock);
  int steps = device->steps;
  pthread_mutex_unlock(&device->lock);
  return steps;
}

static inline int mockedDeviceIsGone(MockedDevice *device) {
  pthread_mutex_lock(&device->lock);
  int isGone = device->isGone;
  pthread_mutex_unlock(&device->lock);
  return isGone;
}

/// What happened since the last call, one line each. To be freed.
static inline char *mockedDeviceTakeLog(MockedDevice *device) {
  pthread_mutex_lock(&device->lock);
  char *text = strdup(device->log);
  device->log[0] = 0;
  device->logLength = 0;
  pthread_mutex_unlock(&device->lock);
  return text;
}

#endif
