// Latencies of one kind: HdrHistogram's, with three significant digits up to an hour, and what of it is
// reported.
import Histogram

/// Records nanoseconds.
struct Latencies {
  private static let highest: UInt64 = 3_600_000_000_000

  private var histogram = Histogram<UInt64>(
    highestTrackableValue: Latencies.highest, numberOfSignificantValueDigits: .three)

  @inline(__always)
  mutating func record(_ nanoseconds: UInt64) {
    histogram.record(min(nanoseconds, Latencies.highest))
  }

  /// From one moment to another one; clocks of two processors may differ by a little.
  @inline(__always)
  mutating func record(from start: UInt64, to end: UInt64) {
    record(end > start ? end - start : 0)
  }

  mutating func reset() { histogram.reset() }

  var count: UInt64 { histogram.totalCount }

  var percentiles: Percentiles { Percentiles(histogram) }
}

/// What a report says of latencies; nanoseconds.
struct Percentiles: Encodable {
  let count, min, mean, p50, p90, p99, p999, max: UInt64

  enum CodingKeys: String, CodingKey {
    case count, min, mean, p50, p90, p99
    case p999 = "p99.9"
    case max
  }

  init(_ histogram: Histogram<UInt64>) {
    let isEmpty = histogram.totalCount == 0
    func at(_ percentile: Double) -> UInt64 { isEmpty ? 0 : histogram.valueAtPercentile(percentile) }
    count = histogram.totalCount
    min = isEmpty ? 0 : histogram.min
    mean = isEmpty ? 0 : UInt64(histogram.mean)
    p50 = at(50)
    p90 = at(90)
    p99 = at(99)
    p999 = at(99.9)
    max = isEmpty ? 0 : histogram.max
  }

  /// `p50 41.0 µs, p99 88.1 µs, p99.9 120 µs, max 301 µs`
  var line: String {
    "p50 \(duration(p50)), p99 \(duration(p99)), p99.9 \(duration(p999)), max \(duration(max))"
  }
}

/// `850 ns`, `41.0 µs`, `12.3 ms`, `2.50 s`
func duration(_ nanoseconds: UInt64) -> String {
  switch nanoseconds {
  case ..<1000: "\(nanoseconds) ns"
  case ..<1_000_000: "\(decimals(Double(nanoseconds) / 1e3)) µs"
  case ..<1_000_000_000: "\(decimals(Double(nanoseconds) / 1e6)) ms"
  default: "\(decimals(Double(nanoseconds) / 1e9)) s"
  }
}

/// Three digits of a number that is not negative.
func decimals(_ value: Double) -> String {
  let places = value < 10 ? 100.0 : value < 100 ? 10 : 1
  let rounded = (value * places).rounded() / places
  return places == 1 ? String(Int(rounded)) : String(rounded)
}
