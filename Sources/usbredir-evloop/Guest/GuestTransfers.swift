// The interrupt endpoints of a usb-host's device as something that takes transfers, so that the interrupt engine
// runs on them as it does on a device of this computer: a posted IN transfer is receiving that was started, and
// the next packet completes it. Reports that come while nothing is posted are kept, as a device would hold them.

/// One interrupt IN endpoint, and OUT endpoints, of a guest's session. Loop thread only.
final class GuestTransfers: TransferTaker {
  /// Reports kept while nothing is posted; more are lost, and counted.
  static let maxKept = 256

  private(set) var lost: UInt64 = 0
  private let session: Unowned<GuestSession>
  private let endpoint: EndpointAddress
  private var posted: [Transfer] = []
  private var outputs: [(transfer: Transfer, id: UInt64)] = []
  private var kept: [[UInt8]] = []
  /// Transfers that end without the usb-host, in the next reaps.
  private var refused: [Transfer] = []
  private var soon: Work?
  /// The usb-host was asked to start, and not to stop since.
  private var isStarted = false
  private var closed: (() -> Void)?

  init(_ session: GuestSession, _ loop: EventLoop, receiving endpoint: EndpointAddress) {
    self.session = Unowned(session)
    self.endpoint = endpoint
    soon = Work(on: loop.reaps) { [transfers = Unowned(self)] in transfers.value.completeSoon() }
  }

  deinit {
    soon?.cancel()
  }

  // MARK: TransferTaker

  func makeTransfer(isoPackets: Int) -> Transfer { Transfer() }

  func submit(_ transfer: Transfer) {
    transfer.state = .submitted
    do throws(GuestError) {
      if transfer.endpoint.isIn { try post(transfer) } else { try send(transfer) }
    } catch {
      refused.append(transfer)
      soon?.schedule()
    }
  }

  func cancel(_ transfer: Transfer) {
    guard transfer.state == .submitted else { return }
    transfer.state = .cancelling
    if let output = outputs.first(where: { $0.transfer === transfer }) {
      return session.value.cancel(output.id)
    }
    if posted.allSatisfy({ $0.state == .cancelling }) { stop() }
  }

  /// Stops receiving; `then` is called when the usb-host has, or need not. All transfers must be back.
  func close(then: @escaping () -> Void) {
    closed = then
    if isStarted { stop() }
    if !session.value.receiving.isOn(endpoint) { soon?.schedule() }
  }

  private func post(_ transfer: Transfer) throws(GuestError) {
    if !isStarted { try session.value.startInterruptReceiving(endpoint) }
    isStarted = true
    posted.append(transfer)
    if !kept.isEmpty { soon?.schedule() }
  }

  private func send(_ transfer: Transfer) throws(GuestError) {
    guard let buffer = transfer.buffer else { return }
    var failure: GuestError?
    buffer.withPayload { data in
      do throws(GuestError) {
        let id = try session.value.interruptOut(transfer.endpoint, data) { status, count in
          self.outputs.removeAll { $0.transfer === transfer }
          self.complete(transfer, TransferStatus(status), count)
        }
        outputs.append((transfer, id))
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
  }

  private func stop() {
    isStarted = false
    do throws(GuestError) {
      try session.value.stopInterruptReceiving(endpoint)
    } catch {
      // Without device or endpoint nothing is being received.
      soon?.schedule()
    }
  }

  // MARK: what the usb-host says

  func received(_ data: Span<UInt8>, _ status: Status) {
    guard let transfer = posted.first else {
      guard status == .success, kept.count < GuestTransfers.maxKept else { return lost += 1 }
      return kept.append(data.indices.map { data[$0] })
    }
    posted.removeFirst()
    give(data, TransferStatus(status), transfer)
  }

  func changed(_ change: ReceivingChange) {
    switch change {
    case .started: return
    case .stopped: completePosted(.cancelled) { $0.state == .cancelling }
    case .ended(let status):
      isStarted = false
      completePosted(TransferStatus(status)) { _ in true }
    }
    if !session.value.receiving.isOn(endpoint) { soon?.schedule() }
  }

  private func give(_ data: Span<UInt8>, _ status: TransferStatus, _ transfer: Transfer) {
    guard data.count <= transfer.length else { return complete(transfer, .overflow, 0) }
    transfer.buffer?.copy(data)
    complete(transfer, status, data.count)
  }

  private func completePosted(_ status: TransferStatus, where isOver: (Transfer) -> Bool) {
    let over = posted.filter(isOver)
    posted.removeAll(where: isOver)
    for transfer in over { complete(transfer, status, 0) }
  }

  private func completeSoon() {
    while !refused.isEmpty { complete(refused.removeFirst(), .refused, 0) }
    while !kept.isEmpty, !posted.isEmpty {
      let report = kept.removeFirst()
      give(report.span, .completed, posted.removeFirst())
    }
    guard !isStarted, !session.value.receiving.isOn(endpoint), let closed else { return }
    self.closed = nil
    closed()
  }

  private func complete(_ transfer: Transfer, _ status: TransferStatus, _ count: Int) {
    transfer.state = .idle
    transfer.status = status
    transfer.actualLength = count
    transfer.owner?.completed(transfer)
  }
}
