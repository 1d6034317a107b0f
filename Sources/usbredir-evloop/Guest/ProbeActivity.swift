// What a probe does with a device once it is described: one activity after the other, each of a type of its own.

/// One activity. Lives until the probe is over. Loop thread only.
protocol ProbeActivity: AnyObject {
  /// Begins; `context.ended` is called once it is over, perhaps from within.
  func start()
  /// The time is over or a signal came: what was begun is finished, then `context.ended` is called, perhaps from within.
  func stop(_ reason: String)
  /// Cut short: the device or the connection is gone, or the usb-host does not answer. Nothing can be sent any
  /// more. Returns what failed by that, nil when nothing did.
  func cut(_ reason: String) -> String?
  /// A packet of a stream; see `GuestSessionOwner`.
  func received(_ data: Span<UInt8>, from endpoint: EndpointAddress, _ status: Status, sequence: UInt64)
  func changed(_ change: ReceivingChange, on endpoint: EndpointAddress)
  /// Reports so far, for the summary.
  var tallies: [ProbeSummary.Tally] { get }
}

extension ProbeActivity {
  func cut(_ reason: String) -> String? { reason }
  func received(_ data: Span<UInt8>, from endpoint: EndpointAddress, _ status: Status, sequence: UInt64) {}
  func changed(_ change: ReceivingChange, on endpoint: EndpointAddress) {}
  var tallies: [ProbeSummary.Tally] { [] }
}

/// What activities work with. The session lives as long as the probe.
final class ProbeContext {
  let loop: EventLoop
  let options: ProbeOptions
  let log: Log
  private let guest: Unowned<GuestSession>
  /// Where IN data goes, and OUT data comes from.
  let sink: DataSink?
  let source: DataSource?
  let tell: (ProbeEvent) -> Void
  /// Stops the activity as the end of its time would: `stop` is called, and what is not answered then is cut.
  let stop: (_ reason: String) -> Void
  /// The activity is over: why, and what failed if something did.
  let ended: (_ reason: String, _ failure: String?) -> Void

  init(
    _ loop: EventLoop, _ options: ProbeOptions, _ session: GuestSession, log: Log, sink: DataSink?,
    source: DataSource?, tell: @escaping (ProbeEvent) -> Void, stop: @escaping (String) -> Void,
    ended: @escaping (String, String?) -> Void
  ) {
    self.loop = loop
    self.options = options
    self.log = log
    guest = Unowned(session)
    self.sink = sink
    self.source = source
    self.tell = tell
    self.stop = stop
    self.ended = ended
  }

  var session: GuestSession { guest.value }

  /// From `time` to the arrival of the packet at hand; 0 when that is older.
  func elapsed(since time: UInt64) -> UInt64 {
    let received = session.receivedAt
    return received > time ? received - time : 0
  }
}

extension ProbeTask {
  /// The activity that does it.
  func activity(_ context: ProbeContext) -> any ProbeActivity {
    switch self {
    case .control, .configuration, .alternateSetting, .reset: DeviceRequest(self, context)
    case .bulk(let jobs): BulkTransfers(jobs, context)
    case .exchange(let report, let isPadded): Exchange(report, isPadded: isPadded, context)
    case .descriptors: DescriptorTree(context)
    case .disk: DiskReading(context)
    case .iso(let endpoint, let seconds): IsoStream(endpoint, seconds: seconds, context)
    case .latency: LatencyMeasuring(context)
    }
  }
}
