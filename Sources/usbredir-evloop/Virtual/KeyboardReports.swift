// Keys that were typed and wait for the guest to poll the keyboard: a report for key down, one for key up.

/// A bounded queue of boot reports. HID 1.11, appendix B.1.
struct KeyboardReports {
  /// Bytes of one report: modifiers, a reserved byte, up to six keys.
  static let size = 8
  /// Reports that may wait: 32 keys are ahead of the guest, what comes behind them waits where it comes from.
  static let capacity = 64

  private var ring = [KeyStroke](repeating: .released, count: KeyboardReports.capacity)
  private var head = 0
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  /// True when another key has no room.
  var isFull: Bool { count + 2 > KeyboardReports.capacity }

  /// Adds key down, with its modifiers in the same report, and key up. Only while it is not full.
  mutating func type(_ key: KeyStroke) {
    precondition(!isFull)
    append(key)
    append(.released)
  }

  /// The oldest report's keys; nil when there is none.
  mutating func removeFirst() -> KeyStroke? {
    guard count > 0 else { return nil }
    defer {
      head = (head + 1) % KeyboardReports.capacity
      count -= 1
    }
    return ring[head]
  }

  private mutating func append(_ key: KeyStroke) {
    ring[(head + count) % KeyboardReports.capacity] = key
    count += 1
  }
}
