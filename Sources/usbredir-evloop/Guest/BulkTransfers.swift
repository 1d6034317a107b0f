// Bulk transfers as a load: on each endpoint many in flight, and all endpoints at the same time. Reads go to a sink
// or nowhere; writes come from a source, or are a counter.

final class BulkTransfers: ProbeActivity {
  private let context: ProbeContext
  private var pumps: [BulkPump] = []
  private var isOver = false

  init(_ jobs: [BulkJob], _ context: ProbeContext) {
    self.context = context
    for job in jobs {
      pumps.append(BulkPump(job, context) { [transfers = Unowned(self)] in transfers.value.pumpEnded() })
    }
  }

  func start() {
    for pump in pumps { pump.start() }
  }

  func stop(_ reason: String) {
    for pump in pumps { pump.stop() }
  }

  func cut(_ reason: String) -> String? {
    isOver = true
    for pump in pumps { pump.tell() }
    return "bulk: " + reason
  }

  func received(_ data: Span<UInt8>, from endpoint: EndpointAddress, _ status: Status, sequence: UInt64) {
    pumps.first { $0.job.endpoint == endpoint }?.received(data, status)
  }

  func changed(_ change: ReceivingChange, on endpoint: EndpointAddress) {
    pumps.first { $0.job.endpoint == endpoint }?.changed(change)
  }

  private func pumpEnded() {
    guard !isOver else { return }
    var failures: String?
    for pump in pumps {
      guard pump.isOver else { return }
      if let failure = pump.failure { failures = failures.map { $0 + "; " + failure } ?? failure }
    }
    isOver = true
    context.ended("done", failures)
  }
}

/// Bytes and transfers over time.
struct Throughput {
  var begin: UInt64 = 0
  var end: UInt64 = 0
  var bytes: UInt64 = 0
  var transfers: UInt64 = 0
  var errors: UInt64 = 0

  mutating func add(_ count: Int, at time: UInt64) {
    bytes += UInt64(count)
    transfers += 1
    end = time
  }

  /// - Parameter unit: the plural of what was counted.
  func add(to result: inout ProbeResult, _ unit: String) {
    let duration = end > begin ? end - begin : 0
    result.add("bytes", bytes)
    result.add("duration", seconds: duration)
    result.add("throughput", .decimal(perSecond(bytes, duration) / 10_000, 2, "MB/s"))
    result.add(unit, transfers)
    result.add("rate", .decimal(perSecond(transfers * 10, duration), 1, "/s"))
    result.add("errors", errors)
  }
}

/// The transfers of one endpoint.
final class BulkPump {
  let job: BulkJob
  private(set) var isOver = false
  private(set) var failure: String?
  private let context: ProbeContext
  private let ended: () -> Void
  private let size: Int
  private var throughput = Throughput()
  /// Bytes that came, went, or are in flight.
  private var claimed: UInt64 = 0
  private var inFlight: [UInt64] = []
  /// Nothing more is asked for; and what is in flight is taken back.
  private var hasEnded = false
  private var isStopping = false
  private var isReceiving = false
  private var hasAskedToStop = false
  /// The next byte of what is written when there is no source.
  private var counter = 0
  /// 0…255 twice: any 256 bytes of it from `counter` on.
  private let numbers = (0..<512).map { UInt8($0 % 256) }

  init(_ job: BulkJob, _ context: ProbeContext, ended: @escaping () -> Void) {
    self.job = job
    self.context = context
    self.ended = ended
    size = min(job.size, context.session.maxBulkLength)
  }

  private var isBuffered: Bool { context.options.isBuffered && job.endpoint.isIn }
  private var label: String { job.endpoint.isIn ? "read" : "write" }

  func start() {
    // Another one may have failed at once.
    guard !isStopping else { return }
    throughput.begin = monotonicNanoseconds()
    do throws(GuestError) {
      if isBuffered {
        // What comes does not say for whom.
        guard !context.session.receiving.isOn(job.endpoint) else {
          return fail("buffered receiving goes on there already")
        }
        try context.session.startBulkReceiving(
          job.endpoint, bytesPerTransfer: size, transfers: min(16, job.depth))
        isReceiving = true
      } else {
        try context.session.checkEndpoint(job.endpoint, .bulk, isIn: job.endpoint.isIn)
        if !job.endpoint.isIn { context.source?.tell { [pump = Unowned(self)] in pump.value.fill() } }
        fill()
      }
    } catch {
      fail(error.description)
    }
  }

  /// Ends with what has come; IN transfers that have nothing are cancelled.
  func stop() {
    guard !isStopping else { return }
    isStopping = true
    if isReceiving { stopReceiving() }
    for id in inFlight { context.session.cancel(id) }
    settle()
  }

