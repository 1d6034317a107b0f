// `usb-guests connect` and `usb-guests churn`: guests come and go.
import ArgumentParser

struct Connect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Connects, gets the device, leaves and connects at once again: time from connect to device_connect.")

  @OptionGroup var guests: GuestOptions

  @Option(help: "Seconds.")
  var duration = 5.0

  @Option(help: "Visits at each address, if they are done before --duration.")
  var visits: UInt64?

  @Flag(help: "Leave with a reset of the connection.")
  var reset = false

  func run() throws {
    try visit(
      "connect", guests, duration, VisitShape(leavings: [reset ? .reset : .close], visits: visits))
  }
}

struct Churn: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Guests come, receive, and leave in every way; at the end each address has to serve one more.")

  @OptionGroup var guests: GuestOptions

  @Option(help: "Seconds.")
  var duration = 5.0

  @Option(help: "Milliseconds that a guest stays, at most.")
  var stay: UInt64 = 50

  @Option(help: "Other numbers lead to other visits.")
  var seed: UInt64 = 1

  func validate() throws {
    guard stay < 1_000_000 else { throw ValidationError("--stay: milliseconds") }
  }

  func run() throws {
    try visit(
      "churn", guests, duration,
      VisitShape(
        stay: 0...stay * 1_000_000, leavings: VisitShape.Leaving.allCases, receives: true, seed: seed))
  }
}

private func visit(_ scenario: String, _ guests: GuestOptions, _ duration: Double, _ shape: VisitShape) throws
{
  guard duration > 0, duration < 1e6 else { throw ValidationError("--duration: seconds") }
  let visiting = Visiting(try guests.list(), guests.capabilities, Timing(duration: duration), shape)
  try Engine(visiting).run()
  try tell(visiting.report(scenario))
}
