// An export: one device, the way guests reach it, and the one session that has it. Guests come and go, the device
// comes and goes, and the export brings them together (B2).
//
//     guest connects ──▶ Session ──hello──▶ wants a device ──▶ source opens it ──▶ announced
//                            ▲                    ▲                  │ not there
//                            │                    └── changed ◀──────┘
//                            └── guest or device gone: the other one waits
import CPosix

/// Told how exports fare. Loop thread only.
protocol ExportOwner: AnyObject {
  /// A session of the export ended and nothing of it is left.
  func export(_ export: Export, ended reason: SessionEnd)
  /// The export cannot go on: nothing more will come of it. The text says what failed.
  func export(_ export: Export, failed reason: String)
}

/// Loop thread only.
final class Export: ListenerOwner, ConnectorOwner, SessionOwner {
  /// Attempts to open a device that udev may not have prepared yet, and the milliseconds between them.
  private static let openAttempts = 10
  private static let openDelay: UInt32 = 100

  let options: ExportOptions
  /// False for drop-in command lines, where a guest that finds no device is sent away.
  let waitsForDevice: Bool
  private let loop: EventLoop
  private let calls: BlockingCalls
  private let log: Log
  private let source: any DeviceSource
  unowned(unsafe) private let owner: any ExportOwner
  private var listener: Listener?
  private var connector: Connector?
  private var session: Session?
  private var sessionSince: UInt64 = 0
  /// A connection that takes the place of the session as soon as that is gone.
  private var successor: (descriptor: Int32, peer: String)?
  private var retry: Timer?
  private var attempts = 0
  private var isOpening = false
  /// What is plugged in changed while the source was opening: its answer may be out of date.
  private var changedMeanwhile = false
  private var isStopping = false
  private var saidMissing = false

  init(
    _ options: ExportOptions, source: any DeviceSource, waitsForDevice: Bool, loop: EventLoop, calls: BlockingCalls,
    log: Log, owner: any ExportOwner
  ) {
    self.options = options
    self.source = source
    self.waitsForDevice = waitsForDevice
    self.loop = loop
    self.calls = calls
    self.log = log
    unsafe self.owner = owner
    source.changed = { [export = Unowned(self)] in export.value.deviceChanged() }
    retry = Timer(loop) { [export = Unowned(self)] in export.value.retryNow() }
  }

  /// Starts to listen or to connect.
  func start() throws(SystemError) {
    switch options.transport {
    case .listen(let address):
      listener = try Listener(loop, address, owner: self)
      log.info("\(options.name): listening on \(listener?.boundAddress.description ?? address.description)")
    case .connect(let address):
      connector = Connector(loop, to: address, calls: calls, owner: self)
      connector?.start()
    }
  }

  /// Ends everything; `isIdle` is true when the last session is gone.
  func stop(_ reason: String) {
    isStopping = true
    listener?.close()
    listener = nil
    connector?.cancel()
    retry?.stop()
    dropSuccessor()
    session?.close(.closedByServer(reason))
  }

  /// True when nothing of any session is left, and no device is being opened.
  var isIdle: Bool { session == nil && !isOpening }

  // MARK: guests

  func accepted(_ listener: Listener, _ descriptor: Int32, from peer: String) {
    guard let session else { return begin(descriptor, peer) }
    guard mayReplace(session) else {
      log.warning("\(options.name): refused \(peer): \(session.name) has the device")
      _ = CPosix.close(descriptor)
      return
    }
    dropSuccessor()
    successor = (descriptor, peer)
    session.close(.closedByServer("a newer guest takes its place"))
  }

  /// B1.5, B2.9: a guest that said hello keeps the device, a silent one for a while.
  private func mayReplace(_ session: Session) -> Bool {
    if session.state == .closing || options.takeover { return true }
    let age = monotonicNanoseconds() - sessionSince
    return !session.isGreeted && age >= UInt64(options.helloTimeout) * 1_000_000_000
  }

  func acceptFailed(_ listener: Listener, _ error: SystemError) {
    log.warning("\(options.name): \(error.description)")
  }

