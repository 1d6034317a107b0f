// Guests that come and go.
import Testing

@testable import usb_guests

struct VisitTests {
  private func visit(
    _ plan: FakeHostPlan, duration: Double = 30, patience: Double = 10, _ shape: VisitShape
  ) throws -> Report {
    let hosts = try [FakeHost(plan), FakeHost(plan)]
    return try withExtendedLifetime(hosts) {
      let visiting = Visiting(
        hosts.map(\.address), .all, Timing(duration: duration, patience: patience), shape)
      try Engine(visiting).run()
      return visiting.report("test")
    }
  }

  @Test("each visit is timed from connect to device_connect")
  func visits() throws {
    let report = try visit(FakeHostPlan(), VisitShape(visits: 20))
    #expect(report.failures == [])
    #expect(report.counts["visits"] == 40)
    #expect(report.counts["attached"] == 42, "and one more each")
    #expect(report.latencies["connect"]?.count == 40)
  }

  @Test("refusals are counted, are a failure, and are tried again")
  func refused() throws {
    let report = try visit(FakeHostPlan(refusals: 3), VisitShape(visits: 2))
    #expect(report.counts["refused"] == 6)
    #expect(report.counts["visits"] == 4)
    #expect(report.failures == ["6 guests were refused"])
  }

  @Test("guests leave in every way", arguments: VisitShape.Leaving.allCases)
  func leaving(_ leaving: VisitShape.Leaving) throws {
    let report = try visit(
      FakeHostPlan(reports: Array(0..<50)),
      VisitShape(stay: 0...2_000_000, leavings: [leaving], receives: true, visits: 20))
    #expect(report.failures == [])
    #expect(report.counts["visits"] == 40)
    #expect(report.counts["refused"] == 0)
    if leaving != .early { #expect(report.counts["reports"] ?? 0 > 0) }
  }

  @Test("one that serves nobody any more is named")
  func dead() throws {
    let report = try visit(FakeHostPlan(refusals: .max), duration: 0.05, patience: 0.1, VisitShape())
    #expect(report.counts["attached"] == 0)
    #expect(report.failures.filter { $0.hasSuffix(": serves nobody any more") }.count == 2)
  }

  @Test("a device that is taken away is a failure")
  func hangsUp() throws {
    let report = try visit(
      FakeHostPlan(hangsUpAfter: 1), duration: 0.05,
      VisitShape(stay: 1_000_000_000...1_000_000_000, receives: true, visits: 1))
    #expect(report.failures.contains { $0.hasSuffix(": the usb-host closed the connection, with a device") })
  }
}
