// What a run does with its guests: the calls that guests make when something comes in. Sub-classes say what
// they want to know; all of it happens on one thread.

/// What a guest's packets mean for a run.
class Workload {
  /// When `tick` is due, in nanoseconds of the clock; nil: never.
  var deadline: UInt64?
  /// Ends the run.
  var isFinished = false
  /// What went wrong, a line each.
  private(set) var failures: [String] = []

  /// Opens the first connections.
  func start(_ engine: Engine) throws {}
  /// The device is announced.
  func deviceConnected(_ guest: Guest, at now: UInt64) {}
  func interrupt(_ guest: Guest, _ packet: InterruptPacket, at now: UInt64) {}
  func bulk(_ guest: Guest, _ packet: BulkPacket, at now: UInt64) {}
  /// An interrupt_receiving_status.
  func receivingStatus(_ guest: Guest, endpoint: UInt8, status: UInt8, at now: UInt64) {}
  /// The device or the connection is gone, or the usb-host said what makes no sense; the guest has been
  /// closed.
  func ended(_ guest: Guest, _ reason: String, at now: UInt64) {
    fail("\(guest.address): \(reason)")
  }
  /// Whoever attends to the run wants its end.
  func toldToEnd(at now: UInt64) {}
  /// `deadline` has come, and was forgotten.
  func tick(_ engine: Engine, at now: UInt64) {}

  func fail(_ line: String) {
    if failures.count < 20 { failures.append(line) }
  }
}
