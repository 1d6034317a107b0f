// What the tests share: runs of activities against fake usb-hosts.
import Glibc
import Testing

@testable import usb_guests

/// Runs activities against fake usb-hosts that do what the plan says.
func measure(
  _ plan: FakeHostPlan, hosts: Int = 1, capabilities: Capabilities = .all, duration: Double = 0.1,
  warmUp: Double = 0, patience: Double = 10, _ activities: [Activity]
) throws -> Report {
  let servers = try (0..<hosts).map { _ in try FakeHost(plan) }
  return try withExtendedLifetime(servers) {
    let workload = TimedWorkload(
      servers.map(\.address), capabilities, Timing(warmUp: warmUp, duration: duration, patience: patience),
      activities)
    try Engine(workload).run()
    return workload.report("test")
  }
}

/// The two ends of a pipe.
func pipeEnds() throws -> (reads: Int32, writes: Int32) {
  var ends: [Int32] = [0, 0]
  guard pipe(&ends) == 0 else { throw LoadError.system("pipe") }
  return (ends[0], ends[1])
}

/// Every set of capabilities that a packet's size depends on.
let capabilitySets: [UInt32] = [
  Capabilities.all.rawValue, 0, Capabilities.ids64.rawValue, Capabilities.bulkLength32.rawValue,
  Capabilities.all.subtracting(.ids64).rawValue, Capabilities.all.subtracting(.bulkLength32).rawValue,
]
