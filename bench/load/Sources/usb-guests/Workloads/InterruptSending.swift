// Reports to an interrupt OUT endpoint: the time from each to the answer with its id.

/// What to send.
struct SendingShape {
  /// nil: the first interrupt OUT endpoint of each device.
  var endpoint: UInt8?
  /// Bytes of a report; nil: a whole packet.
  var size: Int?
  var depth = 1
  /// Nanoseconds between the reports of a guest; nil: each answer is followed by the next report.
  var interval: UInt64?
}

/// Sends reports on every guest.
final class InterruptSending: Activity {
  private struct Stream {
    let guest: Guest
    let endpoint: UInt8
    let size: Int
    var requests: InFlight
    var sequence: UInt64 = 0
    var isStopping = false
  }

  private let shape: SendingShape
  private var streams: [Int: Stream] = [:]
  private var due: UInt64?
  private var latency = Latencies()
  private var answers: UInt64 = 0
  private var errors: UInt64 = 0
  private var unknown: UInt64 = 0
  private var skipped: UInt64 = 0

  init(_ shape: SendingShape) {
    self.shape = shape
  }

  override func objection(to guest: Guest) -> String? {
    missing(shape.endpoint, .interrupt, isIn: false, guest)
  }

  override func begin(_ guest: Guest, at now: UInt64) {
    let endpoint = guest.endpoints.first { endpoint in
      endpoint.address == shape.endpoint ?? guest.endpoint(.interrupt, isIn: false)?.address
    }
    guard let endpoint else { return }
    streams[guest.number] = Stream(
      guest: guest, endpoint: endpoint.address, size: shape.size ?? endpoint.maxPacketSize,
      requests: InFlight(depth: shape.depth, first: 1))
    guard let interval = shape.interval else {
      for _ in 0..<shape.depth { send(guest.number, at: now) }
      return
    }
    due = now + interval
  }

  private func send(_ number: Int, at now: UInt64) {
    guard var stream = streams[number] else { return }
    let id = stream.requests.send(at: now)
    stream.guest.sendReport(
      stream.endpoint, id: id, length: stream.size, Stamp(sequence: stream.sequence, time: now))
    stream.sequence += 1
    streams[number] = stream
  }

  override func interrupt(_ guest: Guest, _ packet: InterruptPacket, at now: UInt64) {
    guard !packet.isIn, packet.endpoint == streams[guest.number]?.endpoint else { return }
    guard let sent = streams[guest.number]?.requests.answer(packet.id) else {
      unknown += 1
      return
    }
    latency.record(from: sent, to: now)
    answers += 1
    if packet.status != Status.success { errors += 1 }
    if shape.interval == nil, streams[guest.number]?.isStopping == false { send(guest.number, at: now) }
  }

  override var deadline: UInt64? { due }

  /// A report is due on each guest. One that still waits for `depth` answers misses it.
  override func tick(at now: UInt64) {
    guard let interval = shape.interval, let due else { return }
    for (number, stream) in streams {
      if stream.requests.count < shape.depth { send(number, at: now) } else { skipped += 1 }
    }
    // Never faster than the rate, not even to make up for a delay.
    self.due = due + interval > now ? due + interval : now + interval
  }

  override func stop(_ guest: Guest) {
    due = nil
    streams[guest.number]?.isStopping = true
  }

  override func isIdle(_ guest: Guest) -> Bool { streams[guest.number]?.requests.count ?? 0 == 0 }

  override func reset() {
    latency.reset()
    (answers, errors, unknown, skipped) = (0, 0, 0, 0)
  }

  override func rates(over seconds: Double) -> [String: Double] {
    ["sentPerSecond": Double(answers) / seconds]
  }

  override func add(to report: inout Report) {
    report.counts["sent"] = answers
    report.counts["skipped"] = skipped
    report.add("roundTrip", latency)
    if errors > 0 { report.failures.append("\(errors) reports were not taken") }
    if unknown > 0 { report.failures.append("\(unknown) answers that nobody waits for") }
  }
}
