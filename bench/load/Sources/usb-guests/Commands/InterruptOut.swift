// `usb-guests interrupt-out`: round trips of reports to the device.
import ArgumentParser

struct InterruptOut: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "interrupt-out",
    abstract: "Sends reports: the time from each to the answer with its id.")

  @OptionGroup var guests: GuestOptions
  @OptionGroup var timing: TimingOptions

  @Option(help: "Interrupt OUT endpoint, hexadecimal; the device's first one.")
  var endpoint: EndpointAddress?

  @Option(help: "Bytes of a report; a whole packet.")
  var size: Int?

  @Option(help: "Reports that wait for their answer at a time.")
  var depth = 1

  @Option(help: "Reports a second on each guest; without: each answer is followed by the next one.")
  var rate: Double?

  @Flag(
    help: "Receive as well: with a device that gives every report back, \"report\" is the way there and back."
  )
  var receive = false

  func validate() throws {
    guard (1...1024).contains(depth) else { throw ValidationError("--depth: 1 to 1024") }
    guard (0...65535).contains(size ?? 0) else { throw ValidationError("--size: 0 to 65535") }
    guard rate ?? 1 > 0.001 else { throw ValidationError("--rate: reports a second") }
  }

  func run() throws {
    let shape = SendingShape(
      endpoint: endpoint?.value, size: size, depth: depth, interval: rate.map { UInt64(1e9 / $0) })
    try usb_guests.run(
      "interrupt-out", guests, timing.timing,
      { count in
        let sending = InterruptSending(shape)
        return receive ? [InterruptReceiving(guests: count), sending] : [sending]
      })
  }
}
