// A USB tablet or mouse that lives in the process and does what a script says (the grammar: `PointerStep`).
//
// Steps wait until the guest polls; while there are enough of them the input is not read. A guest that leaves
// has got what it polled, the rest is for the next one. What is pressed stays so meanwhile.

/// A tablet or a boot mouse. Loop thread only.
final class VirtualPointer: HIDDevice, LineOwner {
  /// Steps that may wait before lines wait where they come from.
  static let capacity = 32
  /// Bytes of one line.
  private static let maxLine = 256

  private let kind: PointerKind
  private var steps: [PointerStep]
  private var input: LineInput?
  /// False until the guest has polled for `HIDDevice.settling`; then reports may come.
  private var hasSettled: Bool
  /// Runs until that, and then while the first step is a wait.
  private var pause: Timer?

  /// Throws when the input cannot be opened.
  /// - Parameter isPaced: false gives reports at once and as fast as it is polled, not once per bInterval.
  init(
    _ options: PointerOptions, loop: EventLoop, log: Log, isPaced: Bool = true
  ) throws(VirtualDeviceError) {
    kind = options.kind
    steps = options.events
    hasSettled = !isPaced
    super.init(options.kind.description, loop: loop, isPaced: isPaced)
    pause = Timer(loop) { [pointer = Unowned(self)] in pointer.value.finishPause() }
    guard let source = options.input else { return }
    do throws(SystemError) {
      input = try LineInput(
        loop, source: source, name: kind.name + " input", maxLine: VirtualPointer.maxLine, log: log,
        owner: self)
    } catch {
      throw .input(error)
    }
  }

  // MARK: LineOwner

  var hasRoomForLine: Bool { steps.count < VirtualPointer.capacity }

  func take(_ line: String, number: Int) throws(ScriptError) {
    steps += try PointerStep.parse(line, number: number, for: kind)
    serveSoon()
  }

  // MARK: HIDDevice

  override func polled(_ endpoint: EndpointAddress) {
    if endpoint == HIDDevice.input { beginPause() }
  }

  /// The guest does not poll any more; what follows is a new beginning.
  override func answerCancelled(_ transfer: Transfer) -> TransferStatus {
    if transfer.endpoint == HIDDevice.input { unsettle() }
    return .cancelled
  }

  override func wasReset() {
    super.wasReset()
    unsettle()
  }

  override var hasReport: Bool {
    guard hasSettled, let step = steps.first else { return false }
    if case .wait = step { return false }
    return true
  }

  /// Buttons, then X and Y of one byte (mouse) or two (tablet), then the wheel.
  override func nextReport() {
    switch steps[0] {
    case .press(let buttons): report[0] |= buttons
    case .release(let buttons): report[0] &= ~buttons
    case .place(let x, let y):
      report[1] = UInt8(x & 0xff)
      report[2] = UInt8(x >> 8)
      report[3] = UInt8(y & 0xff)
      report[4] = UInt8(y >> 8)
    case .shift(let x, let y, let wheel):
      if let rest = shift(x, y, wheel) {
        steps[0] = rest
        return
      }
    case .wait: return
    }
    finishStep()
  }

  /// Reports the next part of a way, as straight as it can be; what is left of it.
  private func shift(_ x: Int32, _ y: Int32, _ wheel: Int32) -> PointerStep? {
    let parts = (max(max(abs(x), abs(y)), abs(wheel)) + 126) / 127
    guard parts > 0 else { return nil }
    if kind == .mouse {
      report[1] = UInt8(truncatingIfNeeded: x / parts)
      report[2] = UInt8(truncatingIfNeeded: y / parts)
    }
    report[hid.reportSize - 1] = UInt8(truncatingIfNeeded: wheel / parts)
    return parts == 1 ? nil : .shift(x: x - x / parts, y: y - y / parts, wheel: wheel - wheel / parts)
  }

  private func finishStep() {
    steps.remove(at: 0)
    beginPause()
    // Half of it at a time, so that the input is not watched and left alone again with every line.
    if steps.count <= VirtualPointer.capacity / 2 { input?.resume() }
  }

  // MARK: waiting

  /// Called only while the guest polls: time that nobody sees does not count.
  private func beginPause() {
    guard let pause, !pause.isRunning else { return }
    if !hasSettled {
      pause.start(milliseconds: HIDDevice.settling)
    } else if case .wait(let milliseconds) = steps.first {
      pause.start(milliseconds: milliseconds)
    }
  }

  private func finishPause() {
    if hasSettled { finishStep() } else { hasSettled = true }
    serveSoon()
  }

  private func unsettle() {
    guard isPaced else { return }
    hasSettled = false
    pause?.stop()
  }
}