  func tell() {
    guard !isOver else { return }
    isOver = true
    var result = ProbeResult(label, "endpoint", job.endpoint.description)
    result.add("status", text: failure == nil ? "success" : "failed")
    throughput.add(to: &result, "transfers")
    context.tell(.result(result))
  }

  /// The first failure ends all.
  private func fail(_ reason: String) {
    if failure == nil { failure = label + " " + job.endpoint.description + ": " + reason }
    guard !isStopping else { return }
    // Stops this one as well. Not behind its own stop: that may be the activity's end, and the next one is running.
    context.stop(reason)
    stop()
  }

  private func settle() {
    guard isStopping || hasEnded, inFlight.isEmpty, !isReceiving, !isOver else { return }
    tell()
    ended()
  }

  // MARK: one request after the other

  private func fill() {
    while !isStopping, !hasEnded, inFlight.count < job.depth {
      let length = Int(min(UInt64(size), left))
      guard length > 0 else { break }
      do throws(GuestError) {
        guard try job.endpoint.isIn ? ask(length) : send(length) else { break }
      } catch {
        fail(error.description)
      }
    }
    if left == 0 && inFlight.isEmpty { hasEnded = true }
    settle()
  }

  private var left: UInt64 { job.total.map { $0 - min($0, claimed) } ?? .max }

  private func ask(_ length: Int) throws(GuestError) -> Bool {
    try begun(length, context.session.bulkIn(job.endpoint, length: length, then: completion(length)))
  }

  /// False when there is nothing to send now.
  private func send(_ length: Int) throws(GuestError) -> Bool {
    let buffer = context.session.buffers.take(length)
    if let source = context.source {
      switch source.fill(buffer, length: length) {
      case .bytes: break
      case .later, .end:
        buffer.release()
        if let error = source.failure { fail(error.description) }
        hasEnded = source.hasEnded
        return false
      }
    } else {
      count(into: buffer, length)
    }
    let count = buffer.count
    return try begun(count, context.session.bulkOut(job.endpoint, buffer, then: completion(count)))
  }

  /// Bytes that count on from one transfer to the next, 256 at a time: a load that is made byte by byte would be the
  /// slowest part of it.
  private func count(into buffer: PacketBuffer, _ length: Int) {
    buffer.setPayload(count: length)
    let bytes = numbers
    let span = bytes.span
    var offset = 0
    while offset < length {
      let count = min(256, length - offset)
      buffer.write(span.extracting(counter..<counter + count), at: offset)
      counter = (counter + count) % 256
      offset += count
    }
  }

  private func begun(_ length: Int, _ id: UInt64) -> Bool {
    claimed += UInt64(length)
    inFlight.append(id)
    return true
  }

  /// Answers come in the order of the requests, all but cancelled ones (B5.1): the oldest that is in flight is
  /// the one, and a cancelled one is any.
  private func completion(_ length: Int) -> GuestCompletion {
    { status, count, data in
      self.inFlight.removeFirst()
      // What did not come is asked for again.
      self.claimed -= UInt64(length - count)
      self.arrived(status, count, data)
      self.fill()
    }
  }

  private func arrived(_ status: Status, _ count: Int, _ data: Span<UInt8>) {
    if status == .success || count > 0 {
      throughput.add(count, at: job.endpoint.isIn ? context.session.receivedAt : monotonicNanoseconds())
    }
    if !data.isEmpty { context.sink?.write(data) }
    if let error = context.sink?.failure { fail(error.description) }
    guard status != .success, !(status == .cancelled && isStopping) else { return }
    throughput.errors += 1
    fail(status.description)
  }

  // MARK: buffered bulk receiving

  func received(_ data: Span<UInt8>, _ status: Status) {
    guard failure == nil, left > 0 else { return }
    guard status == .success else {
      throughput.errors += 1
      return fail(status.description)
    }
    let count = Int(min(UInt64(data.count), left))
    claimed += UInt64(count)
    throughput.add(count, at: context.session.receivedAt)
    context.sink?.write(data.extracting(0..<count))
    if let error = context.sink?.failure { fail(error.description) }
    if left == 0 { stopReceiving() }
  }

  private func stopReceiving() {
    hasEnded = true
    guard isReceiving, !hasAskedToStop else { return }
    hasAskedToStop = true
    do throws(GuestError) {
      try context.session.stopBulkReceiving(job.endpoint)
    } catch {
      // Device or endpoint are gone, and the stream with them.
      isReceiving = false
      settle()
    }
  }

  func changed(_ change: ReceivingChange) {
    guard change != .started else { return }
    isReceiving = false
    hasEnded = true
    if case .ended(let status) = change { fail("receiving ended: " + status.description) }
    settle()
  }
}
