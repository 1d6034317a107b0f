// Cycles of start and stop.
import Testing

@testable import usb_guests

struct StartStopTests {
  @Test("cycles are counted, each step is timed")
  func cycles() throws {
    let cycling = StartStop(guests: 2, cycles: 50, wantsReport: false)
    let report = try measure(FakeHostPlan(reports: [0, 1]), hosts: 2, duration: 60, [cycling])
    #expect(report.failures == [])
    #expect(report.seconds < 60, "it ends when all is done")
    #expect(report.counts["cycles"] == 100)
    for name in ["start", "stop", "cycle"] { #expect(report.latencies[name]?.count == 100) }
    #expect(report.latencies["firstReport"] == nil)
  }

  @Test("with a report in each cycle")
  func untilReport() throws {
    let cycling = StartStop(guests: 1, cycles: 20, wantsReport: true)
    let report = try measure(FakeHostPlan(reports: [7]), duration: 60, [cycling])
    #expect(report.latencies["firstReport"]?.count == 20)
    // The same number each time.
    #expect(report.counts["duplicates"] == 19)
    #expect(cycling.faults == ["19 reports twice"])
  }

  @Test("cycles that the warm-up used are not those that were asked for")
  func warmUp() throws {
    let report = try measure(
      FakeHostPlan(), duration: 60, warmUp: 0.02, [StartStop(guests: 1, cycles: 30, wantsReport: false)])
    #expect(report.counts["cycles"] == 30)
  }

  @Test("a start that is refused is a failure, and ends nothing")
  func refused() throws {
    let report = try measure(
      FakeHostPlan(startStatus: Status.stall), duration: 60,
      [StartStop(guests: 1, cycles: 3, wantsReport: true)])
    #expect(report.failures == ["3 starts or stops without success"])
    #expect(report.counts["cycles"] == 3)
  }
}
