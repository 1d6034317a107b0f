// Reports to and from fake usb-hosts: counted, followed, and timed.
import Testing

@testable import usb_guests

struct InterruptTests {
  @Test("every report is counted, with any set of capabilities", arguments: capabilitySets)
  func allCapabilities(_ offered: UInt32) throws {
    let receiving = InterruptReceiving(guests: 3)
    let plan = FakeHostPlan(reports: Array(0..<5000), batch: 7)
    let report = try measure(plan, hosts: 3, capabilities: Capabilities(rawValue: offered), [receiving])
    #expect(report.failures == [])
    #expect(receiving.faults == [])
    #expect(report.counts["reports"] == 15000)
    #expect(report.counts["bytes"] == 15000 * 64)
    #expect(report.latencies["report"]?.count == 15000)
    #expect(report.connections == 3)
  }

  @Test("the usb-host's capabilities count as well", arguments: capabilitySets)
  func theirCapabilities(_ offered: UInt32) throws {
    let report = try measure(
      FakeHostPlan(capabilities: offered, reports: Array(0..<100)), [InterruptReceiving(guests: 1)])
    #expect(report.failures == [])
    #expect(report.counts["reports"] == 100)
  }

  @Test("gaps, repetitions and disorder are found")
  func faults() throws {
    let receiving = InterruptReceiving(guests: 1)
    let report = try measure(FakeHostPlan(reports: [0, 1, 2, 5, 4, 6, 6, 8]), [receiving])
    #expect(report.counts["missing"] == 2)
    #expect(report.counts["outOfOrder"] == 1)
    #expect(report.counts["duplicates"] == 1)
    #expect(report.counts["gaps"] == 2)
    #expect(report.counts["missingIds"] == 0)
    #expect(receiving.faults == ["2 reports missing, 1 reports twice, 1 reports out of order"])
  }

  @Test("reports without room for a stamp are counted and not timed")
  func unstamped() throws {
    let report = try measure(
      FakeHostPlan(reports: [0, 1, 2], reportSize: 7), [InterruptReceiving(guests: 1)])
    #expect(report.counts["reports"] == 3)
    #expect(report.counts["unstamped"] == 3)
    #expect(report.latencies["report"] == nil)
  }

  @Test("reports of 8 bytes have short numbers, and are followed beyond the 16 bits of those")
  func short() throws {
    let numbers = (65000..<66000).map { UInt64($0) } + [66002]
    let receiving = InterruptReceiving(guests: 1)
    let report = try measure(FakeHostPlan(reports: numbers, reportSize: 8), [receiving])
    #expect(report.counts["reports"] == 1001)
    #expect(report.counts["unstamped"] == 0)
    #expect(receiving.faults == ["2 reports missing"])
    #expect(report.latencies["report"]?.count == 1001)
  }

  @Test("a start that is refused is a failure")
  func refused() throws {
    let report = try measure(FakeHostPlan(startStatus: Status.stall), [InterruptReceiving(guests: 1)])
    #expect(report.failures == ["1 streams of reports ended by themselves"])
  }

  @Test("a usb-host that hangs up is a failure that names it")
  func hangsUp() throws {
    let report = try measure(FakeHostPlan(hangsUpAfter: 1), duration: 10, [InterruptReceiving(guests: 1)])
    #expect(report.failures.count == 1)
    #expect(report.failures[0].hasSuffix(": the usb-host closed the connection"))
    #expect(report.failures[0].hasPrefix("127.0.0.1:"))
  }

  @Test("an endpoint that is not there is a failure")
  func noEndpoint() throws {
    let report = try measure(FakeHostPlan(), [InterruptReceiving(guests: 1, endpoint: 0x85)])
    #expect(report.failures.count == 1)
    #expect(report.failures[0].hasSuffix(": the device has no interrupt IN endpoint 85"))
  }

  @Test("round trips of reports", arguments: [1, 8])
  func out(_ depth: Int) throws {
    for offered in capabilitySets {
      let report = try measure(
        FakeHostPlan(), hosts: 2, capabilities: Capabilities(rawValue: offered),
        [InterruptSending(SendingShape(depth: depth))])
      #expect(report.failures == [])
      let sent = try #require(report.counts["sent"])
      #expect(sent > UInt64(depth))
      // Those answered after the time was up are in neither.
      #expect(report.latencies["roundTrip"]?.count == sent)
    }
  }

  @Test("reports at a rate")
  func rate() throws {
    let report = try measure(FakeHostPlan(), [InterruptSending(SendingShape(size: 8, interval: 1_000_000))])
    #expect(report.failures == [])
    let sent = try #require(report.counts["sent"])
    #expect(sent > 0)
    #expect(Double(sent) <= report.seconds * 1000 + 1)
  }

  @Test("reports that the device refuses are a failure")
  func notTaken() throws {
    let report = try measure(FakeHostPlan(answerStatus: Status.stall), [InterruptSending(SendingShape())])
    #expect(report.failures.count == 1)
    #expect(report.failures[0].hasSuffix("reports were not taken"))
  }
}
