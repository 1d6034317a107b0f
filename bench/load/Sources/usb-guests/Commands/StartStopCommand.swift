// `usb-guests start-stop`: what opening and closing costs a driver.
import ArgumentParser

struct StartStopCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "start-stop",
    abstract: "Starts and stops interrupt receiving, again and again.")

  @OptionGroup var guests: GuestOptions
  @OptionGroup var timing: TimingOptions

  @Option(help: "Interrupt IN endpoint, hexadecimal; the device's first one.")
  var endpoint: EndpointAddress?

  @Option(help: "stamped: reports begin with a number and a time; any: they are just counted.")
  var payload = Payload.stamped

  @Option(help: "Cycles on each guest, if they are done before --duration.")
  var cycles: UInt64?

  @Flag(help: "Wait for a report between start and stop.")
  var untilReport = false

  @Flag(help: "A report that is missing, twice or out of order is a failure.")
  var lossless = false

  func run() throws {
    let addresses = try guests.list()
    let cycling = StartStop(
      guests: addresses.count, endpoint: endpoint?.value, payload, cycles: cycles, wantsReport: untilReport)
    try usb_guests.run("start-stop", guests, timing.timing, { _ in [cycling] }) { report in
      if lossless { report.failures += cycling.faults }
    }
  }
}
