// The arithmetic of the histogram's buckets, and percentiles against a sorted list.
import Testing

@testable import usbredir_evloop

struct HistogramTests {
  @Test("buckets follow one another without gap or overlap") func buckets() {
    for bucket in 0..<Histogram.bucketCount - 1 {
      let end = Histogram.upperBound(bucket)
      #expect(Histogram.bucket(end) == bucket)
      #expect(Histogram.bucket(end + 1) == bucket + 1)
    }
  }

  @Test(arguments: [
    (UInt64(0), 0, UInt64(0)), (127, 127, 127), (128, 128, 129), (129, 128, 129), (130, 129, 131),
    (255, 191, 255), (256, 192, 259), (1_000_000, 954, 1_007_615),
  ])
  func numbers(_ value: UInt64, _ bucket: Int, _ end: UInt64) {
    #expect(Histogram.bucket(value) == bucket)
    #expect(Histogram.upperBound(bucket) == end)
  }

  @Test("a bucket is never wider than 1/64 of what is in it") func width() {
    var value: UInt64 = 128
    while value < 1 << 39 {
      let end = Histogram.upperBound(Histogram.bucket(value))
      #expect(end - value <= value / 64)
      value = value * 5 / 4
    }
  }

  @Test("whatever is longer is in the last bucket, and its maximum is known") func longest() {
    var histogram = Histogram()
    histogram.add(.max)
    histogram.add(1 << 50)
    #expect(Histogram.bucket(.max) == Histogram.bucketCount - 1)
    #expect(histogram.percentile(perMille: 500) == .max && histogram.max == .max && histogram.count == 2)
  }

  @Test func percentiles() {
    var histogram = Histogram()
    #expect(histogram.percentile(perMille: 500) == 0)
    for value in 1...100 as ClosedRange<UInt64> { histogram.add(value) }
    #expect(
      [10, 500, 900, 990, 999, 1000].map { histogram.percentile(perMille: $0) } == [1, 50, 90, 99, 100, 100])
    var large = Histogram()
    for value in 1...1000 as ClosedRange<UInt64> { large.add(value * 1000) }
    let median = large.percentile(perMille: 500)
    #expect(median >= 500_000 && median <= 500_000 + 500_000 / 64)
    #expect(large.percentile(perMille: 1000) == 1_000_000)
  }
}
