// What the engines have in common that keep an endpoint supplied with transfers: what they are made for, how they
// end, and what their owner does for them. `InterruptPipe` receives, `IsoOutPipe` sends.

/// What a pipe does when the endpoint stalls. After illumos' request attributes (usb_intr_request(9S)).
enum StallPolicy {
  /// Ends, the halt stays.
  case report
  /// Clears the halt, then ends.
  case clearAndStop
  /// Clears the halt and goes on with sequence 0.
  case clearAndRestart
}

/// Why a pipe is idle again. Comes exactly once for each `start` and `readOnce`.
enum PipeEnd: Equatable {
  /// A one-shot read brought its report.
  case finished
  case stopped
  case stalled
  /// Too many errors in a row, a first post that failed, a short report where none may be, a timeout of a
  /// one-shot read.
  case failed(TransferStatus)
  case gone

  var description: String {
    switch self {
    case .finished: "it was read once"
    case .stopped: "it was stopped"
    case .stalled: "the endpoint stalls"
    case .failed(.refused): "the device takes no transfers on it"
    case .failed(.noMemory): "there is no memory left for transfers (usbfs_memory_mb, or the server's own)"
    case .failed(.completed): "it brought less than was asked for"
    case .failed: "too many errors"
    case .gone: "the device is gone"
    }
  }
}

/// What a pipe is made for.
struct PipeParameters: Equatable {
  var endpoint: EndpointAddress
  /// `.interrupt`, `.bulk` for buffered bulk receiving, or `.isochronous`.
  var type: TransferType
  /// Bytes of each transfer: the announced max_packet_size, bytes_per_transfer, or those of all packets of an
  /// isochronous transfer.
  var transferLength: Int
  /// Transfers kept posted, 1…64.
  var depth: Int
  var streamID: UInt32 = 0
  /// Packets of each transfer, 1…32 for an isochronous endpoint.
  var isoPackets = 0
  var shortTransfersAllowed = true
  var stallPolicy = StallPolicy.clearAndRestart

  /// Bytes that its posted transfers hold.
  var bytes: UInt64 { UInt64(transferLength) * UInt64(depth) }
  /// Bytes that a packet of an isochronous transfer may have.
  var packetLength: Int { transferLength / max(1, isoPackets) }
}

/// What can be done with any pipe. Loop thread only.
protocol StreamPipe: AnyObject {
  var parameters: PipeParameters { get }
  /// Transfers the device has.
  var posted: Int { get }
  /// True between `start` and `ended`, but for the part in which it is being stopped.
  var isStarted: Bool { get }
  /// True when it could start.
  var isIdle: Bool { get }

  func start()
  /// Ends it: `ended(.stopped)` follows, perhaps from within. Returns false when there is nothing to stop.
  @discardableResult func stop() -> Bool
  /// The device is gone and nothing more will come of it.
  func deviceGone()

  // What its owner does for it.

  /// Cancels what is posted, last posted first, so that nothing can overtake.
  func cancelPosted()
  func haltCleared(_ success: Bool)
}

/// Does for a pipe what takes a device call, and hears of its end. Loop thread only.
protocol PipeOwner: AnyObject {
  /// The pipe is idle (or gone); all transfers are back.
  func pipe(_ pipe: any StreamPipe, ended reason: PipeEnd)
  /// Every posted transfer has to come back: `pipe.cancelPosted()`, or off the loop when `pipe.posted` is
  /// large.
  func pipeNeedsCancel(_ pipe: any StreamPipe)
  /// The halt has to be cleared; `pipe.haltCleared(_:)` takes the outcome.
  func pipeNeedsClearHalt(_ pipe: any StreamPipe)
}

/// Cancels a pipe's transfers, last posted first; `tag` has when they were posted.
func cancelYoungestFirst(_ transfers: [Transfer], on device: any TransferTaker) {
  for transfer in transfers.sorted(byKey: { $0.tag }).reversed() where transfer.state == .submitted {
    device.cancel(transfer)
  }
}
