// Uses a virtual device as a session would: submits transfers, keeps what comes back.
import Testing

@testable import usbredir_evloop

/// Owner of a device and of all its transfers; `turn` runs what is due.
final class VirtualUser: DeviceOwner, TransferOwner {
  let loop: EventLoop
  let device: VirtualDevice
  /// What came back, in order: `81 completed 0102`, `80 stalled`, `call done`, `gone`.
  var events: [String] = []
  /// Called for each transfer that comes back, after it was noted.
  var onCompleted: ((Transfer) -> Void)?
  private let buffers = SizedBufferPools()

  init(_ loop: EventLoop, _ device: VirtualDevice) {
    self.loop = loop
    self.device = device
    device.owner = self
  }

  func turn() {
    loop.reaps.run()
  }

  /// What came back since the last call.
  func take() -> [String] {
    defer { events = [] }
    return events
  }

  /// Runs the loop until `isDone`, at most so many turns; for what waits for time or descriptors.
  func run(turns: Int = 2000, until isDone: () -> Bool) {
    var left = turns
    // The tick keeps a turn from waiting for ever when nothing else would come.
    let tick = Timer(loop) {}
    while !isDone() && left > 0 {
      left -= 1
      tick.start(milliseconds: 5)
      loop.turn()
      loop.reaps.run()
    }
  }

  /// Lets time pass on the loop's clock, and runs what falls due.
  func pass(_ nanoseconds: UInt64, on clock: ManualClock) {
    clock.advance(nanoseconds: nanoseconds)
    loop.timers.fireDue()
    turn()
  }

  /// An event at each of the next intervals of `nanoseconds`, and none before; the last one was a moment ago.
  func expectPace(
    _ nanoseconds: UInt64, intervals: Int, on clock: ManualClock,
    _ sourceLocation: SourceLocation = #_sourceLocation
  ) {
    // A timer fires behind its time.
    pass(1, on: clock)
    let before = events.count
    for count in before..<before + intervals {
      pass(nanoseconds - 1, on: clock)
      #expect(events.count == count, sourceLocation: sourceLocation)
      pass(1, on: clock)
      #expect(events.count == count + 1, sourceLocation: sourceLocation)
    }
  }

  @discardableResult func read(_ endpoint: UInt8, length: Int = 8, timeout: UInt32 = 0) -> Transfer {
    submit(endpoint, .interrupt, length: length, timeout: timeout)
  }

  @discardableResult func write(_ endpoint: UInt8, _ bytes: [UInt8]) -> Transfer {
    submit(endpoint, .interrupt, length: bytes.count, data: bytes)
  }

  /// Sends a control request and runs a turn; what came back: `80 completed 0102`.
  func control(
    _ type: UInt8, _ request: UInt8, _ value: UInt16, _ index: UInt16, length: UInt16, data: [UInt8] = []
  ) -> String {
    let setup = SetupPacket(requestType: type, request: request, value: value, index: index, length: length)
    submit(type & 0x80, .control, length: Int(length), data: data, setup: setup)
    turn()
    return events.popLast() ?? "nothing"
  }

  @discardableResult func submit(
    _ endpoint: UInt8, _ type: TransferType, length: Int, data: [UInt8] = [], setup: SetupPacket? = nil,
    timeout: UInt32 = 0
  ) -> Transfer {
    let transfer = device.makeTransfer(isoPackets: 0)
    transfer.type = type
    transfer.endpoint = EndpointAddress(rawValue: endpoint)
    transfer.length = length
    transfer.timeout = timeout
    if let setup { transfer.setup = setup }
    transfer.owner = self
    submit(transfer, data)
    return transfer
  }

  func submit(_ transfer: Transfer, _ data: [UInt8] = []) {
    let buffer = buffers.take(max(transfer.length, data.count))
    buffer.copy(data.span)
    transfer.buffer = buffer
    device.submit(transfer)
  }

  func completed(_ transfer: Transfer) {
    var text = Hex.text(UInt32(transfer.endpoint.rawValue), digits: 2) + " \(transfer.status)"
    if transfer.actualLength > 0 {
      text += " " + (transfer.endpoint.isIn ? data(transfer) : "\(transfer.actualLength)")
    }
    events.append(text)
    transfer.buffer?.release()
    transfer.buffer = nil
    onCompleted?(transfer)
  }

  private func data(_ transfer: Transfer) -> String {
    transfer.buffer?.setPayload(count: transfer.actualLength)
    return transfer.buffer?.withPayload { Hex.text($0) } ?? ""
  }

  func deviceFinished(_ call: DeviceCall, _ result: DeviceCallResult) {
    events.append("call \(result)")
  }

  func deviceGone() {
    events.append("gone")
  }
}
