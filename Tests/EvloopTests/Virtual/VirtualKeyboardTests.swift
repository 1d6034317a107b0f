// The keyboard as a guest sees it: its requests, its reports and their pace, its LEDs.
import Testing

@testable import usbredir_evloop

/// A keyboard, its user, and what it logged.
final class KeyboardRig {
  let loop: EventLoop
  let keyboard: VirtualKeyboard
  let user: VirtualUser
  let lines: Lines
  var decoder = KeyDecoder()

  final class Lines {
    var all: [String] = []
  }

  init(_ options: KeyboardOptions = KeyboardOptions(), clock: Clock = Clock()) throws {
    loop = try EventLoop(clock: clock)
    let lines = Lines()
    self.lines = lines
    let log = Log(level: .info) { _, text in lines.all.append(text) }
    keyboard = try VirtualKeyboard(options, loop: loop, log: log)
    user = VirtualUser(loop, keyboard)
  }

  /// Polls with `depth` transfers until `count` reports came or too many turns passed.
  func poll(_ count: Int, depth: Int = 4) {
    var came = 0
    user.onCompleted = { [user = Unowned(user), keyboard = Unowned(keyboard)] transfer in
      came += 1
      if keyboard.value.isPlugged && came + depth <= count { user.value.submit(transfer) }
    }
    for _ in 0..<min(depth, count) { user.read(0x81) }
    user.run { came == count }
    user.onCompleted = nil
    decoder.read(user.take())
  }
}

struct VirtualKeyboardTests {
  @Test func typesTheTextOnce() throws {
    let rig = try KeyboardRig(KeyboardOptions(text: "Hello,\r\n\tWOrld~\u{8}\u{1b} "))
    rig.poll(2 * 17)
    #expect(rig.decoder.text == "Hello,\n\tWOrld~\u{8}\u{1b} ")
    #expect(rig.decoder.faults == [])
    let last = rig.user.read(0x81)
    for _ in 0..<3 { rig.user.turn() }
    #expect(last.state == .submitted)
  }

  @Test func modifiersAreInTheDownReport() throws {
    let rig = try KeyboardRig(KeyboardOptions(text: "Aa"))
    for _ in 0..<4 { rig.user.read(0x81) }
    rig.user.run { rig.user.events.count == 4 }
    #expect(
      rig.user.take() == [
        "81 completed 0200040000000000", "81 completed 0000000000000000",
        "81 completed 0000040000000000", "81 completed 0000000000000000",
      ])
  }

  @Test func allOfASCIIArrives() throws {
    let all = String(String.UnicodeScalarView((0x20...0x7e as ClosedRange<UInt8>).map { Unicode.Scalar($0) }))
    let rig = try KeyboardRig(KeyboardOptions(text: all + "aabb"))
    rig.poll(2 * 99)
    #expect(rig.decoder.text == all + "aabb")
    #expect(rig.decoder.faults == [])
  }

  @Test func textThatCannotBeTypedIsRefused() throws {
    let loop = try EventLoop()
    let options = VirtualDeviceOptions.keyboard(KeyboardOptions(text: "café"))
    let error = #expect(throws: VirtualDeviceError.self) {
      try options.make(loop: loop, log: Log(level: .error))
    }
    #expect(error?.description == "text: cannot type 'é' (U+00E9) on a US layout")
  }

  @Test func reportsKeepThePaceOfTheBus() throws {
    let clock = ManualClock()
    let rig = try KeyboardRig(KeyboardOptions(text: "abc"), clock: clock)
    for _ in 0..<6 { rig.user.read(0x81) }
    rig.user.turn()
    #expect(rig.user.events.count == 1, "the others wait for the next intervals")
    rig.user.expectPace(4_000_000, intervals: 5, on: clock)
    #expect(rig.user.events.count == 6)
  }

  @Test func nothingRunsWhileThereIsNothingToType() throws {
    let rig = try KeyboardRig(KeyboardOptions(text: "a"))
    rig.poll(2)
    rig.user.read(0x81)
    rig.user.turn()
    #expect(!rig.keyboard.isTimerRunning)
    #expect(rig.loop.reaps.isEmpty)
  }

  @Test func aCancelledTransferLosesNoKey() throws {
    let rig = try KeyboardRig(KeyboardOptions(text: "xy"))
    rig.poll(1)
    let cancelled = rig.user.read(0x81)
    rig.keyboard.cancel(cancelled)
    rig.user.turn()
    #expect(rig.user.take() == ["81 cancelled"])
    rig.poll(3)
    #expect(rig.decoder.text == "xy")
    #expect(rig.decoder.faults == [])
  }

  @Test func theNextGuestGetsTheRest() throws {
    let rig = try KeyboardRig(KeyboardOptions(text: "one two"))
    rig.poll(5)
    rig.keyboard.close {}
    rig.user.turn()
    rig.keyboard.owner = rig.user
    rig.poll(9)
    #expect(rig.decoder.text == "one two")
    #expect(rig.decoder.faults == [])
  }

  @Test func unpluggedItKeepsWhatItHasNotTyped() throws {
    let rig = try KeyboardRig(KeyboardOptions(text: "ab"))
    rig.poll(2)
    rig.keyboard.unplug()
    rig.user.read(0x81)
    rig.user.turn()
    #expect(rig.user.take() == ["gone", "81 deviceGone"])
    rig.keyboard.plug()
    rig.keyboard.close {}
    rig.user.turn()
    rig.keyboard.owner = rig.user
    rig.poll(2)
    #expect(rig.decoder.text == "ab")
  }

  @Test func theDelayCountsFromTheFirstPoll() throws {
    let rig = try KeyboardRig(KeyboardOptions(text: "a", delay: 20))
    let begin = monotonicNanoseconds()
    rig.user.read(0x81)
    rig.user.turn()
    #expect(rig.user.events == [])
    rig.user.run { !rig.user.events.isEmpty }
    #expect(rig.user.take() == ["81 completed 0000040000000000"])
    #expect(monotonicNanoseconds() - begin >= 20_000_000)
  }

  @Test(
    "a guest that comes later has as much time to listen, but no more than it needs",
    arguments: [30, 600_000])
  func nextGuest(delay: UInt32) throws {
    let rig = try KeyboardRig(KeyboardOptions(text: "ab", delay: delay))
    rig.user.read(0x81)
    rig.user.turn()
    // The first delay is over.
    rig.keyboard.begin()
    rig.user.run { !rig.user.events.isEmpty }
    let polling = rig.user.read(0x81)
    rig.keyboard.cancel(polling)
    rig.user.turn()
    _ = rig.user.take()
    let begin = monotonicNanoseconds()
    rig.poll(3)
    #expect(rig.decoder.text == "b")
    #expect(monotonicNanoseconds() - begin >= 30_000_000)
  }
}

