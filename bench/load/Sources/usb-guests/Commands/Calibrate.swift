// `usb-guests calibrate`: what the generator itself costs, against a usb-host in the same process that has a thread
// of its own.
import ArgumentParser

struct Calibrate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "The generator's own CPU for each report, received from a usb-host that costs it nothing.")

  @Option(help: "Reports.")
  var reports = 200_000

  @Option(help: "Reports in one write.")
  var batch = 64

  func validate() throws {
    guard (1...10_000_000).contains(reports), batch > 0 else {
      throw ValidationError("--reports: 1 to 10000000; --batch: 1 or more")
    }
  }

  func run() throws {
    let host = try FakeHost(FakeHostPlan(reports: (0..<UInt64(reports)).map { $0 }, batch: batch))
    let receiving = InterruptReceiving(guests: 1, limit: UInt64(reports))
    let workload = TimedWorkload([host.address], .all, Timing(warmUp: 0, duration: 600), [receiving])
    try Engine(workload).run()
    var report = workload.report("calibrate")
    report.failures += receiving.faults
    if let usage = report.generator {
      report.rates["cpuNanosecondsPerReport"] = Double(usage.cpuNanoseconds) / Double(reports)
    }
    try tell(report)
  }
}
