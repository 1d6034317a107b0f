// The reports of one interrupt IN endpoint: their order, by the packets' ids and by the numbers in them.

/// Follows one stream of reports.
struct ReportStream {
  var numbers = SequenceTracker()
  var ids = SequenceTracker(expecting: 0)
  private(set) var count: UInt64 = 0
  private(set) var bytes: UInt64 = 0
  /// Packets with a status other than success.
  private(set) var errors: UInt64 = 0
  /// Packets without data, as some controllers bring them.
  private(set) var empty: UInt64 = 0
  /// Too short for a stamp.
  private(set) var unstamped: UInt64 = 0

  /// Takes a report; the nanoseconds since it became ready, if it says so.
  @inline(__always)
  mutating func take(_ packet: InterruptPacket, isStamped: Bool, at now: UInt64) -> UInt64? {
    ids.observe(packet.id)
    guard packet.status == Status.success, !packet.data.isEmpty else {
      if packet.status == Status.success { empty += 1 } else { errors += 1 }
      return nil
    }
    count += 1
    bytes += UInt64(packet.data.count)
    guard isStamped, let stamp = Stamp(packet.data) else {
      unstamped += 1
      return nil
    }
    numbers.observe(stamp)
    return stamp.age(at: now)
  }

  /// The device's stream was started again: ids begin at 0.
  mutating func restarted() {
    ids = SequenceTracker(expecting: 0)
  }

  /// Counts from here on.
  mutating func reset() {
    let old = self
    self = ReportStream()
    numbers = old.numbers
    numbers.restart()
    ids = old.ids
    ids.restart()
  }

  /// Adds what was counted to a report.
  func add(to report: inout Report) {
    let found: [(String, UInt64)] = [
      ("reports", count), ("bytes", bytes), ("errors", errors), ("empty", empty), ("unstamped", unstamped),
      ("missing", numbers.missing), ("gaps", numbers.gaps), ("duplicates", numbers.duplicates),
      ("outOfOrder", numbers.outOfOrder), ("missingIds", ids.missing),
      ("repeatedIds", ids.duplicates + ids.outOfOrder),
    ]
    for (name, value) in found { report.counts[name, default: 0] += value }
  }

  /// What no run may have: a line, or nil.
  var fault: String? {
    let faults = [
      (numbers.missing, "reports missing"), (numbers.duplicates, "reports twice"),
      (numbers.outOfOrder, "reports out of order"), (ids.missing, "ids missing"),
      (ids.duplicates + ids.outOfOrder, "ids repeated"), (errors, "reports with an error status"),
    ].filter { $0.0 > 0 }
    return faults.isEmpty ? nil : faults.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
  }
}
