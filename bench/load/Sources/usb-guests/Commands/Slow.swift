// `usb-guests slow`: back-pressure loses nothing.
import ArgumentParser

struct Slow: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Stops to read for a time, or reads slowly, then goes on: nothing may be lost, twice or out of order.")

  @OptionGroup var guests: GuestOptions

  @Option(help: "Seconds at full speed before and behind the slow time.")
  var around = 0.5

  @Option(help: "Seconds of the slow time.")
  var pause = 2.0

  @Option(help: "Bytes to read every 10 ms in the slow time.")
  var sip = 0

  @Option(help: "SO_RCVBUF, in bytes; below 64 KiB the loopback gets slow.")
  var receiveBuffer: Int?

  @Option(help: "Interrupt IN endpoint, hexadecimal; the device's first one.")
  var endpoint: EndpointAddress?

  @Option(help: "stamped: reports begin with a number and a time; any: they are just counted.")
  var payload = Payload.stamped

  func validate() throws {
    guard around > 0, pause > 0, around + pause < 1e6 else {
      throw ValidationError("--around, --pause: seconds")
    }
    guard sip >= 0, receiveBuffer ?? 1 > 0 else { throw ValidationError("--sip, --receive-buffer: bytes") }
  }

  func run() throws {
    let addresses = try guests.list()
    let receiving = InterruptReceiving(guests: addresses.count, endpoint: endpoint?.value, payload)
    let slowness = Slowness(
      SlownessShape(
        after: UInt64(around * 1e9), pause: UInt64(pause * 1e9),
        sip: sip > 0 ? (sip, 10_000_000) : nil, receiveBuffer: receiveBuffer))
    let timing = Timing(warmUp: 0, duration: pause + 2 * around, patience: 30)
    try usb_guests.run("slow", guests, timing, { _ in [receiving, slowness] }) { report in
      report.failures += receiving.faults
      if report.counts["reports"] == 0 { report.failures.append("no report came") }
    }
  }
}
