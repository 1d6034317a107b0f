// What has to be done with a device in several steps: first everything posted on the endpoints concerned
// comes back, then calls that may sleep run off the loop one after the other, then the guest gets its answer
// (B3.2–B3.6).
//
//     waiting ──▶ cancelling ──▶ draining ──▶ calling (once for each call) ──▶ finished
//                 (many posted:   (until all
//                  off the loop)   are back)

/// Who waits for the outcome.
enum Reply {
  case nobody
  /// The packet with this id, in the packet type that belongs to the operation.
  case packet(UInt64)
  /// A control packet that was routed (B3.2).
  case control(Request)
}

/// One operation on the device. Operations run one at a time, and while one that the guest asked for runs, no
/// further packet of its session is read.
final class Operation {
  enum Kind {
    case setConfiguration
    case setAlternateSetting(interface: UInt8)
    case clearHalt
    /// An interface is not at setting 0, where a reset takes it.
    case reset(changesSettings: Bool)
    /// Streams allocated (or freed, count 0) on the endpoints of `slots`; `endpoints` are those that the
    /// guest named.
    case bulkStreams(endpoints: UInt32, count: UInt32)
    /// A pipe's stall (B4.5).
    case recoverStall(any StreamPipe)
    /// Only cancels; who wants it knows by itself when all is back.
    case cancelPosted
  }

  enum Phase {
    case waiting
    case cancelling
    case draining
    case calling
  }

  let kind: Kind
  /// The endpoints that must be quiet first (bit = slot).
  let slots: UInt32
  let reply: Reply
  /// What runs off the loop, in order.
  let calls: [DeviceCall]
  var phase = Phase.waiting
  var nextCall = 0

  init(_ kind: Kind, slots: UInt32, calls: [DeviceCall], reply: Reply) {
    self.kind = kind
    self.slots = slots
    self.calls = calls
    self.reply = reply
  }
}
