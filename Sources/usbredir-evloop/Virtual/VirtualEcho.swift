// A HID device that answers each report with the same report, like the many adapters that speak HID to be
// spared a driver (MCP2210 and its kind): for programs that send requests and wait for answers.
//
// What comes out on the OUT endpoint is taken packet by packet, as a bus brings it, and each packet is one
// answer of the same length on the IN endpoint, in order. While the guest does not poll, answers wait; when
// there are too many, the OUT endpoint waits, too (NAK). With `answersFirst` an OUT transfer is not complete
// before its answer has been given, unless the guest does not poll.

/// Answers reports by themselves. Loop thread only.
final class VirtualEcho: HIDDevice {
  /// Answers that may wait.
  static let capacity = 32

  private let answersFirst: Bool
  private var answers: [[UInt8]] = []

  init(_ options: EchoOptions, loop: EventLoop, isPaced: Bool = true) {
    answersFirst = options.answersFirst
    super.init(.echo, loop: loop, isPaced: isPaced)
  }

  // MARK: HIDDevice

  override var hasReport: Bool { !answers.isEmpty }

  override func nextReport() {
    report = answers.remove(at: 0)
    serveSoon()
  }

  override func isReady(_ endpoint: EndpointAddress) -> Bool {
    guard endpoint == HIDDevice.output else { return super.isReady(endpoint) }
    return takesAll() && (!answersFirst || answers.isEmpty || !isPolled(HIDDevice.input))
  }

  /// An OUT transfer's packets have been taken when it completes. SET_REPORT brings one, and cannot wait.
  override func takeOutput(_ transfer: Transfer) -> TransferStatus {
    if transfer.type == .control {
      guard transfer.length <= hid.reportSize, answers.count < VirtualEcho.capacity else { return .stalled }
      answer(transfer, packet: 0)
      serveSoon()
    }
    return transfer.take()
  }

  /// What has been taken of a transfer is answered, though it was cancelled.
  override func answerCancelled(_ transfer: Transfer) -> TransferStatus {
    if let transfer = transfer as? VirtualTransfer, !transfer.endpoint.isIn {
      transfer.actualLength = min(transfer.length, transfer.packetsTaken * hid.reportSize)
    }
    // An OUT transfer may have waited for this one.
    serveSoon()
    return .cancelled
  }

  override func wasReset() {
    super.wasReset()
    answers = []
  }

  /// Takes what there is room for of the oldest OUT transfer; true when that is all of it.
  private func takesAll() -> Bool {
    guard let transfer = endpoint(HIDDevice.output)?.oldest else { return false }
    // An empty transfer is a packet, too.
    let packets = max(1, (transfer.length + hid.reportSize - 1) / hid.reportSize)
    while transfer.packetsTaken < packets && answers.count < VirtualEcho.capacity {
      answer(transfer, packet: transfer.packetsTaken)
      transfer.packetsTaken += 1
    }
    return transfer.packetsTaken == packets
  }

  private func answer(_ transfer: Transfer, packet: Int) {
    answers.append(
      transfer.withData { data in
        let start = min(data.count, packet * hid.reportSize)
        var bytes: [UInt8] = []
        for index in start..<min(data.count, start + hid.reportSize) { bytes.append(data[index]) }
        return bytes
      })
  }
}

extension HIDDescription {
  /// Reports of 64 bytes both ways, once a millisecond.
  static var echo: HIDDescription {
    HIDDescription(
      product: 0x0006, productName: "Virtual Echo", reportSize: 64, interval: 1, hasOutput: true,
      canRepeat: false, reportDescriptor: echoReports)
  }

  private static let echoReports: [UInt8] = [
    0x06, 0x00, 0xff,  // Usage Page (Vendor)
    0x09, 0x01,  // Usage (1)
    0xa1, 0x01,  // Collection (Application)
    0x15, 0x00, 0x26, 0xff, 0x00,  //   Values 0…255
    0x75, 0x08, 0x95, 0x40,  //   64 times 8 bits
    0x09, 0x02,  //   Usage (2)
    0x81, 0x02,  //   Input (Data, Variable)
    0x09, 0x03,  //   Usage (3)
    0x91, 0x02,  //   Output (Data, Variable)
    0xc0,  // End Collection
  ]
}
