// Addresses as the command line has them, and connections of each kind.
import Glibc
import Testing

@testable import usb_guests

struct AddressTests {
  @Test(
    "what means which addresses",
    arguments: [
      ("127.0.0.1:4000", ["127.0.0.1:4000"]), ("[::1]:4000", ["::1:4000"]), (":7", ["127.0.0.1:7"]),
      ("127.0.0.1:4000-4002", ["127.0.0.1:4000", "127.0.0.1:4001", "127.0.0.1:4002"]),
      ("unix:/tmp/x", ["unix:/tmp/x"]),
    ])
  func lists(_ text: String, _ addresses: [String]) throws {
    #expect(try Address.list(text).map(\.description) == addresses)
  }

  @Test(
    "what is no address",
    arguments: ["", "4000", "a:b", "127.0.0.1:0", "127.0.0.1:5-4", "127.0.0.1:1-2-3", "h:-"])
  func wrong(_ text: String) {
    #expect(throws: LoadError.self) { try Address.list(text) }
  }

  @Test("a path that is too long is one line")
  func longPath() {
    let path = "unix:/" + String(repeating: "a", count: 200)
    #expect(throws: LoadError("\(path): the path is too long for a unix socket")) { try Address.list(path) }
  }

  @Test("a unix socket")
  func unixSocket() throws {
    let path = "/tmp/usb-guests-test-\(getpid())"
    defer { unlink(path) }
    let host = try FakeHost(FakeHostPlan(reports: Array(0..<1000)), path: path)
    let workload = TimedWorkload(
      [host.address], .all, Timing(warmUp: 0, duration: 0.1), [InterruptReceiving(guests: 1)])
    try Engine(workload).run()
    #expect(workload.failures == [])
    #expect(workload.report("unix").counts["reports"] == 1000)
  }

  @Test("nobody listens: one line that says where")
  func nobody() throws {
    let address = try FakeHost().address
    let workload = TimedWorkload([address], .all, Timing(patience: 2), [InterruptReceiving(guests: 1)])
    try Engine(workload).run()
    #expect(workload.failures.count == 1)
    #expect(workload.failures[0].hasPrefix("\(address): "))
  }
}
