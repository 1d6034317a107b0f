// Whether every number came, once and in order. The first one may be any: a device may have been read before.

/// Follows the numbers of one source.
struct SequenceTracker {
  /// How far back a number that comes late can be told from one that comes twice.
  static let window: UInt64 = 4096

  private(set) var next: UInt64?
  /// Numbers that have not come, though a later one has.
  private(set) var missing: UInt64 = 0
  /// Places at which numbers were left out.
  private(set) var gaps: UInt64 = 0
  private(set) var duplicates: UInt64 = 0
  private(set) var outOfOrder: UInt64 = 0
  /// Of the last `window` numbers those that were left out.
  private var holes: Set<UInt64> = []

  /// - Parameter first: the number that has to come first; nil: any.
  init(expecting first: UInt64? = nil) {
    next = first
  }

  @inline(__always)
  mutating func observe(_ number: UInt64) {
    guard number != next else {
      next = number &+ 1
      return
    }
    irregular(number)
  }

  /// Takes a stamp's number; of a short one that which is nearest to what has to come next.
  @inline(__always)
  mutating func observe(_ stamp: Stamp) {
    guard !stamp.isWhole else { return observe(stamp.sequence) }
    let expected = next ?? stamp.sequence
    let distance = Int16(truncatingIfNeeded: stamp.sequence &- expected)
    // Before the first number there is none.
    observe(expected &+ UInt64(bitPattern: Int64(distance)))
  }

  private mutating func irregular(_ number: UInt64) {
    guard let expected = next else {
      next = number &+ 1
      return
    }
    if number > expected {
      gaps += 1
      missing += number - expected
      let oldest = number > SequenceTracker.window ? number - SequenceTracker.window : 0
      holes = holes.filter { $0 >= oldest }
      holes.formUnion(max(expected, oldest)..<number)
      next = number &+ 1
    } else if holes.remove(number) != nil {
      missing -= 1
      outOfOrder += 1
    } else {
      duplicates += 1
    }
  }

  /// A new count from the same number on. What was missing before stays out of it, even if it comes.
  mutating func restart() {
    self = SequenceTracker(expecting: next)
  }
}
