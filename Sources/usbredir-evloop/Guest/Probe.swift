// `probe`: connects as a usb-guest, describes the device, then does what it was asked to, one activity after the
// other, each stopped in order.
//
//     connecting ▶ greeting ─hello▶ waiting ─device_connect▶ describing ─details▶ active ⇄ stopping ▶ over
//         └───────────┴────────────────┴──── failure, time, signal ──┴──────────────┴───────────────────▲
import CPosix

/// Where a probe's lines go.
struct ProbeOutput {
  /// Takes lines for standard output; false when nobody reads them.
  let print: (String) -> Bool
  /// Takes one line for standard error, the reason of a failure.
  let complain: (String) -> Void
}

/// One look at a usb-host. Loop thread only.
final class Probe: ConnectorOwner, GuestSessionOwner {
  private enum Stage {
    case connecting, greeting, waiting, describing, active, stopping, over
  }

  /// Milliseconds that a usb-host gets to answer what stops an activity.
  private static let stopTimeout: UInt32 = 1000
  private static let interrupted = "interrupted"

  /// 0, or 1 when something failed. Valid when the loop was stopped.
  private(set) var exitStatus: Int32 = 1
  private let loop: EventLoop
  private let options: ProbeOptions
  private let output: ProbeOutput
  private let log: Log
  private var stage = Stage.connecting
  private var server: String
  private var session: GuestSession?
  private var details: DeviceDetailsReader?
  private var context: ProbeContext?
  private var sink: DataSink?
  private var source: DataSource?
  /// What was begun, the last one running; kept because answers may still come.
  private var activities: [any ProbeActivity] = []
  private var isInterrupted = false
  private var hasFailed = false
  /// When the first activity began.
  private var start: UInt64 = 0
  /// Why the activity is being stopped.
  private var reason = ""
  private var timer: Timer?
  private var finish: Work?

  /// - Parameters:
  ///   - loop: stopped when the probe is over.
  ///   - log: gets the warnings about the peer's packets.
  init(_ loop: EventLoop, _ options: ProbeOptions, output: ProbeOutput, log: Log) {
    self.loop = loop
    self.options = options
    self.output = output
    self.log = log
    server = options.address.description
    timer = Timer(loop) { [probe = Unowned(self)] in probe.value.timePassed() }
    // At the end of a turn, behind the connection's own flush: the last packets are with the kernel.
    finish = Work(on: loop.flushes) { [probe = Unowned(self)] in probe.value.close() }
  }

  /// Runs a probe to its end; the exit status.
  static func run(_ options: ProbeOptions, output: ProbeOutput) -> Int32 {
    do throws(SystemError) {
      let loop = try EventLoop()
      let calls = try BlockingCalls(loop)
      let probe = Probe(loop, options, output: output, log: Log(level: .warning))
      let connector = Connector(loop, to: options.address, calls: calls, owner: probe)
      try probe.openFiles()
      let stop = { [probe = Unowned(probe)] in probe.value.interrupt() }
      let signals = [
        try SignalEvent(loop, signal: SIGINT, stop), try SignalEvent(loop, signal: SIGTERM, stop),
      ]
      probe.startClock()
      connector.start()
      loop.run()
      connector.cancel()
      return withExtendedLifetime(signals) { probe.exitStatus }
    } catch {
      output.complain(error.description)
      return 1
    }
  }

  /// The time for everything up to the device's announcement begins.
  func startClock() {
    timer?.start(milliseconds: options.timeout * 1000)
  }

  /// Opens what bulk and isochronous data goes to and comes from.
  func openFiles() throws(SystemError) {
    if let path = options.output { sink = try DataSink(path) }
    if let path = options.input { source = try DataSource(path, loop) }
  }

  /// Goes on with a connected socket, which is the probe's from here on.
  func adopt(_ descriptor: Int32, to peer: String) {
    guard stage == .connecting else {
      _ = CPosix.close(descriptor)
      return
    }
    server = peer
    stage = .greeting
    do throws(SystemError) {
      session = try GuestSession(loop, descriptor: descriptor, log: log, owner: self)
    } catch {
      fail(error.description)
    }
  }

  /// A signal: ends the probe in order.
  func interrupt() {
    switch stage {
    case .active:
      isInterrupted = true
      stop(Probe.interrupted)
    case .stopping:
      isInterrupted = true
      cut(reason)
    case .over: break
    case .connecting, .greeting, .waiting, .describing: fail("interrupted before the device was described")
    }
  }

  // MARK: ConnectorOwner

  func connected(_ connector: Connector, _ descriptor: Int32, to peer: String) {
    adopt(descriptor, to: peer)
  }

  func connectFailed(_ connector: Connector, _ error: SystemError) {
    fail(error.description)
  }

  // MARK: GuestSessionOwner

  func guestGreeted(_ session: GuestSession) {
    stage = .waiting
    tell(.hello(server: server, version: session.peerVersion, session.peerCapabilities))
  }

  func guestConnected(_ session: GuestSession) {
    guard stage == .waiting else { return }
    stage = .describing
    // The device is there; what it is asked now may take as long again.
    startClock()
    details = DeviceDetailsReader(session) { [probe = Unowned(self)] in probe.value.described() }
    details?.start()
  }

  func guestInfosChanged(_ session: GuestSession) {}

