// Uses an interrupt pipe on a manual device and notes in words what the pipe says.
@testable import usbredir_evloop

/// Owner of a pipe. Does nothing by itself but note, and release reports unless it is to keep them.
final class PipeUser: InterruptPipeOwner {
  let device = ManualDevice()
  /// What the pipe said: `#0 0102` a report, `#1 failed` an error, `cancel`, `clear halt`, `delay 13`,
  /// `paused`, `resumed`, `ended stopped`.
  private(set) var events: [String] = []
  /// Reports are kept, as a slow socket would.
  var keepsReports = false
  private(set) var kept: [PacketBuffer] = []
  /// Called with each event after it was noted.
  var onEvent: (String) -> Void = { _ in }
  private(set) var pipe: InterruptPipe!

  init(
    depth: Int = 4, length: Int = 8, shortTransfersAllowed: Bool = true,
    stallPolicy: StallPolicy = .clearAndRestart, isoPackets: Int = 0
  ) {
    let parameters = PipeParameters(
      endpoint: EndpointAddress(rawValue: 0x81), type: isoPackets > 0 ? .isochronous : .interrupt,
      transferLength: length, depth: depth, isoPackets: isoPackets,
      shortTransfersAllowed: shortTransfersAllowed, stallPolicy: stallPolicy)
    pipe = InterruptPipe(parameters, device: device, owner: self)
  }

  deinit {
    releaseReports()
  }

  /// What the pipe said since the last call.
  func take() -> [String] {
    defer { events = [] }
    return events
  }

  /// Gives the oldest `count` kept reports back, all by default.
  func releaseReports(_ count: Int = .max) {
    for _ in 0..<min(count, kept.count) { kept.removeFirst().release() }
  }

  private func note(_ event: String) {
    events.append(event)
    onEvent(event)
  }

  func pipe(_ pipe: InterruptPipe, received buffer: PacketBuffer, sequence: UInt64) {
    let bytes = buffer.withPayload { Hex.text($0) }
    if keepsReports { kept.append(buffer) } else { buffer.release() }
    note("#\(sequence)" + (bytes.isEmpty ? "" : " " + bytes))
  }

  func pipe(
    _ pipe: InterruptPipe, received packets: [IsoPacket], in buffer: PacketBuffer, sequence: UInt64
  ) {
    let stride = pipe.parameters.packetLength
    let words = packets.indices.map { index in
      guard packets[index].status == .completed else { return "\(packets[index].status)" }
      let start = index * stride
      return buffer.withPayload { Hex.text($0.extracting(start..<start + Int(packets[index].actualLength))) }
    }
    buffer.release()
    note("#\(sequence) [" + words.joined(separator: ",") + "]")
  }

  func pipe(_ pipe: InterruptPipe, failed status: TransferStatus, sequence: UInt64) {
    note("#\(sequence) \(status)")
  }

  func pipe(_ pipe: any StreamPipe, ended reason: PipeEnd) {
    switch reason {
    case .finished: note("ended finished")
    case .stopped: note("ended stopped")
    case .stalled: note("ended stalled")
    case .failed(let status): note("ended \(status)")
    case .gone: note("ended gone")
    }
  }

  func pipeNeedsCancel(_ pipe: any StreamPipe) {
    pipe.cancelPosted()
    note("cancel")
  }

  func pipeNeedsClearHalt(_ pipe: any StreamPipe) { note("clear halt") }
  func pipeNeedsDelay(_ pipe: InterruptPipe, milliseconds: UInt32) { note("delay \(milliseconds)") }
  func pipePaused(_ pipe: InterruptPipe) { note("paused") }
  func pipeResumed(_ pipe: InterruptPipe) { note("resumed") }
}
