// What several commands take, and how a run is told.
import ArgumentParser
import CLoad
import Foundation

/// An endpoint's address as the command line has it: two hexadecimal digits.
struct EndpointAddress: ExpressibleByArgument {
  let value: UInt8

  init?(argument: String) {
    guard let value = UInt8(argument, radix: 16), value & 0x70 == 0, value & 0x0f != 0 else { return nil }
    self.value = value
  }
}

extension Payload: ExpressibleByArgument {}

/// Which servers, and what the guests offer.
struct GuestOptions: ParsableArguments {
  @Argument(help: "HOST:PORT, HOST:FIRST-LAST for a range of ports, unix:PATH; a guest each.")
  var addresses: [String]

  @Flag(name: .customLong("ids32"), help: "Do not offer 64bits_ids.")
  var ids32 = false

  @Flag(name: .customLong("bulk16"), help: "Do not offer 32bits_bulk_length.")
  var bulk16 = false

  func list() throws -> [Address] { try addresses.flatMap(Address.list) }

  var capabilities: Capabilities {
    var offered = Capabilities.all
    if ids32 { offered.remove(.ids64) }
    if bulk16 { offered.remove(.bulkLength32) }
    return offered
  }
}

/// How long to measure.
struct TimingOptions: ParsableArguments {
  @Option(help: "Seconds to measure.")
  var duration = 5.0

  @Option(help: "Seconds before that.")
  var warmUp = 0.5

  @Flag(help: "After the warm-up, print `measuring`; measure until standard input ends.")
  var attended = false

  var timing: Timing { Timing(warmUp: warmUp, duration: duration, isAttended: attended) }

  func validate() throws {
    guard duration > 0, warmUp >= 0, duration + warmUp < 1e6 else {
      throw ValidationError("--duration and --warm-up: seconds, and some")
    }
  }
}

/// Prints a result: JSON to standard output, a line to standard error. Throws when something failed.
func tell(_ report: Report) throws {
  print(try report.json())
  FileHandle.standardError.write(Data((report.line + "\n").utf8))
  if !report.failures.isEmpty { throw ExitCode.failure }
}

/// Runs activities on a guest for each address.
func run(
  _ scenario: String, _ guests: GuestOptions, _ timing: Timing, _ activities: (Int) -> [Activity],
  judge: (inout Report) -> Void = { _ in }
) throws {
  let addresses = try guests.list()
  let workload = TimedWorkload(addresses, guests.capabilities, timing, activities(addresses.count))
  let engine = try Engine(workload)
  if timing.isAttended {
    workload.begins = { FileHandle.standardOutput.write(Data("measuring\n".utf8)) }
    try engine.attend(STDIN_FILENO)
  }
  try engine.run()
  var report = workload.report(scenario)
  judge(&report)
  try tell(report)
}
