// One endpoint of a virtual device: the transfers that wait on it, oldest first, and its halt.

/// A transfer of a virtual device. Loop thread only.
final class VirtualTransfer: Transfer {
  /// The next younger transfer waiting on the same endpoint.
  fileprivate(set) var younger: VirtualTransfer?
  /// When it times out, by the loop's clock; 0 for never.
  var deadline: UInt64 = 0
  /// Packets of an OUT transfer that the device has taken, if it takes one at a time.
  var packetsTaken = 0
  /// Bytes that have moved while it waits.
  var progress = 0
}

/// A queue of transfers and what the endpoint's model and state say. Loop thread only.
final class VirtualEndpoint {
  let address: EndpointAddress
  /// The endpoint in the settings in force; nil when they do not have it (endpoint 0 never has one).
  var model: EndpointModel?
  /// Transfers stall until the halt is cleared. USB 2.0, 9.4.5.
  var isHalted = false
  /// Earliest time of the next report, by the loop's clock.
  var due: UInt64 = 0
  /// Transfers that wait.
  private(set) var count = 0
  private(set) var oldest: VirtualTransfer?
  private var youngest: VirtualTransfer?

  init(_ address: EndpointAddress) {
    self.address = address
  }

  func append(_ transfer: VirtualTransfer) {
    if let youngest { youngest.younger = transfer } else { oldest = transfer }
    youngest = transfer
    count += 1
  }

  /// Takes out the transfer behind `older`, or the oldest one when that is nil.
  func remove(after older: VirtualTransfer?) {
    guard let transfer = next(after: older) else { return }
    if let older { older.younger = transfer.younger } else { oldest = transfer.younger }
    if youngest === transfer { youngest = older }
    transfer.younger = nil
    count -= 1
  }

  /// The transfer behind `older`, or the oldest one when that is nil.
  func next(after older: VirtualTransfer?) -> VirtualTransfer? {
    guard let older else { return oldest }
    return older.younger
  }

  /// Oldest first; `body` must not change the queue.
  func forEach(_ body: (VirtualTransfer) -> Void) {
    var transfer = oldest
    while let current = transfer {
      transfer = current.younger
      body(current)
    }
  }

  /// Turns the queue round: host controllers give killed transfers back youngest first (xHCI does).
  func reverse() {
    var rest = oldest
    youngest = rest
    oldest = nil
    while let current = rest {
      rest = current.younger
      current.younger = oldest
      oldest = current
    }
  }
}

/// How a virtual device fills in its answers.
extension Transfer {
  /// Answers an IN transfer with these bytes. A control transfer takes what fits (wLength); on any other more
  /// than fits is babble.
  final func give(_ bytes: Span<UInt8>) -> TransferStatus {
    actualLength = min(bytes.count, length)
    if actualLength > 0 { buffer?.copy(bytes.extracting(0..<actualLength)) }
    return bytes.count > length && type != .control ? .overflow : .completed
  }

  final func give(_ bytes: [UInt8]) -> TransferStatus {
    give(bytes.span)
  }

  /// Takes all of an OUT transfer.
  final func take() -> TransferStatus {
    actualLength = length
    for index in packets.indices {
      packets[index].actualLength = packets[index].length
      packets[index].status = .completed
    }
    return .completed
  }

  /// Answers packet `index` of an isochronous IN transfer; what does not fit is babble.
  final func givePacket(_ index: Int, _ bytes: [UInt8], _ status: TransferStatus = .completed) {
    let fits = bytes.count <= Int(packets[index].length)
    let data = fits ? bytes : []
    buffer?.write(data.span, at: index * Int(packets[index].length))
    packets[index].actualLength = UInt16(data.count)
    packets[index].status = fits ? status : .overflow
    actualLength = packets.reduce(0) { $0 + Int($1.actualLength) }
  }

  /// The data of an OUT transfer; empty when there is none.
  final func withData<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
    guard let buffer, length > 0 else { return body(Span()) }
    return buffer.withPayload { body($0.extracting(0..<min(length, $0.count))) }
  }
}
