// `usb-guests interrupt`: latency and losses of reports.
import ArgumentParser

struct Interrupt: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Receives reports: latency from ready in the device to received here, losses, order.")

  @OptionGroup var guests: GuestOptions
  @OptionGroup var timing: TimingOptions

  @Option(help: "Interrupt IN endpoint, hexadecimal; the device's first one.")
  var endpoint: EndpointAddress?

  @Option(help: "stamped: reports begin with a number and a time; any: they are just counted.")
  var payload = Payload.stamped

  @Flag(help: "A report that is missing, twice or out of order is a failure.")
  var lossless = false

  func run() throws {
    let addresses = try guests.list()
    let receiving = InterruptReceiving(guests: addresses.count, endpoint: endpoint?.value, payload)
    try usb_guests.run("interrupt", guests, timing.timing, { _ in [receiving] }) { report in
      if lossless { report.failures += receiving.faults }
    }
  }
}
