// Tablet and mouse as a guest sees them: reports byte for byte, their order and pace, and lines that come in
// while they run.
import CPosix
import Testing

@testable import usbredir_evloop

/// A pointer, its user, and what it logged. Unpaced unless a test is about that.
private final class PointerRig {
  let loop: EventLoop
  let pointer: VirtualPointer
  let user: VirtualUser
  let lines = KeyboardRig.Lines()

  init(
    _ kind: PointerKind, _ events: String = "", input: String? = nil, isPaced: Bool = false,
    clock: Clock = Clock()
  ) throws {
    loop = try EventLoop(clock: clock)
    let log = Log(level: .info) { [lines] _, text in lines.all.append(text) }
    let options = PointerOptions(
      kind: kind, events: try PointerStep.parse(commands: events, for: kind), input: input)
    pointer = try VirtualPointer(options, loop: loop, log: log, isPaced: isPaced)
    user = VirtualUser(loop, pointer)
  }

  /// The next `count` reports, in hexadecimal.
  func reports(_ count: Int) -> [String] {
    var left = count
    user.onCompleted = { [user = Unowned(user)] transfer in
      left -= 1
      if left > 0 { user.value.submit(transfer) }
    }
    user.read(0x81)
    user.run { left == 0 }
    user.onCompleted = nil
    return user.take().map { $0.hasPrefix("81 completed ") ? String($0.dropFirst(13)) : $0 }
  }
}

@discardableResult private func write(_ descriptor: Int32, _ text: String) -> Int {
  let bytes = Array(text.utf8)
  return unsafe bytes.withUnsafeBytes { unsafe CPosix.write(descriptor, $0.baseAddress, $0.count) }
}

struct VirtualPointerTests {
  @Test func theTabletSaysWhereItIs() throws {
    let rig = try PointerRig(
      .tablet, "move 1 32767; press left; move 100% 50%; press middle; wheel -2; release left; wheel 1")
    #expect(
      rig.reports(7) == [
        "000100ff7f00", "010100ff7f00", "01ff7f004000", "05ff7f004000", "05ff7f0040fe", "04ff7f004000",
        "04ff7f004001",
      ])
  }

  @Test func theMouseSaysHowFarItHasGone() throws {
    let rig = try PointerRig(
      .mouse, "move 5 -6; press right; move 127 -127; wheel 3; release right; move 0 0")
    #expect(rig.reports(6) == ["0005fa00", "02000000", "027f8100", "02000003", "00000000", "00000000"])
  }

  @Test func aLongWayIsStraightAndComplete() throws {
    let rig = try PointerRig(.mouse, "press; move 300 -100; wheel 255; wheel -128; release")
    #expect(
      rig.reports(10) == [
        "01000000", "0164df00", "0164df00", "0164de00",
        "01000055", "01000055", "01000055", "010000c0", "010000c0", "00000000",
      ])
  }

  @Test(arguments: [(32767, -32767), (128, 0), (-129, 1), (254, 255), (1, -32766), (-32641, 12345)])
  func noCountIsLost(x: Int, y: Int) throws {
    let count = (max(abs(x), abs(y)) + 126) / 127
    let rig = try PointerRig(.mouse, "move \(x) \(y)")
    var sum = (x: 0, y: 0)
    for report in rig.reports(count) {
      let bytes = try #require(Hex.bytes(report))
      let (dx, dy) = (Int(Int8(bitPattern: bytes[1])), Int(Int8(bitPattern: bytes[2])))
      #expect(abs(dx) <= 127 && abs(dy) <= 127 && bytes[0] == 0 && bytes[3] == 0)
      sum = (sum.x + dx, sum.y + dy)
    }
    #expect(sum == (x, y))
    rig.user.read(0x81)
    rig.user.turn()
    #expect(rig.user.take() == [], "as many reports as it takes, and no more")
  }

  @Test func aClickHoldsTheButton() throws {
    let rig = try PointerRig(.mouse, "double right; move 1 1")
    let begin = monotonicNanoseconds()
    #expect(rig.reports(5) == ["02000000", "00000000", "02000000", "00000000", "00010100"])
    // A lower bound alone: four times 40 ms cannot pass sooner.
    #expect(monotonicNanoseconds() - begin >= 4 * 40_000_000)
  }

  @Test func aWaitBeginsWhenTheGuestPolls() throws {
    let rig = try PointerRig(.mouse, "wait 30; press")
    let tick = Timer(rig.loop) {}
    tick.start(milliseconds: 40)
    rig.loop.turn()
    rig.user.turn()
    let begin = monotonicNanoseconds()
    #expect(rig.reports(1) == ["01000000"])
    #expect(monotonicNanoseconds() - begin >= 30_000_000)
  }

  @Test func reportsKeepThePaceOfTheBus() throws {
    let clock = ManualClock()
    let rig = try PointerRig(.tablet, "press; move 1 1; release", isPaced: true, clock: clock)
    for _ in 0..<4 { rig.user.read(0x81) }
    rig.user.turn()
    rig.user.pass(200_000_000, on: clock)
    #expect(rig.user.events.isEmpty)
    rig.user.pass(1, on: clock)
    #expect(rig.user.events.count == 1, "the others wait for the next intervals")
    rig.user.expectPace(4_000_000, intervals: 2, on: clock)
    #expect(rig.user.events.count == 3)
    rig.user.turn()
    #expect(
      !rig.pointer.isTimerRunning && rig.loop.reaps.isEmpty, "nothing runs while there is nothing to do")
  }

  @Test func aGuestThatHasJustOpenedItIsGivenTime() throws {
    let rig = try PointerRig(.mouse, "press; release", isPaced: true)
    for report in ["01000000", "00000000"] {
      rig.user.read(0x81)
      let begin = monotonicNanoseconds()
      rig.user.run { !rig.user.events.isEmpty }
      #expect(rig.user.take() == ["81 completed " + report])
      #expect(monotonicNanoseconds() - begin >= 200_000_000)
      // It stops, and begins anew.
      rig.pointer.cancel(rig.user.read(0x81))
      rig.user.turn()
      #expect(rig.user.take() == ["81 cancelled"])
    }
  }

  @Test func theNextGuestGetsTheRest() throws {
    let rig = try PointerRig(.tablet, "press; move 9 8; wheel 1; release")
    #expect(rig.reports(2) == ["010000000000", "010900080000"])
    rig.pointer.close {}
    rig.user.turn()
    rig.pointer.owner = rig.user
    #expect(rig.reports(2) == ["010900080001", "000900080000"], "what is pressed stays so meanwhile")
  }

  @Test func aCancelledTransferLosesNothing() throws {
    let rig = try PointerRig(.mouse, "move 200 0; press")
    #expect(rig.reports(1) == ["00640000"])
    rig.pointer.cancel(rig.user.read(0x81))
    rig.user.turn()
    #expect(rig.user.take() == ["81 cancelled"])
    #expect(rig.reports(2) == ["00640000", "01000000"])
  }
}

