// A USB keyboard that lives in the process and types text. HID 1.11 with the boot protocol (appendix B), so
// that firmware understands it too.
//
// What is typed waits in `KeyboardReports` until the guest polls; while that queue is full the input is not
// read. A guest that leaves takes what it has got, the rest is typed to the next one.

/// A boot keyboard. Loop thread only.
final class VirtualKeyboard: VirtualDevice, TextInputOwner {
  /// What the guest has lit; logged at every change.
  private(set) var leds = KeyboardLEDs()

  private static let keys = EndpointAddress(rawValue: 0x81)

  private let log: Log
  private let delay: UInt32
  private let keepsPace: Bool
  private var reports = KeyboardReports()
  /// What is left of the `text` option.
  private var text: [UInt8]
  private var typed = 0
  private var decoder = TextDecoder()
  private var waiting: Unicode.Scalar?
  private var input: TextInput?
  private var hasBeenPolled = false
  private var mayType = false
  private var start: Timer?
  /// The report sent last: what is down now.
  private var down = KeyStroke.released
  /// In units of 4 ms; 0 sends changes alone. HID 1.11, 7.2.4.
  private var idleRate: UInt8 = 0
  private var idle: Timer?
  private var repeatsReport = false
  private var usesBootProtocol = false

  /// Throws when the text has characters that have no key, or the input cannot be opened.
  /// - Parameter isPaced: false types as fast as it is polled, instead of once per bInterval.
  init(
    _ options: KeyboardOptions, loop: EventLoop, log: Log, isPaced: Bool = true
  ) throws(VirtualDeviceError) {
    keepsPace = isPaced
    do throws(KeyboardTextError) {
      try KeyboardLayout.check(options.text ?? "")
    } catch {
      throw .text(error)
    }
    self.log = log
    delay = options.delay
    text = Array((options.text ?? "").utf8)
    super.init(.keyboard, loop: loop)
    start = Timer(loop) { [keyboard = Unowned(self)] in keyboard.value.begin() }
    idle = Timer(loop) { [keyboard = Unowned(self)] in keyboard.value.repeatReport() }
    guard let source = options.input else { return }
    do throws(SystemError) {
      input = try TextInput(loop, source: source, log: log, owner: self)
    } catch {
      throw .input(error)
    }
  }

  // MARK: typing

  /// Text comes after the `text` option, in the order in which it comes in.
  func take(_ character: Unicode.Scalar, from stream: TextStream) -> Bool {
    guard typed == text.count, waiting == nil else { return false }
    return type(character)
  }

  func ended(_ stream: TextStream) {}

  /// Queues a key; false when there is no room for it. A character without a key is passed over with a
  /// warning.
  private func type(_ character: Unicode.Scalar) -> Bool {
    guard !reports.isFull else { return false }
    do throws(KeyboardTextError) {
      reports.type(try KeyboardLayout.keyStroke(for: character))
      serveSoon()
    } catch {
      log.warning("keyboard input: \(error.description); skipped")
    }
    return true
  }

  /// Fills the queue again: from the text first, then from the input.
  private func refill() {
    while let character = waiting ?? nextOfText() {
      waiting = type(character) ? nil : character
      if waiting != nil { return }
    }
    input?.resume()
  }

  private func nextOfText() -> Unicode.Scalar? {
    while typed < text.count {
      typed += 1
      if case .character(let character) = decoder.decode(text[typed - 1]) { return character }
    }
    return nil
  }

  private func begin() {
    mayType = true
    refill()
    serveSoon()
  }

  /// The idle period has passed without a change.
  private func repeatReport() {
    repeatsReport = true
    serveSoon()
  }

  private func light(_ new: KeyboardLEDs) {
    guard new != leds else { return }
    leds = new
    log.info("keyboard LEDs: \(new.description)")
  }

  // MARK: VirtualDevice

  override var isPaced: Bool { keepsPace }

  override func polled(_ endpoint: EndpointAddress) {
    guard endpoint == VirtualKeyboard.keys, !hasBeenPolled else { return }
    hasBeenPolled = true
    if delay == 0 { begin() } else { start?.start(milliseconds: delay) }
  }

  override func isReady(_ endpoint: EndpointAddress) -> Bool {
    guard endpoint == VirtualKeyboard.keys else { return true }
    return mayType && !reports.isEmpty || repeatsReport
  }

  override func answer(_ transfer: Transfer) -> TransferStatus {
    guard transfer.endpoint == VirtualKeyboard.keys else { return takeLEDs(transfer) }
    if mayType, let next = reports.removeFirst() {
      down = next
      // Half of it at a time, so that the input is not watched and left alone again with every key.
      if reports.count <= KeyboardReports.capacity / 2 { refill() }
    }
    repeatsReport = false
    startIdle()
    return giveReport(transfer)
  }

  override func answerControl(_ transfer: Transfer) -> TransferStatus {
    let setup = transfer.setup
    guard setup.index == 0, model.configuration != 0 else { return super.answerControl(transfer) }
    switch (setup.requestType, setup.request) {
    case (0x81, StandardRequest.getDescriptor) where setup.value == HID.hidDescriptor:
      return transfer.give(DeviceDescription.hidDescriptor)
    case (0x81, StandardRequest.getDescriptor) where setup.value == HID.reportDescriptor:
      return transfer.give(DeviceDescription.reportDescriptor)
    case (0xa1, HID.getReport) where setup.value == HID.inputReport: return giveReport(transfer)
    case (0xa1, HID.getReport) where setup.value == HID.outputReport: return transfer.give([leds.rawValue])
    case (0xa1, HID.getIdle): return transfer.give([idleRate])
    case (0xa1, HID.getProtocol): return transfer.give([usesBootProtocol ? 0 : 1])
    case (0x21, HID.setReport) where setup.value == HID.outputReport: return takeLEDs(transfer)
    case (0x21, HID.setIdle):
      idleRate = UInt8(setup.value >> 8)
      startIdle()
      return transfer.take()
    case (0x21, HID.setProtocol) where setup.value <= 1:
      // Both protocols have the same report.
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
    light([])
  }

  /// Starts with each report and fires once: while the guest does not poll nothing is repeated.
  private func startIdle() {
    if idleRate > 0 { idle?.start(milliseconds: UInt32(idleRate) * 4) } else { idle?.stop() }
  }

  private func giveReport(_ transfer: Transfer) -> TransferStatus {
    var report = InlineArray<8, UInt8>(repeating: 0)
    report[0] = down.modifiers
    report[2] = down.usage
    return transfer.give(report.span)
  }

  private func takeLEDs(_ transfer: Transfer) -> TransferStatus {
    guard let lit = transfer.withData({ $0.isEmpty ? nil : $0[0] }) else { return .stalled }
    light(KeyboardLEDs(rawValue: lit & 0x1f))
    return transfer.take()
  }
}
