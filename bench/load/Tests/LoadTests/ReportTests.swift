// What a run prints.
import Foundation
import Testing

@testable import usb_guests

struct ReportTests {
  @Test("percentiles of what was recorded, within a thousandth")
  func percentiles() throws {
    var latencies = Latencies()
    for value in 1...100_000 { latencies.record(UInt64(value)) }
    latencies.record(from: 50, to: 20)
    let found = latencies.percentiles
    #expect(found.count == 100_001)
    for (value, expected) in [
      (found.p50, 50_000.0), (found.p90, 90_000), (found.p99, 99_000), (found.p999, 99_900),
    ] {
      #expect(abs(Double(value) - expected) / expected < 0.002)
    }
    #expect(found.min == 0, "a report from the future took no time")
  }

  @Test("JSON that a program can read, and a line")
  func json() throws {
    var report = Report("interrupt")
    report.connections = 2
    report.counts["reports"] = 3
    var latencies = Latencies()
    latencies.record(1500)
    report.add("report", latencies)
    report.add("empty", Latencies())
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(try report.json().utf8)) as? [String: Any])
    #expect(object["scenario"] as? String == "interrupt")
    let all = try #require(object["latencies"] as? [String: [String: Int]])
    #expect(Set(all.keys) == ["report"])
    #expect(
      Set(try #require(all["report"]).keys) == ["count", "min", "mean", "p50", "p90", "p99", "p99.9", "max"])
    #expect(
      report.line
        == "interrupt: 2 connections, 0.0 s; reports 3; report p50 1.5 µs, p99 1.5 µs, p99.9 1.5 µs, max 1.5 µs"
    )
    report.failures = ["a", "b"]
    #expect(report.line.hasSuffix("; FAILED: a; b"))
  }

  @Test(
    "durations", arguments: [(7, "7 ns"), (41_234, "41.2 µs"), (120_400, "120 µs"), (2_500_000_000, "2.5 s")])
  func durations(_ nanoseconds: UInt64, _ text: String) {
    #expect(duration(nanoseconds) == text)
  }
}
