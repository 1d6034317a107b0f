// `probe`: connects as a usb-guest, describes the device, receives on every interrupt IN endpoint, and stops
// in order.
//
//     connecting ▶ greeting ─hello▶ waiting ─device_connect▶ describing ─details▶ receiving ▶ stopping ▶ over
//         └───────────┴────────────────┴──── failure, time, signal ──┴───────────────┴───────────────────▲
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
    case connecting, greeting, waiting, describing, receiving, stopping, over
  }

  /// Milliseconds that a usb-host gets to answer what stops receiving.
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
  private var keyboards = [BootKeyboard?](repeating: nil, count: EndpointTable.count)
  private var tallies: [ProbeSummary.Tally] = []
  private var reports = 0
  /// When receiving was asked for.
  private var start: UInt64 = 0
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
    case .receiving: stop(Probe.interrupted)
    case .stopping: end(reason)
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
    case .receiving, .stopping: end(text)
    case .connecting, .greeting, .waiting, .over: break
    }
  }

  func guest(
    _ session: GuestSession, received data: Span<UInt8>, from endpoint: EndpointAddress, _ status: Status,
    sequence: UInt64
  ) {
    guard stage == .receiving || stage == .stopping, !hasCount else { return }
    let time = elapsed(session)
    guard status == .success else { return tell(.status(time: time, endpoint, .failed(status))) }
    let keys = keyboards[endpoint.slot]?.changes(data)
    let bytes = data.indices.map { data[$0] }
    tell(.report(ProbeReport(time: time, endpoint: endpoint, sequence: sequence, data: bytes, keys: keys)))
    reports += 1
    if let index = tallies.firstIndex(where: { $0.endpoint == endpoint }) { tallies[index].reports += 1 }
    if hasCount, options.count != nil { stop("all reports came") }
  }

  func guest(_ session: GuestSession, _ change: ReceivingChange, on endpoint: EndpointAddress) {
    guard stage == .receiving || stage == .stopping else { return }
    tell(.status(time: elapsed(session), endpoint, .receiving(change)))
    if stage == .stopping {
      if !session.receiving.awaitsAnswers { end(reason) }
    } else if session.receiving.slots == 0 {
      end("no endpoint receives any more")
    }
  }

  func guestEnded(_ session: GuestSession, _ reason: GuestEnd) {
    switch (stage, reason) {
    case (.over, _): break
    case (.stopping, .peerClosed): end(self.reason)
    case (.receiving, .peerClosed): end(reason.description)
    case (.receiving, _), (.stopping, _): fail(server + ": " + reason.description)
    case (_, .peerClosed):
      fail(server + ": " + reason.description + " before the device was described; another guest may have it")
    case (.greeting, _): fail(server + ": " + reason.description + "; is it a usbredir server?")
    default: fail(server + ": " + reason.description)
    }
  }

  // MARK: describing and receiving

  private func described() {
    guard stage == .describing, let device = session?.device, let details else { return }
    timer?.stop()
    tell(.device(device, details.details))
    for interface in device.interfaces { tell(.interface(interface)) }
    for endpoint in device.endpoints {
      tell(.endpoint(endpoint, interval: pollInterval(endpoint.type, endpoint.interval, device.speed)))
    }
    receive(from: device)
  }

  private func receive(from device: GuestDevice) {
    guard stage == .describing else { return }
    stage = .receiving
    start = monotonicNanoseconds()
    if options.duration == 0 { return end("only the description was asked for") }
    for endpoint in device.endpoints where endpoint.isInterruptIn { receive(from: endpoint, of: device) }
    guard !tallies.isEmpty else { return end("the device has no interrupt IN endpoint") }
    if let duration = options.duration { timer?.start(milliseconds: duration * 1000) }
  }

  private func receive(from endpoint: GuestEndpoint, of device: GuestDevice) {
    do throws(GuestError) {
      try session?.startInterruptReceiving(endpoint.address)
    } catch {
      return log.warning(error.description)
    }
    tallies.append(ProbeSummary.Tally(endpoint: endpoint.address))
    if device.interface(of: endpoint)?.isBootKeyboard == true {
      keyboards[endpoint.address.slot] = BootKeyboard()
    }
  }

  /// Since receiving was asked for; what a peer sent before that counts from then.
  private func elapsed(_ session: GuestSession) -> UInt64 {
    session.receivedAt > start ? session.receivedAt - start : 0
  }

  /// True when as many reports have come as were asked for.
  private var hasCount: Bool { options.count.map { reports >= $0 } ?? false }

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
    case .receiving: stop("the time is over")
    case .stopping: end(reason)
    case .over: break
    }
  }

  // MARK: the end

  /// Asks the usb-host to stop, and ends when it has.
  private func stop(_ reason: String) {
    stage = .stopping
    self.reason = reason
    timer?.start(milliseconds: Probe.stopTimeout)
    guard let session else { return end(reason) }
    for tally in tallies where session.receiving.isOn(tally.endpoint) {
      do throws(GuestError) {
        try session.stopInterruptReceiving(tally.endpoint)
      } catch {
        log.warning(error.description)
      }
    }
    if !session.receiving.awaitsAnswers { end(reason) }
  }

  /// The device was described, and what was to be received is here, or will not come.
  private func end(_ reason: String) {
    guard stage != .over else { return }
    stage = .over
    tell(.end(summary(reason)))
    if let count = options.count, reports < count {
      output.complain("\(reports) of \(count) reports came: " + reason)
    } else {
      exitStatus = 0
    }
    finish?.schedule()
  }

  /// The probe failed.
  private func fail(_ reason: String) {
    guard stage != .over else { return }
    let isDescribed = stage == .receiving || stage == .stopping
    stage = .over
    if isDescribed || options.json { tell(.end(summary(reason))) }
    output.complain(reason)
    finish?.schedule()
  }

  private func summary(_ reason: String) -> ProbeSummary {
    let duration = start == 0 ? 0 : monotonicNanoseconds() - start
    return ProbeSummary(reason: reason, duration: duration, tallies: tallies)
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
