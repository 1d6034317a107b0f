// What a device gave back while one session had it: all that the guest has to hear of it, in its order.
@testable import usbredir_evloop

/// The part of a device's history that concerns one stream.
struct StreamRecord {
  enum Entry {
    /// A report, or what a transfer of buffered bulk receiving brought.
    case data([UInt8])
    /// One isochronous packet; the guest may miss it (B6.4).
    case packet([UInt8], Status)
    /// A transfer failed.
    case error(Status)
    /// The stream begins again with id 0, without notice (B3.5, B4.5).
    case restart
    /// The stream is over, as the guest hears from the infos behind the operation with this id.
    case forgotten(by: UInt64)
  }

  private(set) var entries: [Entry] = []
  private(set) var first = 0
  /// Stalls and errors since the last good report.
  var stalls = 0
  var errors = 0
  /// Something happened after which the stream may end by itself (B4.1, B4.5, B4.7).
  var mayEnd = false
  /// Transfers that the device has, of an isochronous stream.
  var posted = 0

  var rest: ArraySlice<Entry> { entries[first...] }

  mutating func append(_ entry: Entry) { entries.append(entry) }

  mutating func drop(_ count: Int) {
    first += count
    guard first > 256 else { return }
    entries.removeFirst(first)
    first = 0
  }
}

/// One device on one session. Loop thread only.
final class Attachment {
  private weak var guest: Guest?
  var streams = [StreamRecord](repeating: StreamRecord(), count: EndpointTable.count)
  /// The operations behind which the guest gets new infos, oldest first.
  var operations: [UInt64] = []
  private weak var operation: Operation?
  private let world: World

  init(_ guest: Guest?, _ world: World) {
    self.guest = guest
    self.world = world
  }

  /// A request reaches the device.
  func submitted(_ request: Request) {
    guest?.model.submitted(request)
  }

  /// A transfer of an isochronous stream reaches the device: behind a time without any the stream may be another one,
  /// whose ids are from 0.
  func posted(_ transfer: Transfer) {
    guard transfer.owner is InterruptPipe, transfer.type == .isochronous else { return }
    let slot = transfer.endpoint.slot
    if streams[slot].posted == 0 { streams[slot].append(.restart) }
    streams[slot].posted += 1
  }

  /// A transfer is about to be given back.
  func comesBack(_ transfer: Transfer, attached: Bool) {
    if let request = transfer.owner as? Request {
      guest?.model.completed(request, transfer)
    } else if let pipe = transfer.owner as? any StreamPipe {
      if pipe is InterruptPipe && transfer.type == .isochronous {
        streams[transfer.endpoint.slot].posted -= 1
      }
      // What comes back behind the device's end concerns nobody (B2.6).
      if attached { streamTransfer(transfer, pipe) }
    } else {
      world.fail("a transfer comes back to nobody")
    }
  }

  private func streamTransfer(_ transfer: Transfer, _ pipe: any StreamPipe) {
    let slot = transfer.endpoint.slot
    switch transfer.status {
    case .completed:
      // Good news from a stream that is on its way to its end does not count.
      if (pipe as? InterruptPipe).map({ $0.state == .receiving || $0.state == .pausing }) ?? true {
        streams[slot].stalls = 0
        streams[slot].errors = 0
      }
      if transfer.endpoint.isIn { arrived(transfer, slot) }
    case .cancelled:
      if transfer.actualLength > 0 && transfer.type != .isochronous { arrived(transfer, slot) }
    case .failed, .timedOut, .overflow: failed(transfer, slot, pipe)
    case .stalled:
      streams[slot].stalls += 1
      // Those of one queue count once; more than eight in a row, nothing good between, may end it.
      if streams[slot].stalls > InterruptPipe.maxRecoveries { streams[slot].mayEnd = true }
    case .noMemory, .refused: streams[slot].mayEnd = true
    case .deviceGone: break
    }
  }

  private func arrived(_ transfer: Transfer, _ slot: Int) {
    guard let buffer = transfer.buffer else { return world.fail("a transfer comes back without its buffer") }
    let bytes = unsafe [UInt8](
      UnsafeRawBufferPointer(
        start: buffer.payloadPointer,
        count: transfer.type == .isochronous ? transfer.length : transfer.actualLength))
    guard transfer.type == .isochronous else { return streams[slot].append(.data(bytes)) }
    var offset = 0
    for packet in transfer.packets {
      let data = packet.status == .completed ? Array(bytes[offset..<offset + Int(packet.actualLength)]) : []
      streams[slot].append(.packet(data, Status(packet.status)))
      offset += Int(packet.length)
    }
  }

  private func failed(_ transfer: Transfer, _ slot: Int, _ pipe: any StreamPipe) {
    streams[slot].errors += 1
    if streams[slot].errors > InterruptPipe.maxErrors { streams[slot].mayEnd = true }
    guard transfer.endpoint.isIn else { return }
    let status = Status(transfer.status)
    // What comes back to a stream that is being stopped or recovers is no news.
    guard let pipe = pipe as? InterruptPipe, pipe.state == .receiving || pipe.state == .pausing else {
      return
    }
    guard transfer.type == .isochronous else { return streams[slot].append(.error(status)) }
    for _ in transfer.packets { streams[slot].append(.packet([], status)) }
  }

  /// A call begins that ends streams or starts them anew.
  func called(_ call: DeviceCall, _ slots: UInt32, for operation: Operation?) {
    var id = UInt64.max
    switch operation?.reply {
    case .packet(let number): id = number
    case .control(let request): id = request.id
    case .nobody, nil: break
    }
    let isFirst = note(operation, id)
    for slot in 0..<EndpointTable.count where isFirst && (operation?.slots ?? 0) & 1 << UInt32(slot) != 0 {
      switch call {
      case .setConfiguration, .setAlternateSetting: streams[slot].append(.forgotten(by: id))
      case .clearHalt, .reset, .allocateStreams, .freeStreams, .cancel: break
      }
    }
    for slot in 0..<EndpointTable.count where slots & 1 << UInt32(slot) != 0 {
      switch call {
      case .clearHalt, .reset, .allocateStreams, .freeStreams: streams[slot].append(.restart)
      case .setConfiguration, .setAlternateSetting, .cancel: break
      }
      // What starts again may not be able to (B3.5).
      switch call {
      case .reset, .allocateStreams, .freeStreams: streams[slot].mayEnd = true
      case .setConfiguration, .setAlternateSetting, .clearHalt, .cancel: break
      }
    }
  }

  /// Each operation once, however many calls it takes.
  private func note(_ operation: Operation?, _ id: UInt64) -> Bool {
    guard let operation, operation !== self.operation else { return false }
    self.operation = operation
    switch operation.kind {
    case .setConfiguration, .setAlternateSetting, .reset(changesSettings: true): operations.append(id)
    case .reset, .clearHalt, .bulkStreams, .recoverStall, .cancelPosted: break
    }
    return true
  }

  func ended(_ call: DeviceCall, _ result: DeviceCallResult) {
    if case .clearHalt(let endpoint) = call, result != .done { streams[endpoint.slot].mayEnd = true }
  }
}
