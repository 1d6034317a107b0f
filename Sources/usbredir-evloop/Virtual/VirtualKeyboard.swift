// A USB keyboard that lives in the process and types text. HID 1.11 with the boot protocol (appendix B), so
// that firmware understands it too.
//
// What is typed waits in `KeyboardReports` until the guest polls; while that queue is full the input is not
// read. A guest that leaves takes what it has got, the rest is typed to the next one.

/// A boot keyboard. Loop thread only.
final class VirtualKeyboard: HIDDevice, TextInputOwner {
  /// What the guest has lit; logged at every change.
  private(set) var leds = KeyboardLEDs()

  private let log: Log
  /// Milliseconds from the guest's first poll to the first key.
  private var delay: UInt32
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

  /// Throws when the text has characters that have no key, or the input cannot be opened.
  /// - Parameter isPaced: false types as fast as it is polled, instead of once per bInterval.
  init(
    _ options: KeyboardOptions, loop: EventLoop, log: Log, isPaced: Bool = true
  ) throws(VirtualDeviceError) {
    do throws(KeyboardTextError) {
      try KeyboardLayout.check(options.text ?? "")
    } catch {
      throw .text(error)
    }
    self.log = log
    delay = options.delay
    text = Array((options.text ?? "").utf8)
    super.init(.keyboard, loop: loop, isPaced: isPaced)
    start = Timer(loop) { [keyboard = Unowned(self)] in keyboard.value.begin() }
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

  /// The delay is over.
  func begin() {
    mayType = true
    refill()
    serveSoon()
  }

  private func light(_ new: KeyboardLEDs) {
    guard new != leds else { return }
    leds = new
    log.info("keyboard LEDs: \(new.description)")
  }

  // MARK: HIDDevice

  override func polled(_ endpoint: EndpointAddress) {
    guard endpoint == HIDDevice.input, !hasBeenPolled else { return }
    hasBeenPolled = true
    if delay == 0 { begin() } else { start?.start(milliseconds: delay) }
  }

  /// The guest does not poll any more. Whoever does next has just opened the keyboard, too.
  override func answerCancelled(_ transfer: Transfer) -> TransferStatus {
    if transfer.endpoint == HIDDevice.input { unsettle() }
    return .cancelled
  }

  /// A delay that has not passed goes on: it counts from the first poll of all.
  private func unsettle() {
    guard mayType else { return }
    mayType = false
    hasBeenPolled = false
    delay = min(delay, HIDDevice.settling)
  }

  override var hasReport: Bool { mayType && !reports.isEmpty }

  /// HID 1.11, appendix B.1.
  override func nextReport() {
    guard let down = reports.removeFirst() else { return }
    report[0] = down.modifiers
    report[2] = down.usage
    // Half of it at a time, so that the input is not watched and left alone again with every key.
    if reports.count <= KeyboardReports.capacity / 2 { refill() }
  }

  override func takeOutput(_ transfer: Transfer) -> TransferStatus {
    guard let lit = transfer.withData({ $0.isEmpty ? nil : $0[0] }) else { return .stalled }
    light(KeyboardLEDs(rawValue: lit & 0x1f))
    return transfer.take()
  }

  override func giveOutput(_ transfer: Transfer) -> TransferStatus {
    transfer.give([leds.rawValue])
  }

  override func wasReset() {
    super.wasReset()
    light([])
    unsettle()
  }
}