  func connected(_ connector: Connector, _ descriptor: Int32, to peer: String) {
    begin(descriptor, peer)
  }

  func connectFailed(_ connector: Connector, _ error: SystemError) {
    guard let seconds = options.reconnect else {
      unsafe owner.export(self, failed: error.description)
      return
    }
    log.warning("\(options.name): \(error.description); trying again in \(seconds) s")
    retry?.start(milliseconds: seconds * 1000)
  }

  private func begin(_ descriptor: Int32, _ peer: String) {
    do throws(SystemError) {
      sessionSince = monotonicNanoseconds()
      session = try Session(
        loop, descriptor: descriptor, name: "\(options.name): guest \(peer)", limits: SessionLimits(options),
        transport: options.transportOptions, log: log, owner: self)
      log.info("\(options.name): guest \(peer) connected")
    } catch {
      log.warning("\(options.name): guest \(peer): \(error.description)")
      sessionIsOver(.failed(error))
    }
  }

  private func dropSuccessor() {
    if let successor { _ = CPosix.close(successor.descriptor) }
    successor = nil
  }

  // MARK: the session

  func sessionWantsDevice(_ session: Session) {
    guard session === self.session, !isOpening else { return }
    isOpening = true
    changedMeanwhile = false
    source.open { [self] result in opened(result) }
  }

  private func opened(_ result: Result<OpenDevice, DeviceUnavailable>) {
    isOpening = false
    switch result {
    case .success(let opened): hand(opened.device)
    case .failure(let reason): unavailable(reason)
    }
  }

  /// Gives the device to the session, or back to the system if that has changed its mind meanwhile.
  private func hand(_ device: any Device) {
    attempts = 0
    saidMissing = false
    guard let session, session.takesDevice else {
      isOpening = true
      device.close { [self] in
        isOpening = false
        self.session?.wantDevice()
        nothingLeft()
      }
      return
    }
    session.attach(device)
  }

  private func unavailable(_ reason: DeviceUnavailable) {
    guard let session, session.takesDevice else { return nothingLeft() }
    if case .refused(_, mayPass: true) = reason, attempts < Export.openAttempts {
      attempts += 1
      retry?.start(milliseconds: Export.openDelay)
      return
    }
    attempts = 0
    if changedMeanwhile { return session.wantDevice() }
    guard waitsForDevice else {
      return session.close(.noDevice(reason.description))
    }
    if !saidMissing { log.warning("\(options.name): \(reason.description); waiting for it") }
    saidMissing = true
  }

  private func deviceChanged() {
    changedMeanwhile = isOpening
    session?.wantDevice()
  }

  private func retryNow() {
    if let session { session.wantDevice() } else { connector?.start() }
  }

  func sessionEnded(_ session: Session, _ reason: SessionEnd) {
    let counters = session.counters
    log.info(
      "\(session.name): ended: \(reason.description) (\(counters.reports) reports, \(counters.requests) requests, "
        + "\(counters.badPackets) bad, \(counters.latePackets) late, \(counters.pauses) pauses)")
    sessionIsOver(reason)
  }

  private func sessionIsOver(_ reason: SessionEnd) {
    session = nil
    attempts = 0
    saidMissing = false
    if let next = successor, !isStopping {
      successor = nil
      begin(next.descriptor, next.peer)
    } else if case .connect = options.transport, let seconds = options.reconnect, !isStopping {
      retry?.start(milliseconds: seconds * 1000)
    }
    unsafe owner.export(self, ended: reason)
  }

  /// A device that nobody wanted any more is closed: whoever waited for quiet may look again.
  private func nothingLeft() {
    if isStopping && isIdle { unsafe owner.export(self, ended: .closedByServer("stopped")) }
  }
}

extension SessionLimits {
  init(_ options: ExportOptions) {
    self.init(
      interruptDepth: options.interruptDepth, maxTransfer: options.maxTransfer, maxRequests: options.maxRequests,
      maxRequestBytes: options.maxRequestBytes)
  }
}
