// The command line.
import ArgumentParser
import Glibc

@main
struct UsbGuests: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "usb-guests",
    abstract: "A load of usb-guests for usbredir servers: latencies, losses, throughput.",
    discussion: """
      Each command prints one JSON object to standard output, times in nanoseconds, and a line to standard error. \
      The exit status is 0 if nothing failed.
      """,
    subcommands: [
      Interrupt.self, InterruptOut.self, Bulk.self, StartStopCommand.self, Slow.self, Connect.self,
      Churn.self,
      Calibrate.self,
    ])
}