  func guestDisconnected(_ session: GuestSession) {
    let text = "the device was unplugged"
    switch stage {
    case .describing: fail(text + " before it was described")
    case .active, .stopping: cut(text)
    case .connecting, .greeting, .waiting, .over: break
    }
  }

  func guest(
    _ session: GuestSession, received data: Span<UInt8>, from endpoint: EndpointAddress, _ status: Status,
    sequence: UInt64
  ) {
    guard isActive else { return }
    activities.last?.received(data, from: endpoint, status, sequence: sequence)
  }

  func guest(_ session: GuestSession, _ change: ReceivingChange, on endpoint: EndpointAddress) {
    guard isActive else { return }
    activities.last?.changed(change, on: endpoint)
  }

  func guestEnded(_ session: GuestSession, _ reason: GuestEnd) {
    switch (stage, reason) {
    case (.over, _): break
    case (.stopping, .peerClosed): cut(self.reason)
    case (.active, .peerClosed): cut(reason.description)
    case (.active, _), (.stopping, _): fail(server + ": " + reason.description)
    case (_, .peerClosed):
      fail(server + ": " + reason.description + " before the device was described; another guest may have it")
    case (.greeting, _): fail(server + ": " + reason.description + "; is it a usbredir server?")
    default: fail(server + ": " + reason.description)
    }
  }

  // MARK: describing, and what comes then

  private func described() {
    guard stage == .describing, let session, let device = session.device, let details else { return }
    timer?.stop()
    tell(.device(device, details.details))
    for interface in device.interfaces { tell(.interface(interface)) }
    for endpoint in device.endpoints {
      tell(.endpoint(endpoint, interval: pollInterval(endpoint.type, endpoint.interval, device.speed)))
    }
    guard stage == .describing else { return }
    start = monotonicNanoseconds()
    let context = ProbeContext(
      loop, options, session, log: log, sink: sink, source: source,
      tell: { [probe = Unowned(self)] in probe.value.tell($0) },
      stop: { [probe = Unowned(self)] in probe.value.stop($0) },
      ended: { [probe = Unowned(self)] in probe.value.activityEnded($0, $1) })
    self.context = context
    begin(options.tasks.first?.activity(context) ?? ReportWatching(context))
  }

  private var isActive: Bool { stage == .active || stage == .stopping }

  private func begin(_ activity: any ProbeActivity) {
    stage = .active
    if let duration = options.duration, duration > 0 { timer?.start(milliseconds: duration * 1000) }
    activities.append(activity)
    activity.start()
  }

  private func activityEnded(_ reason: String, _ failure: String?) {
    guard isActive else { return }
    timer?.stop()
    if let failure { complain(failure) }
    guard activities.count < options.tasks.count, let context else { return end(reason) }
    if isInterrupted {
      complain("interrupted before everything was done")
      return end(reason)
    }
    begin(options.tasks[activities.count].activity(context))
  }

  /// A failure that does not end the probe.
  private func complain(_ failure: String) {
    hasFailed = true
    output.complain(failure)
  }

  private func timePassed() {
    let limit = "within " + String(options.timeout) + " s"
    switch stage {
    case .connecting: fail(server + ": no connection " + limit)
    case .greeting:
      fail(
        server + ": no hello " + limit + "; is it a usbredir server, and does another guest have the device?")
    case .waiting:
      fail(server + ": the server has no device: none was announced " + limit + "; is it plugged in?")
    case .describing: described()
    case .active: stop("the time is over")
    case .stopping: cut(reason)
    case .over: break
    }
  }

  // MARK: the end

  /// Lets the activity end in order.
  private func stop(_ reason: String) {
    guard stage == .active else { return }
    stage = .stopping
    self.reason = reason
    timer?.start(milliseconds: Probe.stopTimeout)
    activities.last?.stop(reason)
  }

  /// The activity cannot go on.
  private func cut(_ reason: String) {
    if let failure = activities.last?.cut(reason) {
      complain(failure)
    } else if activities.count < options.tasks.count {
      complain((isInterrupted ? "interrupted" : "over") + " before everything was done")
    }
    end(reason)
  }

  /// The device was described, and what was to be done is done, or will not be.
  private func end(_ reason: String) {
    guard stage != .over else { return }
    stage = .over
    tell(.end(summary(reason)))
    exitStatus = hasFailed ? 1 : 0
    finish?.schedule()
  }

  /// The probe failed.
  private func fail(_ reason: String) {
    guard stage != .over else { return }
    let isDescribed = isActive
    stage = .over
    if isDescribed || options.json { tell(.end(summary(reason))) }
    output.complain(reason)
    finish?.schedule()
  }

  private func summary(_ reason: String) -> ProbeSummary {
    let duration = start == 0 ? 0 : monotonicNanoseconds() - start
    return ProbeSummary(
      reason: reason, duration: duration, tallies: activities.last?.tallies ?? [],
      countsReports: options.tasks.isEmpty)
  }

  private func close() {
    stage = .over
    timer?.stop()
    session?.close()
    loop.stop()
  }

  /// Nobody reads what is told: there is nothing more to do.
  private func tell(_ event: ProbeEvent) {
    let text = options.json ? ProbeJSON.line(event) : ProbeText.lines(event)
    guard !output.print(text), stage != .over else { return }
    stage = .over
    finish?.schedule()
  }
}