/// Always has a report on 81, and takes longer than its interval to look at 82.
private final class BusyDevice: VirtualDevice {
  private let time: ManualClock

  init(_ loop: EventLoop, _ time: ManualClock) {
    self.time = time
    super.init(.scripted, loop: loop)
  }

  override var isPaced: Bool { true }

  override func isReady(_ endpoint: EndpointAddress) -> Bool { endpoint.rawValue == 0x81 }

  override func answer(_ transfer: Transfer) -> TransferStatus { transfer.give([1]) }

  override func polled(_ endpoint: EndpointAddress) {
    if endpoint.rawValue == 0x82 { time.advance(milliseconds: 12) }
  }
}

struct PaceTests {
  @Test func aReportThatFallsDueDuringTheTurnIsNotForgotten() throws {
    let clock = ManualClock()
    let loop = try EventLoop(clock: clock)
    let device = BusyDevice(loop, clock)
    let user = VirtualUser(loop, device)
    user.read(0x81)
    user.read(0x81)
    user.submit(0x82, .bulk, length: 8)
    user.turn()
    #expect(user.take() == ["81 completed 01"])
    #expect(device.isTimerRunning)
    user.pass(1, on: clock)
    #expect(user.take() == ["81 completed 01"])
  }
}

struct KeyboardRequestTests {
  private let rig: KeyboardRig

  init() throws {
    rig = try KeyboardRig()
  }

