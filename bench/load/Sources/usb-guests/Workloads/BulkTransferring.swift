// Bulk requests, so many in flight on each guest: throughput, and the time from a request to its answer.
import CLoad

/// What to ask for.
struct BulkShape {
  var isIn = true
  var size = 65536
  var depth = 4
  /// nil: the first of its kind.
  var endpoint: UInt8?
  /// Numbers in IN data are followed.
  var payload = Payload.stamped
}

/// Keeps bulk requests in flight in one direction.
final class BulkTransferring: Activity {
  private struct Stream {
    var endpoint: UInt8 = 0
    var requests: InFlight
    var isStopping = false
    var sequence: UInt64 = 0
    var numbers = SequenceTracker()
    var lastAnswered: UInt64?
  }

  private let shape: BulkShape
  private var streams: [Stream]
  private var latency = Latencies()
  private var answers: UInt64 = 0
  private var bytes: UInt64 = 0
  private var errors: UInt64 = 0
  private var short: UInt64 = 0
  private var unknown: UInt64 = 0
  private var outOfOrder: UInt64 = 0

  init(guests: Int, _ shape: BulkShape) {
    self.shape = shape
    // Both directions have ids of their own.
    let requests = InFlight(depth: shape.depth, first: shape.isIn ? 1 << 20 : 1 << 21)
    streams = Array(repeating: Stream(requests: requests), count: guests)
  }

  private var name: String { shape.isIn ? "In" : "Out" }

  override func objection(to guest: Guest) -> String? {
    if shape.size > guest.capabilities.bulkLimit {
      return "one request is at most \(guest.capabilities.bulkLimit) bytes"
    }
    return missing(shape.endpoint, .bulk, isIn: shape.isIn, guest)
  }

  override func begin(_ guest: Guest, at now: UInt64) {
    guard let endpoint = shape.endpoint ?? guest.endpoint(.bulk, isIn: shape.isIn)?.address else { return }
    streams[guest.number].endpoint = endpoint
    for _ in 0..<shape.depth { request(guest, at: now) }
  }

  private func request(_ guest: Guest, at now: UInt64) {
    let number = guest.number
    let id = streams[number].requests.send(at: now)
    guest.requestBulk(
      streams[number].endpoint, id: id, length: shape.size,
      Stamp(sequence: streams[number].sequence, time: now))
    streams[number].sequence += 1
  }

  override func bulk(_ guest: Guest, _ packet: BulkPacket, at now: UInt64) {
    let number = guest.number
    guard packet.endpoint == streams[number].endpoint else { return }
    guard let sent = streams[number].requests.answer(packet.id) else {
      unknown += 1
      return
    }
    latency.record(from: sent, to: now)
    count(packet, &streams[number])
    if !streams[number].isStopping { request(guest, at: now) }
  }

  private func count(_ packet: BulkPacket, _ stream: inout Stream) {
    answers += 1
    bytes += UInt64(packet.length)
    if packet.status != Status.success { errors += 1 } else if packet.length < shape.size { short += 1 }
    if let last = stream.lastAnswered, packet.id < last { outOfOrder += 1 }
    stream.lastAnswered = packet.id
    if shape.payload == .stamped, packet.isIn, let stamp = Stamp(packet.data) {
      stream.numbers.observe(stamp)
    }
  }

  override func stop(_ guest: Guest) {
    streams[guest.number].isStopping = true
  }

  override func isIdle(_ guest: Guest) -> Bool { streams[guest.number].requests.count == 0 }

  override func reset() {
    latency.reset()
    (answers, bytes, errors, short, unknown, outOfOrder) = (0, 0, 0, 0, 0, 0)
    for index in streams.indices { streams[index].numbers.restart() }
  }

  override func rates(over seconds: Double) -> [String: Double] {
    ["megabytesPerSecond" + name: Double(bytes) / seconds / 1e6]
  }

  override func add(to report: inout Report) {
    report.counts["answers" + name] = answers
    report.counts["bytes" + name] = bytes
    report.counts["short" + name] = short
    if shape.isIn, shape.payload == .stamped {
      report.counts["missing" + name] = streams.reduce(0) { $0 + $1.numbers.missing }
      report.counts["duplicates" + name] = streams.reduce(0) { $0 + $1.numbers.duplicates }
    }
    report.add("bulk" + name, latency)
    let faults = [
      (errors, "bulk answers with an error status"), (unknown, "bulk answers that nobody waits for"),
      (outOfOrder, "bulk answers out of order"),
    ]
    report.failures += faults.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
  }
}

/// The clock that stamps reports.
func monotonic() -> UInt64 { loadClock() }
