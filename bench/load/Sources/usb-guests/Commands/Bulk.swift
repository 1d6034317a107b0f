// `usb-guests bulk`: throughput and latency of bulk requests, alone or beside reports.
import ArgumentParser

struct Bulk: ParsableCommand {
  enum Direction: String, ExpressibleByArgument, CaseIterable {
    case `in`, out, both
  }

  static let configuration = CommandConfiguration(
    abstract: "Bulk requests: throughput, and the time from a request to its answer.")

  @OptionGroup var guests: GuestOptions
  @OptionGroup var timing: TimingOptions

  @Option(help: "in, out or both at once.")
  var direction = Direction.in

  @Option(help: "Bytes of a request.")
  var size = 65536

  @Option(help: "Requests in flight on each guest and direction.")
  var depth = 4

  @Option(help: "Bulk endpoint, hexadecimal, for one direction; the device's first one.")
  var endpoint: EndpointAddress?

  @Option(help: "stamped: IN data begins with a number and a time; any: it is just counted.")
  var payload = Payload.stamped

  @Flag(help: "Receive reports meanwhile: their latency beside bulk data.")
  var reports = false

  func validate() throws {
    guard (1...1024).contains(depth) else { throw ValidationError("--depth: 1 to 1024") }
    guard (1...(8 << 20)).contains(size) else { throw ValidationError("--size: 1 to 8388608") }
    guard endpoint == nil || direction != .both else {
      throw ValidationError("--endpoint is for one direction")
    }
  }

  func run() throws {
    let directions: [Bool] =
      switch direction {
      case .in: [true]
      case .out: [false]
      case .both: [true, false]
      }
    try usb_guests.run(
      "bulk", guests, timing.timing,
      { count in
        let bulk = directions.map { isIn in
          BulkTransferring(
            guests: count,
            BulkShape(isIn: isIn, size: size, depth: depth, endpoint: endpoint?.value, payload: payload))
        }
        // Reports first: bulk requests may take all the memory that usbfs gives.
        return (reports ? [InterruptReceiving(guests: count, payload)] : []) + bulk
      })
  }
}
