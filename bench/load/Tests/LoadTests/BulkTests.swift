// Bulk requests to fake usb-hosts.
import Testing

@testable import usb_guests

struct BulkTests {
  /// Done when each direction had so many answers.
  private final class Answers: Activity {
    private let least: Int
    private var counts = [true: 0, false: 0]

    init(atLeast least: Int) { self.least = least }

    override var isDone: Bool { counts.values.allSatisfy { $0 >= least } }

    override func bulk(_ guest: Guest, _ packet: BulkPacket, at now: UInt64) {
      counts[packet.isIn, default: 0] += 1
    }
  }

  @Test("IN and OUT, longer than 16 bits where that is in force", arguments: capabilitySets)
  func directions(_ offered: UInt32) throws {
    let capabilities = Capabilities(rawValue: offered)
    let size = min(100_000, capabilities.bulkLimit)
    let activities = [true, false].map { isIn in
      BulkTransferring(guests: 2, BulkShape(isIn: isIn, size: size, depth: 3))
    }
    // More than are sent at once: an answer is followed by the next request.
    let report = try measure(
      FakeHostPlan(), hosts: 2, capabilities: capabilities, duration: 60, activities + [Answers(atLeast: 7)])
    #expect(report.failures == [])
    for name in ["In", "Out"] {
      let answers = try #require(report.counts["answers" + name])
      #expect(answers > 6)
      #expect(report.counts["bytes" + name] == answers * UInt64(size))
      #expect(report.counts["short" + name] == 0)
      #expect(report.latencies["bulk" + name]?.count == answers)
    }
    #expect(report.counts["missingIn"] == 0)
    #expect(report.counts["duplicatesIn"] == 0)
  }

  @Test("a request that is too long for the capabilities is a failure, not a packet")
  func tooLong() throws {
    let report = try measure(
      FakeHostPlan(), capabilities: Capabilities.all.subtracting(.bulkLength32),
      [BulkTransferring(guests: 1, BulkShape(size: 65536))])
    #expect(report.failures.count == 1)
    #expect(report.failures[0].hasSuffix(": one request is at most 65535 bytes"))
  }

  @Test("short answers are counted")
  func short() throws {
    let report = try measure(FakeHostPlan(shortBy: 10), [BulkTransferring(guests: 1, BulkShape(size: 512))])
    #expect(report.failures == [])
    #expect(report.counts["shortIn"] == report.counts["answersIn"])
    #expect(report.counts["bytesIn"] == 502 * (report.counts["answersIn"] ?? 0))
  }

  @Test("answers with an error status are a failure")
  func errors() throws {
    let report = try measure(
      FakeHostPlan(answerStatus: Status.stall), [BulkTransferring(guests: 1, BulkShape(size: 512))])
    #expect(report.failures.count == 1)
    #expect(report.failures[0].hasSuffix("bulk answers with an error status"))
  }

  @Test("ids are found in the order of their answers, and only once")
  func inFlight() {
    var requests = InFlight(depth: 2, first: 10)
    #expect(requests.send(at: 100) == 10)
    #expect(requests.send(at: 200) == 11)
    #expect(requests.answer(12) == nil)
    #expect(requests.answer(9) == nil)
    #expect(requests.answer(11) == 200)
    #expect(requests.answer(11) == nil)
    #expect(requests.count == 1)
    #expect(requests.answer(10) == 100)
    #expect(requests.count == 0)
  }
}
