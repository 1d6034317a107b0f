// What a stamped report begins with, so that 8 bytes of it are enough (little-endian):
//
//     0–1     the lower 16 bits of its number
//     2–7     when it became ready: CLOCK_MONOTONIC in nanoseconds, the lower 48 bits
//     8–15    the whole number, if the report is that long

/// A report's number and time.
struct Stamp: Equatable {
  static let size = 8
  private static let wholeSize = 16
  private static let timeMask: UInt64 = 1 << 48 - 1

  /// The whole number, or its lower 16 bits.
  let sequence: UInt64
  let isWhole: Bool
  private let lowTime: UInt64

  init(sequence: UInt64, time: UInt64) {
    self.sequence = sequence
    isWhole = true
    lowTime = time & Stamp.timeMask
  }

  /// nil when there is no room for one.
  @inline(__always)
  init?(_ data: UnsafeRawBufferPointer) {
    guard data.count >= Stamp.size, let base = data.baseAddress else { return nil }
    let first = base.u64(0)
    lowTime = first >> 16
    isWhole = data.count >= Stamp.wholeSize
    sequence = isWhole ? base.u64(8) : first & 0xffff
  }

  /// The nanoseconds that had passed at a moment less than three days later; 0 in place of a little before.
  @inline(__always)
  func age(at now: UInt64) -> UInt64 {
    let age = (now &- lowTime) & Stamp.timeMask
    return age > Stamp.timeMask - 1_000_000_000 ? 0 : age
  }

  func write(to data: UnsafeMutableRawBufferPointer) {
    guard data.count >= Stamp.size, let base = data.baseAddress else { return }
    base.put(lowTime << 16 | sequence & 0xffff, 0)
    if data.count >= Stamp.wholeSize { base.put(sequence, 8) }
  }
}
