// The interrupt endpoints of a usb-host's device as something that takes transfers, so that the interrupt engine
// runs on them as it does on a device of this computer: a posted IN transfer is receiving that was started, and
// the next packet completes it. Reports that come while nothing is posted are kept, as a device would hold them.

/// An interrupt IN endpoint, and OUT endpoints, of a guest's session: one transfer each way at a time. Loop thread
/// only.
final class GuestTransfers: TransferTaker {
  /// Reports kept while nothing is posted; more are lost, and counted.
  static let maxKept = 256

  private(set) var lost: UInt64 = 0
  private let session: Unowned<GuestSession>
  private let endpoint: EndpointAddress
  private var posted: Transfer?
  private var output: Transfer?
  private var outputID: UInt64 = 0
  private var kept: [[UInt8]] = []
  /// Looks at what can end without a packet, in the next reaps.
  private var soon: Work?
  /// The usb-host was asked to start, and not to stop since.
  private var isStarted = false
  private var closed: (() -> Void)?

  init(_ session: GuestSession, _ loop: EventLoop, receiving endpoint: EndpointAddress) {
    self.session = Unowned(session)
    self.endpoint = endpoint
    soon = Work(on: loop.reaps) { [transfers = Unowned(self)] in transfers.value.settle() }
  }

  deinit {
    soon?.cancel()
  }

  // MARK: TransferTaker

  func makeTransfer(isoPackets: Int) -> Transfer { Transfer() }

  func submit(_ transfer: Transfer) {
    transfer.state = .submitted
    transfer.status = .completed
    do throws(GuestError) {
      if transfer.endpoint.isIn { try post(transfer) } else { try send(transfer) }
    } catch {
      transfer.status = .refused
    }
    soon?.schedule()
  }

  func cancel(_ transfer: Transfer) {
    guard transfer.state == .submitted else { return }
    transfer.state = .cancelling
    if transfer.endpoint.isIn { stop() } else { session.value.cancel(outputID) }
  }

  /// Stops receiving; `then` is called when the usb-host has, or need not. Both transfers must be back.
  func close(then: @escaping () -> Void) {
    closed = then
    stop()
  }

  private func post(_ transfer: Transfer) throws(GuestError) {
    posted = transfer
    if !isStarted { try session.value.startInterruptReceiving(endpoint) }
    isStarted = true
  }

  private func send(_ transfer: Transfer) throws(GuestError) {
    output = transfer
    var id: UInt64?
    transfer.buffer?.withPayload { data in
      id = try? session.value.interruptOut(transfer.endpoint, data) { status, count in
        self.output = nil
        self.complete(transfer, TransferStatus(status), count)
      }
    }
    guard let id else { throw .noDevice }
    outputID = id
  }

  private func stop() {
    if isStarted {
      isStarted = false
      // Without device or endpoint nothing is being received.
      try? session.value.stopInterruptReceiving(endpoint)
    }
    soon?.schedule()
  }

  // MARK: what the usb-host says

  func received(_ data: Span<UInt8>, _ status: Status) {
    guard posted != nil else {
      guard status == .success, kept.count < GuestTransfers.maxKept else { return lost += 1 }
      return kept.append(data.indices.map { data[$0] })
    }
    give(data, TransferStatus(status))
  }

  func changed(_ change: ReceivingChange) {
    if case .ended(let status) = change {
      isStarted = false
      give(Span(), TransferStatus(status))
    }
    soon?.schedule()
  }

  /// Completes the posted transfer, if there is one.
  private func give(_ data: Span<UInt8>, _ status: TransferStatus) {
    guard let transfer = posted else { return }
    posted = nil
    guard data.count <= transfer.length else { return complete(transfer, .overflow, 0) }
    transfer.buffer?.copy(data)
    complete(transfer, status, data.count)
  }

  private func settle() {
    if let transfer = output, transfer.status == .refused {
      output = nil
      complete(transfer, .refused, 0)
    }
    if posted?.status == .refused { give(Span(), .refused) }
    if posted != nil, !kept.isEmpty {
      let report = kept.removeFirst()
      give(report.span, .completed)
    }
    guard !isStarted, !session.value.receiving.isOn(endpoint) else { return }
    if posted?.state == .cancelling { give(Span(), .cancelled) }
    let then = closed
    closed = nil
    then?()
  }

  private func complete(_ transfer: Transfer, _ status: TransferStatus, _ count: Int) {
    transfer.state = .idle
    transfer.status = status
    transfer.actualLength = count
    transfer.owner?.completed(transfer)
  }
}
