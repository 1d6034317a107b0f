// A histogram of fixed size for numbers of any magnitude: each power of two is divided into 64 equal buckets, so
// that a bucket is never wider than 1/64 of what is in it. Numbers below 128 have a bucket each.
//
//     bucket   0 … 127   128 … 191   192 … 255   …
//     number   0 … 127   128 … 255   256 … 511   …
//     width          1           2           4

/// Counts of nanoseconds, up to a quarter of an hour and everything longer in the last bucket.
struct Histogram {
  private static let subBits = 6
  private static let subCount = 1 << subBits
  /// Powers of two that are divided, beyond the buckets of width 1.
  private static let octaves = 33
  static let bucketCount = (octaves + 2) * subCount

  private(set) var count: UInt64 = 0
  private(set) var max: UInt64 = 0
  private var buckets = [UInt32](repeating: 0, count: Histogram.bucketCount)

  /// The bucket that `value` is counted in.
  static func bucket(_ value: UInt64) -> Int {
    let exponent = Swift.max(0, 63 - value.leadingZeroBitCount - subBits)
    let part = Int(truncatingIfNeeded: value >> UInt64(exponent))
    return Swift.min(exponent * subCount + part, bucketCount - 1)
  }

  /// The largest number of a bucket but the last.
  static func upperBound(_ bucket: Int) -> UInt64 {
    let exponent = Swift.max(0, bucket / subCount - 1)
    return (UInt64(bucket - exponent * subCount) + 1) << UInt64(exponent) - 1
  }

  mutating func add(_ value: UInt64) {
    buckets[Histogram.bucket(value)] &+= 1
    count += 1
    max = Swift.max(max, value)
  }

  /// The number that so many of 1000 are not above, rounded up to its bucket's end; 0 when nothing was counted.
  func percentile(perMille: UInt64) -> UInt64 {
    let rank = Swift.max(1, (count * perMille + 999) / 1000)
    var seen: UInt64 = 0
    for (bucket, amount) in buckets.enumerated() {
      seen += UInt64(amount)
      // The last bucket has no end of its own.
      if seen >= rank, bucket < Histogram.bucketCount - 1 {
        return Swift.min(max, Histogram.upperBound(bucket))
      }
    }
    return max
  }
}
