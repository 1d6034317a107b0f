// The activity of a probe that was asked for nothing else: receives on every interrupt IN endpoint and tells
// each report.

final class ReportWatching: ProbeActivity {
  private let context: ProbeContext
  private(set) var tallies: [ProbeSummary.Tally] = []
  private var keyboards = [BootKeyboard?](repeating: nil, count: EndpointTable.count)
  private var reports = 0
  private var begin: UInt64 = 0
  /// Why it is being stopped.
  private var stopReason: String?

  init(_ context: ProbeContext) {
    self.context = context
  }

  func start() {
    begin = monotonicNanoseconds()
    if context.options.duration == 0 { return end("only the description was asked for") }
    guard let device = context.session.device else { return }
    for endpoint in device.endpoints where endpoint.isInterruptIn { receive(from: endpoint, of: device) }
    if tallies.isEmpty { end("the device has no interrupt IN endpoint") }
  }

  private func receive(from endpoint: GuestEndpoint, of device: GuestDevice) {
    // It was announced, so it can be asked for.
    guard (try? context.session.startInterruptReceiving(endpoint.address)) != nil else { return }
    tallies.append(ProbeSummary.Tally(endpoint: endpoint.address))
    if device.interface(of: endpoint)?.isBootKeyboard == true {
      keyboards[endpoint.address.slot] = BootKeyboard()
    }
  }

  func received(_ data: Span<UInt8>, from endpoint: EndpointAddress, _ status: Status, sequence: UInt64) {
    guard !hasCount else { return }
    guard status == .success else { return context.tell(.status(time: time, endpoint, .failed(status))) }
    let keys = keyboards[endpoint.slot]?.changes(data)
    let bytes = data.indices.map { data[$0] }
    context.tell(
      .report(ProbeReport(time: time, endpoint: endpoint, sequence: sequence, data: bytes, keys: keys)))
    reports += 1
    if let index = tallies.firstIndex(where: { $0.endpoint == endpoint }) { tallies[index].reports += 1 }
    if hasCount { context.stop("all reports came") }
  }

  func changed(_ change: ReceivingChange, on endpoint: EndpointAddress) {
    context.tell(.status(time: time, endpoint, .receiving(change)))
    if let stopReason {
      if !context.session.receiving.awaitsAnswers { end(stopReason) }
    } else if context.session.receiving.slots == 0 {
      end("no endpoint receives any more")
    }
  }

  func stop(_ reason: String) {
    guard stopReason == nil else { return }
    stopReason = reason
    for tally in tallies where context.session.receiving.isOn(tally.endpoint) {
      // An endpoint that went with its setting needs no stop.
      try? context.session.stopInterruptReceiving(tally.endpoint)
    }
    if !context.session.receiving.awaitsAnswers { end(reason) }
  }

  func cut(_ reason: String) -> String? {
    guard let count = context.options.count, reports < count else { return nil }
    return "\(reports) of \(count) reports came: " + reason
  }

  private func end(_ reason: String) {
    context.ended(reason, cut(reason))
  }

  /// Since receiving was asked for; what a peer sent before that counts from then.
  private var time: UInt64 { context.elapsed(since: begin) }

  /// True when as many reports have come as were asked for.
  private var hasCount: Bool { context.options.count.map { reports >= $0 } ?? false }
}
