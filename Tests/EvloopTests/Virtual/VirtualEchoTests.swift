// The echo device: every report comes back once, in order, whatever waits for what.
import Testing

@testable import usbredir_evloop

struct VirtualEchoTests {
  private let loop: EventLoop
  private let user: VirtualUser

  init() throws {
    loop = try EventLoop()
    user = VirtualUser(loop, VirtualEcho(EchoOptions(), loop: loop, isPaced: false))
  }

  private func report(_ number: Int, length: Int = 64) -> [UInt8] {
    (0..<length).map { UInt8(truncatingIfNeeded: number + $0) }
  }

  private func answer(_ number: Int, length: Int = 64) -> String {
    "81 completed " + Hex.text(report(number, length: length).span)
  }

  @Test func anAnswerForEachReport() {
    user.read(0x81, length: 64)
    for number in 0..<3 { user.write(0x01, report(number)) }
    user.turn()
    #expect(user.take() == ["01 completed 64", "01 completed 64", "01 completed 64", answer(0)])
    user.read(0x81, length: 64)
    user.read(0x81, length: 64)
    user.turn()
    #expect(user.take() == [answer(1), answer(2)])
    user.read(0x81, length: 64)
    user.turn()
    #expect(user.take() == [], "each answer comes once")
  }

  @Test func anAnswerIsAsLongAsItsReport() {
    for length in [1, 0, 63] { user.write(0x01, report(9, length: length)) }
    user.turn()
    #expect(user.take() == ["01 completed 1", "01 completed", "01 completed 63"])
    for _ in 0..<3 { user.read(0x81, length: 64) }
    user.turn()
    #expect(user.take() == [answer(9, length: 1), "81 completed", answer(9, length: 63)])
  }

  @Test func aLongTransferIsSeveralPackets() {
    user.write(0x01, report(0, length: 150))
    user.turn()
    #expect(user.take() == ["01 completed 150"])
    for _ in 0..<4 { user.read(0x81, length: 64) }
    user.turn()
    #expect(user.take() == [answer(0), answer(64), answer(128, length: 22)])
  }

  @Test func whenTooManyAnswersWaitReportsWait() {
    let capacity = VirtualEcho.capacity
    for number in 0..<capacity + 3 { user.write(0x01, report(number)) }
    for _ in 0..<3 { user.turn() }
    #expect(user.take() == [String](repeating: "01 completed 64", count: capacity))
    user.read(0x81, length: 64)
    for _ in 0..<3 { user.turn() }
    #expect(user.take() == [answer(0), "01 completed 64"], "one has gone, one is taken")
    for _ in 1..<capacity + 4 { user.read(0x81, length: 64) }
    for _ in 0..<3 { user.turn() }
    #expect(user.take().filter { $0.hasPrefix("81") } == (1..<capacity + 3).map { answer($0) })
  }

  /// 65535 bytes, the longest that a packet of the protocol brings, are more than may wait.
  @Test func aTransferLongerThanTheQueueIsTakenPieceByPiece() {
    user.write(0x01, [UInt8](repeating: 7, count: 4096))
    user.turn()
    #expect(user.take() == [])
    for _ in 0..<64 { user.read(0x81, length: 64) }
    for _ in 0..<4 { user.turn() }
    let events = user.take()
    #expect(events.count { $0 == "01 completed 4096" } == 1)
    #expect(events.count { $0.hasPrefix("81 completed 0707") } == 64)
  }

  @Test func whatWasTakenOfACancelledTransferIsAnswered() {
    for number in 0..<VirtualEcho.capacity - 1 { user.write(0x01, report(number)) }
    let cut = user.write(0x01, report(0, length: 128))
    user.turn()
    _ = user.take()
    user.device.cancel(cut)
    user.turn()
    #expect(user.take() == ["01 cancelled 64"])
    let next = user.write(0x01, report(200))
    user.turn()
    #expect(next.state == .submitted, "there is no room")
    for _ in 0..<VirtualEcho.capacity + 1 { user.read(0x81, length: 64) }
    for _ in 0..<3 { user.turn() }
    let answers = user.take().filter { $0.hasPrefix("81") }
    #expect(answers == (0..<VirtualEcho.capacity - 1).map { answer($0) } + [answer(0), answer(200)])
  }

  @Test func afterAResetNothingWaits() {
    user.write(0x01, report(1))
    user.turn()
    user.device.perform(.reset)
    user.turn()
    _ = user.take()
    user.read(0x81, length: 64)
    user.turn()
    #expect(user.take() == [])
  }

