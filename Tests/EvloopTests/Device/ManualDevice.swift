// A device whose transfers and calls end when and how a test says so, one by one and in any order.
import Testing

@testable import usbredir_evloop

/// Keeps what it is given until the test completes it. Loop thread only.
final class ManualDevice: Device {
  var model = DeviceModel()
  let label = "manual"
  unowned(unsafe) var user: (any DeviceOwner)?
  /// Transfers that were submitted and are not back, oldest first.
  private(set) var posted: [Transfer] = []
  /// Every transfer that was cancelled, in order.
  private(set) var cancels: [Transfer] = []
  private(set) var calls: [DeviceCall] = []
  private(set) var submits = 0
  private var closed: (() -> Void)?

  var owner: (any DeviceOwner)? {
    get { unsafe user }
    set { unsafe user = newValue }
  }

  func makeTransfer(isoPackets: Int) -> Transfer { Transfer(isoPackets: isoPackets) }

  func submit(_ transfer: Transfer) {
    precondition(transfer.state == .idle && transfer.buffer != nil && transfer.owner != nil)
    transfer.state = .submitted
    posted.append(transfer)
    submits += 1
  }

  func cancel(_ transfer: Transfer) {
    guard transfer.state == .submitted else { return }
    transfer.state = .cancelling
    cancels.append(transfer)
  }

  func perform(_ call: DeviceCall) {
    calls.append(call)
  }

  func close(_ closed: @escaping () -> Void) {
    precondition(posted.isEmpty)
    self.closed = closed
  }

  // MARK: what the test says

  /// Ends transfer `index` of those posted.
  func complete(_ index: Int = 0, _ status: TransferStatus = .completed, _ bytes: [UInt8] = []) {
    guard posted.indices.contains(index) else {
      Issue.record("no transfer \(index) is posted")
      return
    }
    let transfer = posted.remove(at: index)
    transfer.state = .idle
    transfer.status = status
    transfer.actualLength =
      transfer.endpoint.isIn ? bytes.count : (status == .completed ? transfer.length : 0)
    if transfer.endpoint.isIn { transfer.buffer?.copy(bytes.span) }
    transfer.owner?.completed(transfer)
  }

  /// Ends isochronous transfer `index` of those posted with these packets.
  func complete(_ index: Int = 0, packets: [(TransferStatus, [UInt8])]) {
    guard posted.indices.contains(index), posted[index].packets.count == packets.count else {
      Issue.record("no transfer \(index) with \(packets.count) packets is posted")
      return
    }
    let transfer = posted.remove(at: index)
    transfer.state = .idle
    transfer.status = .completed
    transfer.actualLength = 0
    for (number, (status, bytes)) in packets.enumerated() {
      transfer.packets[number].status = status
      transfer.packets[number].actualLength =
        transfer.endpoint.isIn ? UInt16(bytes.count) : transfer.packets[number].length
      transfer.actualLength += Int(transfer.packets[number].actualLength)
      if transfer.endpoint.isIn {
        transfer.buffer?.write(bytes.span, at: number * Int(transfer.packets[number].length))
      }
    }
    transfer.owner?.completed(transfer)
  }

  /// Ends what is being cancelled, last posted first, without data.
  func completeCancelled() {
    while let index = posted.lastIndex(where: { $0.state == .cancelling }) { complete(index, .cancelled) }
  }

  /// True between `close` and `finishClose`.
  var isClosing: Bool { closed != nil }

  func finishClose() {
    let closed = closed
    self.closed = nil
    closed?()
  }

  /// Ends the oldest call that was not ended yet.
  func finishCall(_ result: DeviceCallResult = .done) {
    guard !calls.isEmpty else {
      Issue.record("no call is running")
      return
    }
    owner?.deviceFinished(calls.removeFirst(), result)
  }
}