struct PointerInputTests {
  private let scratch: Scratch

  init() throws {
    scratch = try Scratch()
  }

  @Test func linesComeAfterTheEvents() throws {
    let fifo = scratch.fifo()
    let rig = try PointerRig(.mouse, "press", input: fifo)
    let writer = scratch.writer(fifo)
    write(writer, "move 1 ")
    rig.user.turn()
    write(writer, "2\r\nrelease\n")
    #expect(rig.reports(3) == ["01000000", "01010200", "00000000"])
    write(writer, "wheel 1\n")
    #expect(rig.reports(1) == ["00000001"])
    close(writer)
  }

  @Test func aBadLineCostsAWarningAndItself() throws {
    let text =
      "move 1 1\nmove 1\n\n\u{1b}jump\npress # now\n" + String(repeating: "x", count: 257) + "\nrelease"
    let rig = try PointerRig(.mouse, input: scratch.file(text))
    #expect(rig.reports(3) == ["00010100", "01000000", "00000000"])
    #expect(
      rig.lines.all == [
        "mouse input, line 2: Y is missing; skipped",
        "mouse input, line 4: unknown command '?jump': use move, press, release, click, double, wheel or wait; "
          + "skipped",
        "mouse input, line 6: longer than 256 bytes; skipped",
      ])
  }

  @Test func theWriterWaitsWhileNobodyPolls() throws {
    let fifo = scratch.fifo()
    let rig = try PointerRig(.tablet, input: fifo)
    let writer = scratch.writer(fifo)
    let count = 10_000
    let lines = (0..<count).map { "move \($0) 7\n" }
    var written = 0
    func writeSome() {
      while written < count && write(writer, lines[written]) > 0 { written += 1 }
    }
    for _ in 0..<20 {
      writeSome()
      let tick = Timer(rig.loop) {}
      tick.start(milliseconds: 1)
      rig.loop.turn()
      rig.user.turn()
    }
    #expect(written < count, "the pipe is full, and nothing reads it")
    var came: [String] = []
    while came.count < count {
      let part = rig.reports(min(100, count - came.count))
      came += part
      writeSome()
      if part.isEmpty { break }
    }
    let all = (0..<count).map { "00" + Hex.text([UInt8($0 & 0xff), UInt8($0 >> 8)].span) + "070000" }
    let isAllThere = came == all
    #expect(isAllThere, "every line, in order")
    close(writer)
  }

  /// However many come and go: the last line of each waits for room like any other.
  @Test func writersThatLeaveWithoutANewlineWait() throws {
    let path = scratch.path + "/socket"
    let rig = try PointerRig(.mouse, input: "unix:" + path)
    let count = VirtualPointer.capacity + TextInput.maxWriters
    for index in 0..<count {
      let writer = try scratch.connect(path)
      write(writer, "move \(index + 1) 0")
      close(writer)
      let tick = Timer(rig.loop) {}
      for _ in 0..<3 {
        tick.start(milliseconds: 5)
        rig.loop.turn()
        rig.user.turn()
      }
    }
    let late = try scratch.connect(path)
    rig.user.run { !rig.lines.all.isEmpty }
    #expect(
      rig.lines.all == ["unix:\(path): a writer is turned away, there are \(TextInput.maxWriters) already"])
    let moved = rig.reports(count).compactMap { Hex.bytes($0)?[1] }
    #expect(moved == (1...count).map { UInt8($0) })
    close(late)
  }

  @Test func eachWriterHasItsOwnLineNumbers() throws {
    let path = scratch.path + "/socket"
    let rig = try PointerRig(.tablet, input: "unix:" + path)
    for _ in 0..<2 {
      let before = rig.lines.all.count
      let writer = try scratch.connect(path)
      write(writer, "# hello\npress me\n")
      close(writer)
      rig.user.run { rig.lines.all.count > before }
    }
    let line = "tablet input, line 2: 'me' is no button: use left, right or middle; skipped"
    #expect(rig.lines.all == [line, line])
  }

  @Test func inputThatCannotBeOpenedIsAnError() throws {
    let error = #expect(throws: VirtualDeviceError.self) {
      _ = try PointerRig(.mouse, input: "/nowhere/at/all")
    }
    #expect(error?.description.hasPrefix("open /nowhere/at/all for input: No such file") == true)
  }
}
