// What the keyboard, the pointers and the echo device have in common: reports, class requests, the idle rate
// and the boot protocol. HID 1.11, 7.2.

/// Base of the virtual HID devices. Loop thread only.
class HIDDevice: VirtualDevice {
  static let input = EndpointAddress(rawValue: 0x81)
  static let output = EndpointAddress(rawValue: 0x01)
  /// Milliseconds from a guest's first poll to the first report. Linux passes over what comes in the first 50 ms
  /// after it has opened a HID device (drivers/hid/usbhid/hid-core.c, usbhid_open).
  static let settling: UInt32 = 200

  final let hid: HIDDescription
  /// The input report that was given last, changed by `nextReport`.
  final var report: [UInt8]

  private let keepsPace: Bool
  /// In units of 4 ms; 0 sends changes alone. HID 1.11, 7.2.4.
  private var idleRate: UInt8 = 0
  private var idle: Timer?
  private var repeatsReport = false
  private var usesBootProtocol = false

  /// - Parameter isPaced: false gives reports as fast as it is polled, instead of once per bInterval.
  init(_ hid: HIDDescription, loop: EventLoop, isPaced: Bool) {
    self.hid = hid
    keepsPace = isPaced
    report = [UInt8](repeating: 0, count: hid.reportSize)
    super.init(hid.device, loop: loop)
    idle = Timer(loop) { [device = Unowned(self)] in device.value.repeatReport() }
  }

  // MARK: what subclasses do differently

  /// True when there is something to report. `serveSoon` when it becomes true.
  var hasReport: Bool { false }

  /// Makes `report` the next one. Called only while there is one.
  func nextReport() {}

  /// Takes an output report, from the OUT endpoint or by SET_REPORT.
  func takeOutput(_ transfer: Transfer) -> TransferStatus { .stalled }

  /// Answers GET_REPORT for the output report.
  func giveOutput(_ transfer: Transfer) -> TransferStatus { .stalled }

  // MARK: VirtualDevice

  final override var isPaced: Bool { keepsPace }

  override func isReady(_ endpoint: EndpointAddress) -> Bool {
    endpoint != HIDDevice.input || hasReport || repeatsReport
  }

  final override func answer(_ transfer: Transfer) -> TransferStatus {
    guard transfer.endpoint == HIDDevice.input else { return takeOutput(transfer) }
    if hasReport { nextReport() }
    repeatsReport = false
    startIdle()
    let status = transfer.give(report)
    for index in hid.changes { report[index] = 0 }
    return status
  }

  final override func answerControl(_ transfer: Transfer) -> TransferStatus {
    let setup = transfer.setup
    guard setup.index == 0, model.configuration != 0 else { return super.answerControl(transfer) }
    switch (setup.requestType, setup.request) {
    case (0x81, StandardRequest.getDescriptor) where setup.value == HID.hidDescriptor:
      return transfer.give(hid.descriptor)
    case (0x81, StandardRequest.getDescriptor) where setup.value == HID.reportDescriptor:
      return transfer.give(hid.reportDescriptor)
    case (0xa1, HID.getReport) where setup.value == HID.inputReport: return transfer.give(report)
    case (0xa1, HID.getReport) where setup.value == HID.outputReport: return giveOutput(transfer)
    case (0x21, HID.setReport) where setup.value == HID.outputReport: return takeOutput(transfer)
    case (0xa1, HID.getIdle) where hid.canRepeat: return transfer.give([idleRate])
    case (0x21, HID.setIdle) where hid.canRepeat:
      idleRate = UInt8(setup.value >> 8)
      startIdle()
      return transfer.take()
    // Both protocols of a boot device have the same report.
    case (0xa1, HID.getProtocol) where hid.bootProtocol != 0:
      return transfer.give([usesBootProtocol ? 0 : 1])
    case (0x21, HID.setProtocol) where hid.bootProtocol != 0 && setup.value <= 1:
      usesBootProtocol = setup.value == 0
      return transfer.take()
    default: return super.answerControl(transfer)
    }
  }

  override func wasReset() {
    idleRate = 0
    usesBootProtocol = false
    repeatsReport = false
    idle?.stop()
  }

  /// The idle period has passed without a change.
  private func repeatReport() {
    repeatsReport = true
    serveSoon()
  }

  /// Starts with each report and fires once: while the guest does not poll nothing is repeated.
  private func startIdle() {
    if idleRate > 0 { idle?.start(milliseconds: UInt32(idleRate) * 4) } else { idle?.stop() }
  }
}
