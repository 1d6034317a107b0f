// A device whose transfers end when a check says so, and an owner that notes what a pipe says.
#if !hasFeature(Embedded)
  @testable import usbredir_evloop
#endif

/// Keeps what it is given until it is told to complete it.
final class FakeDevice: Device {
  let model = DeviceModel()
  let label = "fake"
  unowned(unsafe) private var user: (any DeviceOwner)?
  /// Oldest first.
  private(set) var posted: [Transfer] = []
  private(set) var cancelled = 0

  var owner: (any DeviceOwner)? {
    get { unsafe user }
    set { unsafe user = newValue }
  }

  func makeTransfer(isoPackets: Int) -> Transfer { Transfer(isoPackets: isoPackets) }

  func submit(_ transfer: Transfer) {
    transfer.state = .submitted
    posted.append(transfer)
  }

  func cancel(_ transfer: Transfer) {
    transfer.state = .cancelling
    cancelled += 1
  }

  func perform(_ call: DeviceCall) {}
  func close(_ closed: @escaping () -> Void) { closed() }

  /// Ends the oldest transfer.
  func complete(_ status: TransferStatus = .completed, _ bytes: [UInt8] = []) {
    let transfer = posted.removeFirst()
    transfer.state = .idle
    transfer.status = status
    transfer.actualLength = transfer.endpoint.isIn ? bytes.count : transfer.length
    if transfer.endpoint.isIn { transfer.buffer?.write(bytes.span, at: 0) }
    transfer.owner?.completed(transfer)
  }
}

/// What a pipe said.
enum Said: Equatable {
  case report(UInt64, [UInt8])
  case failed(TransferStatus)
  case dry
  case cancel
  case clearHalt
  case delay(UInt32)
  case paused
  case resumed
  case ended(PipeEnd)
}

/// Owner of a pipe.
final class PipeNotes: InterruptPipeOwner, IsoOutPipeOwner {
  private(set) var said: [Said] = []
  /// Reports are kept while this is true, as a slow socket does.
  var keeps = false
  private var kept: [PacketBuffer] = []

  /// What the pipe said since the last call.
  func take() -> [Said] {
    let taken = said
    said = []
    return taken
  }

  func release() {
    for buffer in kept { buffer.release() }
    kept = []
  }

  func pipe(_ pipe: InterruptPipe, received buffer: PacketBuffer, sequence: UInt64) {
    said.append(.report(sequence, buffer.withPayload(copy)))
    if keeps { kept.append(buffer) } else { buffer.release() }
  }

  func pipe(
    _ pipe: InterruptPipe, received packets: [IsoPacket], in buffer: PacketBuffer, sequence: UInt64
  ) {
    buffer.release()
  }

  func pipe(_ pipe: InterruptPipe, failed status: TransferStatus, sequence: UInt64) {
    said.append(.failed(status))
  }

  func pipe(_ pipe: IsoOutPipe, failed status: TransferStatus) { said.append(.failed(status)) }
  func pipeRanDry(_ pipe: IsoOutPipe) { said.append(.dry) }
  func pipe(_ pipe: any StreamPipe, ended reason: PipeEnd) { said.append(.ended(reason)) }
  func pipeNeedsClearHalt(_ pipe: any StreamPipe) { said.append(.clearHalt) }
  func pipePaused(_ pipe: InterruptPipe) { said.append(.paused) }
  func pipeResumed(_ pipe: InterruptPipe) { said.append(.resumed) }

  func pipeNeedsDelay(_ pipe: InterruptPipe, milliseconds: UInt32) {
    said.append(.delay(milliseconds))
  }

  func pipeNeedsCancel(_ pipe: any StreamPipe) {
    said.append(.cancel)
    pipe.cancelPosted()
  }
}
