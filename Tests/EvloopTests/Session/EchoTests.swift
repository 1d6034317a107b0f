// Requests and their answers through a session: what a program in the guest sees that writes a report and waits
// for the answer, also when the answer is faster than the acknowledgement of the report.
import Testing

@testable import usbredir_evloop

struct EchoTests {
  private let guest: GuestHarness

  init() throws {
    let loop = try EventLoop()
    let device = VirtualEcho(EchoOptions(answersFirst: true), loop: loop, isPaced: false)
    guest = try GuestHarness(device, loop: loop)
  }

  private func report(_ number: Int) -> [UInt8] {
    [UInt8(number & 0xff), UInt8(number >> 8)] + [UInt8](repeating: 0xa5, count: 62)
  }

  private func answer(_ number: Int) -> String {
    "interrupt 81 #\(number) success 64 " + Hex.text(report(number).span)
  }

  @Test(
    "B4.10, B4.11: an answer that completes before the report is acknowledged arrives, and each comes once")
  func answerFirst() throws {
    guest.exchange(guest.start(1))
    #expect(
      guest.exchange(guest.interruptOut(7, report(0))) == [answer(0), "interrupt 01 #7 success 64"])
    guest.settle()
    #expect(guest.take() == [])
  }

  @Test("B4.10: reports in flight are answered and acknowledged in their order")
  func severalInFlight() throws {
    guest.exchange(guest.start(1))
    guest.send((0..<100).flatMap { guest.interruptOut(UInt64(1000 + $0), report($0)) })
    guest.settle()
    let received = guest.take()
    #expect(received.filter { $0.hasPrefix("interrupt 81") } == (0..<100).map { answer($0) })
    #expect(
      received.filter { $0.hasPrefix("interrupt 01") }
        == (0..<100).map { "interrupt 01 #\(1000 + $0) success 64" })
    for number in 0..<100 {
      let answered = try #require(received.firstIndex(of: answer(number)))
      let acknowledged = try #require(received.firstIndex(of: "interrupt 01 #\(1000 + number) success 64"))
      #expect(answered < acknowledged)
    }
  }

  @Test("B4.10: without receiving the report is acknowledged at once, and its answer waits for the start")
  func startedLater() throws {
    #expect(guest.exchange(guest.interruptOut(7, report(0))) == ["interrupt 01 #7 success 64"])
    #expect(guest.exchange(guest.start(1)) == ["interrupt_status 81 #1 success", answer(0)])
  }

  @Test("B4.8: stop and start between report and answer lose nothing")
  func stoppedMeanwhile() throws {
    guest.exchange(guest.start(1))
    let received = guest.exchange(
      guest.interruptOut(7, report(0)), guest.stop(2), guest.start(3), guest.interruptOut(8, report(1)))
    #expect(received.count { $0.hasPrefix("interrupt 01 #7 success") } == 1)
    #expect(received.count { $0.hasPrefix("interrupt 01 #8 success") } == 1)
    let answers = received.filter { $0.hasPrefix("interrupt 81") }.map { $0.suffix(128) }
    #expect(answers == [report(0), report(1)].map { Hex.text($0.span).suffix(128) })
  }

  @Test("B3.5: a reset forgets what was not answered yet")
  func resetForgets() throws {
    guest.exchange(guest.interruptOut(7, report(0)))
    guest.exchange(guest.reset())
    #expect(guest.exchange(guest.start(1)) == ["interrupt_status 81 #1 success"])
  }

  @Test("B2.8: the next guest gets no answer of the last")
  func nextGuest() throws {
    guest.exchange(guest.interruptOut(7, report(0)))
    guest.leave()
    guest.settle()
    let next = try GuestHarness(guest.device, loop: guest.loop)
    #expect(next.exchange(next.start(1)) == ["interrupt_status 81 #1 success"])
    #expect(next.exchange(next.interruptOut(2, report(0))) == [answer(0), "interrupt 01 #2 success 64"])
  }
}
