// Uses an isochronous OUT pipe on a manual device and notes in words what the pipe says.
@testable import usbredir_evloop

/// Owner of a pipe. Does nothing by itself but note and cancel.
final class IsoOutPipeUser: IsoOutPipeOwner {
  let device = ManualDevice()
  /// What the pipe said: `failed`, `dry`, `cancel`, `clear halt`, `ended stopped`.
  private(set) var events: [String] = []
  private(set) var pipe: IsoOutPipe!

  init(packets: Int = 2, depth: Int = 4, packetLength: Int = 8) {
    let parameters = PipeParameters(
      endpoint: EndpointAddress(rawValue: 0x03), type: .isochronous, transferLength: packetLength * packets,
      depth: depth, isoPackets: packets)
    pipe = IsoOutPipe(parameters, device: device, owner: self)
  }

  /// What the pipe said since the last call.
  func take() -> [String] {
    defer { events = [] }
    return events
  }

  /// Packets of one byte each, counted up; how many were taken.
  @discardableResult func put(_ bytes: ClosedRange<UInt8>) -> Int {
    bytes.reduce(0) { $0 + (pipe.put([$1].span) ? 1 : 0) }
  }

  /// What is posted, oldest first: the data of each transfer.
  var posted: [String] { device.posted.map { $0.withData { Hex.text($0) } } }

  func pipe(_ pipe: IsoOutPipe, failed status: TransferStatus) { events.append("failed \(status)") }
  func pipeRanDry(_ pipe: IsoOutPipe) { events.append("dry") }
  func pipe(_ pipe: any StreamPipe, ended reason: PipeEnd) {
    events.append("ended \(reason)")
  }
  func pipeNeedsCancel(_ pipe: any StreamPipe) {
    pipe.cancelPosted()
    events.append("cancel")
  }
  func pipeNeedsClearHalt(_ pipe: any StreamPipe) { events.append("clear halt") }
}