  @Test func ledsBySetReport() {
    #expect(rig.user.control(0x21, 9, 0x0200, 0, length: 1, data: [2]) == "00 completed 1")
    #expect(rig.keyboard.leds == .caps)
    #expect(rig.user.control(0xa1, 1, 0x0200, 0, length: 1) == "80 completed 02")
    #expect(rig.user.control(0x21, 9, 0x0200, 0, length: 1, data: [2]) == "00 completed 1")
    #expect(rig.user.control(0x21, 9, 0x0200, 0, length: 1, data: [7]) == "00 completed 1")
    #expect(rig.user.control(0x21, 9, 0x0200, 0, length: 1, data: [0xe0]) == "00 completed 1")
    #expect(
      rig.lines.all == ["keyboard LEDs: caps", "keyboard LEDs: num caps scroll", "keyboard LEDs: none"])
  }

  @Test func ledsByInterruptOut() {
    rig.user.write(0x01, [1])
    rig.user.turn()
    rig.user.write(0x01, [0x18, 0, 0])
    rig.user.turn()
    rig.user.write(0x01, [])
    rig.user.turn()
    #expect(rig.user.take() == ["01 completed 1", "01 completed 3", "01 stalled"])
    #expect(rig.lines.all == ["keyboard LEDs: num", "keyboard LEDs: compose kana"])
  }

  @Test func aResetForgetsWhatTheGuestHadSet() {
    _ = rig.user.control(0x21, 9, 0x0200, 0, length: 1, data: [2])
    _ = rig.user.control(0x21, 0x0b, 0, 0, length: 0)
    _ = rig.user.control(0x21, 0x0a, 0x0400, 0, length: 0)
    rig.keyboard.perform(.reset)
    rig.user.turn()
    #expect(rig.keyboard.leds == [])
    #expect(rig.lines.all.last == "keyboard LEDs: none")
    #expect(rig.user.control(0xa1, 3, 0, 0, length: 1) == "80 completed 01")
    #expect(rig.user.control(0xa1, 2, 0, 0, length: 1) == "80 completed 00")
  }

  @Test func protocolAndIdle() {
    #expect(rig.user.control(0xa1, 3, 0, 0, length: 1) == "80 completed 01")
    #expect(rig.user.control(0x21, 0x0b, 0, 0, length: 0) == "00 completed")
    #expect(rig.user.control(0xa1, 3, 0, 0, length: 1) == "80 completed 00")
    #expect(rig.user.control(0x21, 0x0b, 2, 0, length: 0) == "00 stalled")
    #expect(rig.user.control(0x21, 0x0a, 0x7d00, 0, length: 0) == "00 completed")
    #expect(rig.user.control(0xa1, 2, 0, 0, length: 1) == "80 completed 7d")
  }

  @Test func anIdleRateRepeatsTheReportWhileItIsPolled() {
    _ = rig.user.control(0x21, 0x0a, 0x0100, 0, length: 0)
    rig.user.read(0x81)
    rig.user.read(0x81)
    rig.user.run { rig.user.events.count == 2 }
    #expect(rig.user.take() == ["81 completed 0000000000000000", "81 completed 0000000000000000"])
    _ = rig.user.control(0x21, 0x0a, 0, 0, length: 0)
    rig.user.turn()
    #expect(rig.user.take() == [])
  }

  @Test func reports() throws {
    #expect(rig.user.control(0xa1, 1, 0x0100, 0, length: 8) == "80 completed 0000000000000000")
    #expect(rig.user.control(0xa1, 1, 0x0300, 0, length: 8) == "80 stalled")
    #expect(rig.user.control(0x21, 9, 0x0100, 0, length: 8, data: [0, 0, 0, 0, 0, 0, 0, 0]) == "00 stalled")
    #expect(rig.user.control(0x21, 9, 0x0200, 0, length: 0) == "00 stalled")
    let typing = try KeyboardRig(KeyboardOptions(text: "B"))
    typing.user.read(0x81)
    typing.user.turn()
    #expect(typing.user.take() == ["81 completed 0200050000000000"])
    #expect(typing.user.control(0xa1, 1, 0x0100, 0, length: 8) == "80 completed 0200050000000000")
  }

  @Test func descriptorsOfTheClass() {
    #expect(rig.user.control(0x81, 6, 0x2100, 0, length: 255) == "80 completed 09211101210122" + "3f00")
    let report = rig.user.control(0x81, 6, 0x2200, 0, length: 255)
    #expect(report.hasPrefix("80 completed 05010906a101050719e029e7"))
    #expect(report.hasSuffix("c0"))
    #expect(report.utf8.count == "80 completed ".utf8.count + 2 * 63)
    #expect(rig.user.control(0x81, 6, 0x2200, 1, length: 255) == "80 stalled")
    #expect(rig.user.control(0x81, 6, 0x2300, 0, length: 255) == "80 stalled")
  }

  @Test func unconfiguredItKnowsNoClassRequest() {
    #expect(rig.user.control(0x00, 9, 0, 0, length: 0) == "00 completed")
    #expect(rig.user.control(0x81, 6, 0x2200, 0, length: 255) == "80 stalled")
    #expect(rig.user.control(0x21, 9, 0x0200, 0, length: 1, data: [2]) == "00 stalled")
    rig.user.read(0x81)
    rig.user.turn()
    #expect(rig.user.take() == ["81 refused"])
  }
}
