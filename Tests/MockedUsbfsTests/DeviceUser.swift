// Opens a mocked device and keeps what comes back, in its order.
import Testing

@testable import usbredir_evloop

/// One user of one open device.
final class DeviceUser: DeviceOwner, TransferOwner {
  let device: USBDevice
  private let bus = unsafe MockedBus.shared
  private let buffers = SizedBufferPools()
  /// What happened: `gone`, `call done`, or the tag and status of a transfer.
  private(set) var events: [String] = []
  /// The bytes of each IN transfer that came back, by tag.
  private(set) var received: [UInt64: [UInt8]] = [:]
  private(set) var results: [DeviceCallResult] = []
  private(set) var isClosed = false
  /// Runs with each completion, before it is noted.
  var onCompleted: ((Transfer) -> Void)?
  /// Runs when the device is gone, after that is noted.
  var onGone: (() -> Void)?

  /// Opens the device; nil when that fails, which is an issue.
  static func open(_ mocked: MockedDevice) -> DeviceUser? {
    switch tryOpen(mocked) {
    case .success(let device): return DeviceUser(device)
    case .failure(let error):
      Issue.record("\(error.description)")
      return nil
    }
  }

  static func tryOpen(_ mocked: MockedDevice) -> Result<USBDevice, USBError> {
    let bus = unsafe MockedBus.shared
    bus.run { mocked.info != nil }
    guard let info = mocked.info else { return .failure(USBError(.gone, "not enumerated")) }
    var outcome: Result<USBDevice, USBError>?
    USBDevice.open(.info(info), in: bus.system) { outcome = $0 }
    #expect(outcome == nil, "the answer comes later")
    bus.run { outcome != nil }
    return outcome ?? .failure(USBError(.other, "no answer"))
  }

  init(_ device: USBDevice) {
    self.device = device
    device.owner = self
  }

  func transfer(
    _ type: TransferType, _ endpoint: UInt8, tag: UInt64, length: Int, out: [UInt8]? = nil
  ) -> Transfer {
    let transfer = device.makeTransfer(isoPackets: 0)
    transfer.type = type
    transfer.endpoint = EndpointAddress(rawValue: endpoint)
    transfer.tag = tag
    transfer.length = length
    transfer.owner = self
    let buffer = buffers.take(length)
    if let out { buffer.copy(out.span) }
    transfer.buffer = buffer
    return transfer
  }

  /// Makes a transfer and submits it.
  @discardableResult func submit(
    _ type: TransferType, _ endpoint: UInt8, tag: UInt64, length: Int, out: [UInt8]? = nil
  ) -> Transfer {
    let transfer = transfer(type, endpoint, tag: tag, length: length, out: out)
    device.submit(transfer)
    return transfer
  }

  /// Makes an isochronous transfer whose packets have these lengths, or these bytes, and submits it.
  @discardableResult func submitPackets(
    _ endpoint: UInt8, tag: UInt64, lengths: [UInt16] = [], out: [[UInt8]] = []
  ) -> Transfer {
    let lengths = lengths + out.map { UInt16($0.count) }
    let transfer = device.makeTransfer(isoPackets: lengths.count)
    transfer.type = .isochronous
    transfer.endpoint = EndpointAddress(rawValue: endpoint)
    transfer.tag = tag
    for (index, length) in lengths.enumerated() { transfer.packets[index].length = length }
    transfer.length = lengths.reduce(0) { $0 + Int($1) }
    transfer.owner = self
    let buffer = buffers.take(transfer.length)
    for bytes in out { buffer.append(bytes.span) }
    transfer.buffer = buffer
    device.submit(transfer)
    return transfer
  }

  func completed(_ transfer: Transfer) {
    #expect(transfer.state == .idle)
    onCompleted?(transfer)
    events.append("\(transfer.tag) \(transfer.status)")
    transfer.buffer?.setPayload(count: transfer.actualLength)
    received[transfer.tag] = transfer.buffer?.withPayload { payload in payload.indices.map { payload[$0] } }
  }

  func deviceFinished(_ call: DeviceCall, _ result: DeviceCallResult) {
    results.append(result)
    events.append("call \(result)")
  }

  func deviceGone() {
    events.append("gone")
    onGone?()
  }

  /// Performs a call and waits for its result.
  func perform(_ call: DeviceCall) -> DeviceCallResult? {
    let before = results.count
    device.perform(call)
    #expect(results.count == before, "the answer comes later")
    bus.run { self.results.count > before }
    return results.last
  }

  func run(until condition: () -> Bool) {
    bus.run(until: condition)
  }

  func waitForEvents(_ count: Int) {
    bus.run { self.events.count >= count }
  }

  func close() {
    device.owner = nil
    device.close { [self] in isClosed = true }
    #expect(!isClosed, "closed comes later")
    bus.run { self.isClosed }
  }
}
