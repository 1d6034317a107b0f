// Runs that are measured until somebody says that it is enough.
import Glibc
import Testing

@testable import usb_guests

struct AttendedTests {
  /// Whoever attends: closes its end of a pipe some time after the warm-up began, or after it was over.
  private final class Ending: Activity {
    private let descriptor: Int32
    private let after: UInt64
    private let waitsForWarmUp: Bool
    private var due: UInt64?
    private(set) var hasEnded = false

    init(_ descriptor: Int32, after seconds: Double, waitsForWarmUp: Bool) {
      self.descriptor = descriptor
      self.waitsForWarmUp = waitsForWarmUp
      after = UInt64(seconds * 1e9)
    }

    override var deadline: UInt64? { due }

    override func begin(_ guest: Guest, at now: UInt64) {
      if !waitsForWarmUp { due = now + after }
    }

    override func reset() {
      if waitsForWarmUp { due = monotonic() + after }
    }

    override func tick(at now: UInt64) {
      due = nil
      hasEnded = true
      close(descriptor)
    }
  }

  private func run(
    _ timing: Timing, endsAfter seconds: Double, waitsForWarmUp: Bool
  ) throws -> (Report, Ending, begins: Int) {
    let host = try FakeHost(FakeHostPlan())
    let ends = try pipeEnds()
    defer { close(ends.reads) }
    let ending = Ending(ends.writes, after: seconds, waitsForWarmUp: waitsForWarmUp)
    let sending = InterruptSending(SendingShape(size: 8, interval: 1_000_000))
    let workload = TimedWorkload([host.address], .all, timing, [sending, ending])
    var begins = 0
    workload.begins = { begins += 1 }
    let engine = try Engine(workload)
    try engine.attend(ends.reads)
    try withExtendedLifetime(host) { try engine.run() }
    return (workload.report("test"), ending, begins)
  }

  @Test("measured until it is told to end, whatever the duration")
  func untilTold() throws {
    let (report, ending, begins) = try run(
      Timing(warmUp: 0.01, duration: 0.001, isAttended: true), endsAfter: 0.2, waitsForWarmUp: true)
    #expect(report.failures == [])
    #expect(begins == 1)
    #expect(ending.hasEnded)
    #expect(report.seconds > 0.15)
    #expect(report.counts["sent"] ?? 0 > 0)
  }

  @Test("told to end before anything was measured: a failure, and nothing has begun")
  func tooEarly() throws {
    let (report, _, begins) = try run(
      Timing(warmUp: 60, isAttended: true), endsAfter: 0.01, waitsForWarmUp: false)
    #expect(report.failures == ["told to end before anything was measured"])
    #expect(begins == 0)
  }
}
