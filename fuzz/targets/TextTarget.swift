// Text and lines for the virtual devices that take some: the keyboard and the pointers read it from a pipe, in any
// pieces, while a guest polls them; scripts and commands are parsed as they are. What the keyboard types is what was
// written, as far as it has keys.
import CPosix

func fuzzText(_ input: FuzzInput) {
  var input = input
  let kind = input.number(6)
  switch kind {
  case 0: typed(&input)
  case 1, 2: pointed(&input, kind == 1 ? .tablet : .mouse)
  case 3: _ = try? ScriptCommand.parse(script: text(input.rest()))
  case 4: _ = try? PointerStep.parse(commands: text(input.rest()), for: .mouse)
  default: scripted(&input)
  }
}

private func text(_ bytes: [UInt8]) -> String { unsafe bytes.withUnsafeBytes { unsafe String(utf8: $0) } }

private func typed(_ input: inout FuzzInput) {
  let rig = InputRig { loop, log, source in
    try? VirtualKeyboard(KeyboardOptions(input: source), loop: loop, log: log, isPaced: false)
  }
  var keyboard = BootKeyboard()
  var typed = ""
  rig.onReport = { report in
    guard let changes = keyboard.changes(report.span) else { return check(false, "no report of a keyboard") }
    for press in changes.pressed {
      if let character = press.character { typed.unicodeScalars.append(character) }
    }
  }
  let expected = rig.write(&input)
  rig.run { typed.utf8.count >= expected.utf8.count }
  rig.settle()
  check(typed == expected, "the keyboard typed something else")
  rig.finish()
}

private func pointed(_ input: inout FuzzInput, _ kind: PointerKind) {
  let rig = InputRig { loop, log, source in
    try? VirtualPointer(PointerOptions(kind: kind, input: source), loop: loop, log: log, isPaced: false)
  }
  rig.onReport = { report in check(report.count == (kind == .mouse ? 4 : 6), "a report of another size") }
  _ = rig.write(&input)
  rig.settle()
  rig.finish()
}

/// A scripted device that follows its input, behind a guest that polls.
private func scripted(_ input: inout FuzzInput) {
  let rig = InputRig { loop, log, source in
    try? ScriptedDevice(ScriptedOptions(input: source), loop: loop, log: log)
  }
  _ = rig.write(&input)
  rig.settle()
  rig.finish()
}

/// A device that reads a pipe, and a user who always has a transfer on its interrupt IN endpoint.
private final class InputRig: DeviceOwner, TransferOwner {
  var onReport: ([UInt8]) -> Void = { _ in }
  private let turns: FuzzLoop
  private let device: VirtualDevice
  private let buffers = SizedBufferPools()
  private let transfer: Transfer
  private var writer: Int32
  private var isGone = false

  init(_ make: (EventLoop, Log, String) -> VirtualDevice?) {
    turns = FuzzLoop()
    var ends: [Int32] = [-1, -1]
    check(unsafe pipe(&ends) == 0, "no pipe")
    _ = (posixSetNonBlocking(ends[1]), posixSetNonBlocking(ends[0]))
    writer = ends[1]
    guard let device = make(turns.loop, turns.log, "/proc/self/fd/" + String(ends[0])) else {
      preconditionFailure("no device")
    }
    close(ends[0])
    self.device = device
    transfer = device.makeTransfer(isoPackets: 0)
    device.owner = self
    transfer.type = .interrupt
    transfer.endpoint = EndpointAddress(rawValue: 0x81)
    transfer.owner = self
    submit()
  }

  /// The user leaves: everything comes back, and nothing keeps the device.
  func finish() {
    close(writer)
    onReport = { _ in }
    isGone = true
    device.cancel(transfer)
    turns.run(100) { transfer.state == .idle }
    check(transfer.state == .idle, "a transfer does not come back")
    var isClosed = false
    device.close { isClosed = true }
    turns.run(100) { isClosed }
    check(isClosed, "a device does not close")
    transfer.owner = nil
  }

  /// Writes the input in pieces, with turns between them; what of it has keys.
  func write(_ input: inout FuzzInput) -> String {
    var expected = ""
    var decoder = TextDecoder()
    func decoded(_ character: Unicode.Scalar) {
      // Escape and Backspace have a key and type nothing.
      guard let key = try? KeyboardLayout.keyStroke(for: character) else { return }
      if KeyboardLayout.character(of: key) != nil { expected.unicodeScalars.append(character) }
    }
    while !input.isEmpty {
      let bytes = input.take(1 + input.number(64))
      for byte in bytes {
        switch decoder.decode(byte) {
        case .more: break
        case .character(let character): decoded(character)
        case .malformed(let character):
          decoded(character)
          if case .character(let next) = decoder.decode(byte) { decoded(next) }
        }
      }
      var sent = 0
      var left = 10_000
      while sent < bytes.count, left > 0 {
        left -= 1
        let count = unsafe bytes.withUnsafeBytes {
          unsafe CPosix.write(writer, $0.baseAddress?.advanced(by: sent), bytes.count - sent)
        }
        if count > 0 { sent += count }
        turns.turn()
      }
      check(sent == bytes.count, "the input is not read")
    }
    return expected
  }

  func settle() {
    turns.settle()
  }

  func run(until isDone: () -> Bool) {
    turns.run(10_000, until: isDone)
  }

  private func submit() {
    guard !isGone, transfer.state == .idle else { return }
    transfer.length = 8
    transfer.buffer = buffers.take(8)
    device.submit(transfer)
  }

  func completed(_ transfer: Transfer) {
    turns.isBusy = true
    if transfer.status == .completed {
      transfer.buffer?.setPayload(count: transfer.actualLength)
      onReport(transfer.buffer?.withPayload { bytes in bytes.indices.map { bytes[$0] } } ?? [])
    }
    transfer.buffer?.release()
    transfer.buffer = nil
    if transfer.status == .stalled, !isGone { return device.perform(.clearHalt(transfer.endpoint)) }
    submit()
  }

  func deviceFinished(_ call: DeviceCall, _ result: DeviceCallResult) { submit() }
  func deviceGone() { isGone = true }
}
