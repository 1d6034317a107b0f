// A kind of transfers that a run keeps going on all its guests; several may go on at once.

/// One kind of transfers. Sub-classes keep a state for each guest, by its number.
class Activity {
  /// Why the device of a guest is no use for it; nil when it is.
  func objection(to guest: Guest) -> String? { nil }
  /// Told once for each guest, with its device, when all of them have one.
  func begin(_ guest: Guest, at now: UInt64) {}
  func interrupt(_ guest: Guest, _ packet: InterruptPacket, at now: UInt64) {}
  func bulk(_ guest: Guest, _ packet: BulkPacket, at now: UInt64) {}
  func receivingStatus(_ guest: Guest, endpoint: UInt8, status: UInt8, at now: UInt64) {}
  /// The time is up: what was counted in it makes the rates. Counts go on until nothing is in flight.
  func rates(over seconds: Double) -> [String: Double] { [:] }
  /// Starts nothing new, and lets what is in flight come to its end.
  func stop(_ guest: Guest) {}
  /// Nothing is in flight.
  func isIdle(_ guest: Guest) -> Bool { true }
  /// The counts begin: what happened so far was to warm up.
  func reset() {}
  /// When `tick` is due.
  var deadline: UInt64? { nil }
  func tick(at now: UInt64) {}
  /// It has done all that it was to do, before the time is up.
  var isDone: Bool { false }
  /// Adds what was counted.
  func add(to report: inout Report) {}
}