  @Test func theNextUserGetsNoAnswerOfTheLast() {
    user.write(0x01, report(1))
    user.turn()
    _ = user.take()
    user.device.close {}
    user.turn()
    user.device.owner = user
    user.write(0x01, report(2))
    user.read(0x81, length: 64)
    user.turn()
    #expect(user.take() == ["01 completed 64", answer(2)])
  }

  @Test func reportsByControl() {
    #expect(user.control(0xa1, 1, 0x0100, 0, length: 2) == "80 completed 0000")
    #expect(user.control(0x21, 9, 0x0200, 0, length: 64, data: report(5)) == "00 completed 64")
    #expect(user.control(0x21, 9, 0x0200, 0, length: 65, data: report(5, length: 65)) == "00 stalled")
    user.read(0x81, length: 64)
    user.turn()
    #expect(user.take() == [answer(5)])
    #expect(user.control(0xa1, 1, 0x0100, 0, length: 2) == "80 completed 0506", "the last answer")
    for number in 0..<VirtualEcho.capacity { user.write(0x01, report(number)) }
    user.turn()
    #expect(user.control(0x21, 9, 0x0200, 0, length: 1, data: [1]) == "00 stalled", "no room, and no time")
  }

  @Test func aHaltedEndpointTakesNothing() {
    _ = user.control(0x02, 3, 0, 0x01, length: 0)
    user.write(0x01, report(1))
    user.turn()
    #expect(user.take() == ["01 stalled"])
    _ = user.control(0x02, 1, 0, 0x01, length: 0)
    user.write(0x01, report(2))
    user.read(0x81, length: 64)
    user.turn()
    #expect(user.take() == ["01 completed 64", answer(2)])
  }

  @Test func answersKeepThePaceOfTheBus() throws {
    let paced = VirtualUser(loop, VirtualEcho(EchoOptions(), loop: loop))
    for number in 0..<3 { paced.write(0x01, report(number)) }
    for _ in 0..<3 { paced.read(0x81, length: 64) }
    let begin = monotonicNanoseconds()
    paced.run { paced.events.count == 6 }
    #expect(paced.take().filter { $0.hasPrefix("81") } == [answer(0), answer(1), answer(2)])
    #expect(monotonicNanoseconds() - begin >= 2 * 1_000_000)
  }
}

struct AnswerFirstTests {
  private let user: VirtualUser

  init() throws {
    let loop = try EventLoop()
    user = VirtualUser(loop, VirtualEcho(EchoOptions(answersFirst: true), loop: loop, isPaced: false))
  }

  @Test func theAnswerComesBeforeTheReportIsDone() {
    user.read(0x81, length: 64)
    user.read(0x81, length: 64)
    user.write(0x01, [1])
    user.write(0x01, [2])
    user.turn()
    #expect(user.take() == ["81 completed 01"])
    for _ in 0..<3 { user.turn() }
    #expect(user.take() == ["01 completed 1", "81 completed 02", "01 completed 1"])
  }

  @Test func whoDoesNotPollIsNotKeptWaiting() {
    user.write(0x01, [1])
    user.write(0x01, [2])
    user.turn()
    #expect(user.take() == ["01 completed 1", "01 completed 1"])
    user.read(0x81, length: 64)
    user.read(0x81, length: 64)
    user.turn()
    #expect(user.take() == ["81 completed 01", "81 completed 02"])
  }

  @Test func whoStopsPollingIsNotKeptWaiting() {
    _ = user.control(0x02, 3, 0, 0x81, length: 0)
    // The endpoint is halted: the guest polls, gets no answer, and has to clear the halt.
    user.read(0x81, length: 64)
    user.write(0x01, [1])
    user.turn()
    #expect(user.take() == ["81 stalled"])
    user.device.perform(.clearHalt(HIDDevice.input))
    user.turn()
    #expect(user.take() == ["call done", "01 completed 1"])
    user.read(0x81, length: 64)
    user.turn()
    #expect(user.take() == ["81 completed 01"])
  }

  @Test func aCancelledReportIsAnsweredAllTheSame() {
    let polling = user.read(0x81, length: 64)
    let cancelled = user.write(0x01, [1, 2])
    user.device.cancel(polling)
    user.device.cancel(cancelled)
    user.turn()
    #expect(user.take() == ["01 cancelled", "81 cancelled"], "cancelled before the device had it")
    user.write(0x01, [3])
    user.read(0x81, length: 64)
    for _ in 0..<3 { user.turn() }
    #expect(user.take() == ["81 completed 03", "01 completed 1"])
  }
}
