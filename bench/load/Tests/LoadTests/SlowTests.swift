// Guests that stop to read find everything when they go on.
import Testing

@testable import usb_guests

struct SlowTests {
  private func slow(
    _ reports: [UInt64], _ shape: SlownessShape, duration: Double = 0.3
  ) throws -> (Report, InterruptReceiving, Slowness) {
    let receiving = InterruptReceiving(guests: 2)
    let slowness = Slowness(shape)
    let report = try measure(
      FakeHostPlan(reports: reports, batch: 50), hosts: 2, duration: duration, [receiving, slowness])
    return (report, receiving, slowness)
  }

  @Test("a pause: the usb-host waits, and nothing is lost")
  func pause() throws {
    let count: UInt64 = 100_000
    let (report, receiving, _) = try slow(
      Array(0..<count), SlownessShape(after: 1_000_000, pause: 200_000_000, receiveBuffer: 65536))
    #expect(report.failures == [])
    #expect(receiving.faults == [])
    #expect(report.counts["reports"] == 2 * count)
    // 100000 reports of 64 bytes and their headers are more than the sockets hold.
    #expect(try #require(report.latencies["report"]).max > 10_000_000)
  }

  @Test("sips: a few bytes at a time, until the pause is over")
  func sips() throws {
    let (report, receiving, _) = try slow(
      Array(0..<20_000), SlownessShape(after: 0, pause: 2_500_000_000, sip: (100, 1_000_000)), duration: 3)
    #expect(report.failures == [])
    #expect(receiving.faults == [])
    #expect(report.counts["reports"] == 40_000)
    #expect(try #require(report.generator).receives > 20)
  }

  @Test("what a usb-host loses meanwhile is found")
  func losses() throws {
    let (_, receiving, _) = try slow(
      Array(0..<1000) + Array(1010..<2000), SlownessShape(after: 0, pause: 50_000_000))
    #expect(receiving.faults == ["10 reports missing", "10 reports missing"])
  }
}
