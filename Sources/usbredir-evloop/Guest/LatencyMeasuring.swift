// Round trips by the thousand: GET_STATUS, and cycles of starting and stopping an interrupt endpoint. What a server
// adds shows best here, since neither waits for the device's own pace.

final class LatencyMeasuring: ProbeActivity {
  static let defaultCount = 1000

  private let context: ProbeContext
  private let count: UInt64
  private var histogram = Histogram()
  private var sentAt: UInt64 = 0
  /// The endpoint that is being started and stopped; nil while control requests are measured.
  private var endpoint: EndpointAddress?
  private var isStopping = false
  private var isOver = false

  init(_ context: ProbeContext) {
    self.context = context
    count = UInt64(context.options.count ?? LatencyMeasuring.defaultCount)
  }

  func start() {
    next()
  }

  func stop(_ reason: String) {
    isStopping = true
  }

  func cut(_ reason: String) -> String? {
    isOver = true
    return "latency: " + reason
  }

  private func next() {
    guard !isOver else { return }
    guard !isStopping, histogram.count < count else { return phaseEnded() }
    sentAt = monotonicNanoseconds()
    do throws(GuestError) {
      if let endpoint { try context.session.startInterruptReceiving(endpoint) } else { try getStatus() }
    } catch {
      finish(error.description)
    }
  }

  private func getStatus() throws(GuestError) {
    let setup = SetupPacket(
      requestType: 0x80, request: StandardRequest.getStatus, value: 0, index: 0, length: 2)
    try context.session.control(setup) { status, _ in
      guard status == .success else { return self.finish("GET_STATUS: " + status.description) }
      self.measured()
    }
  }

  private func measured() {
    histogram.add(context.elapsed(since: sentAt))
    next()
  }

  func changed(_ change: ReceivingChange, on endpoint: EndpointAddress) {
    guard endpoint == self.endpoint else { return }
    switch change {
    case .started:
      do throws(GuestError) {
        try context.session.stopInterruptReceiving(endpoint)
      } catch {
        finish(error.description)
      }
    case .stopped: measured()
    case .ended(let status): finish("receiving on " + endpoint.description + " ended: " + status.description)
    }
  }

  private func phaseEnded() {
    context.tell(.result(histogram.result(of: endpoint == nil ? "control" : "start-stop")))
    histogram = Histogram()
    guard !isStopping, endpoint == nil,
      let interrupt = context.session.device?.endpoints.first(where: { $0.isInterruptIn })
    else { return finish(nil) }
    endpoint = interrupt.address
    next()
  }

  private func finish(_ failure: String?) {
    guard !isOver else { return }
    isOver = true
    context.ended("done", failure.map { "latency: " + $0 })
  }
}

extension Histogram {
  /// How round trips `of` something went.
  func result(of what: String) -> ProbeResult {
    var result = ProbeResult("latency", "of", what)
    result.add("count", count)
    add(to: &result, "")
    return result
  }

  /// Percentiles and the maximum, each key behind `prefix`.
  func add(to result: inout ProbeResult, _ prefix: String) {
    for (name, perMille) in [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999), ("max", 1000)] {
      result.add(prefix + name, microseconds: percentile(perMille: UInt64(perMille)))
    }
  }
}
