// An export: one device, the way guests reach it, and the one session that has it. Guests come and go, the
// device comes and goes, and the export brings them together (B2).
//
//     guest connects ──▶ Session ──hello──▶ wants a device ──▶ opener ──▶ announced
//                            ▲                    ▲               │ not there
//                            │                    └── changed ◀───┘
//                            └── guest or device gone: the other one waits
import CPosix

/// Told how exports fare. Loop thread only.
protocol ExportOwner: AnyObject {
  /// A session of the export ended and nothing of it is left; or the export was stopped and is idle now.
  func export(_ export: Export, ended reason: SessionEnd)
  /// The export cannot go on: nothing more will come of it. The text says what failed.
  func export(_ export: Export, failed reason: String)
}

/// Loop thread only.
final class Export: ListenerOwner, ConnectorOwner, SessionOwner, DeviceOpenerOwner {
  /// A connection that takes the place of the session as soon as that is gone.
  private struct Successor {
    let descriptor: Int32
    let peer: String
    /// The loop's time when it came.
    let since: UInt64
  }

  let options: ExportOptions
  private let loop: EventLoop
  private let calls: BlockingCalls
  private let log: Log
  /// False for drop-in command lines, where a guest that finds no device is sent away.
  private let waitsForDevice: Bool
  unowned(unsafe) private let owner: any ExportOwner
  private var opener: DeviceOpener?
  private(set) var listener: Listener?
  private var connector: Connector?
  private var reconnect: Timer?
  /// Why connecting failed the last time: told once while it stays the same.
  private var connectFailure: String?
  private var session: Session?
  private var sessionSince: UInt64 = 0
  private var successor: Successor?
  private var isStopping = false

  init(
    _ options: ExportOptions, source: any DeviceSource, waitsForDevice: Bool,
    pace: DeviceOpener.Pace = .init(),
    loop: EventLoop, calls: BlockingCalls, log: Log, owner: any ExportOwner
  ) {
    self.options = options
    self.waitsForDevice = waitsForDevice
    self.loop = loop
    self.calls = calls
    self.log = log
    unsafe self.owner = owner
    opener = DeviceOpener(
      source, name: options.name, waits: waitsForDevice, pace: pace, loop: loop, log: log, owner: self)
    reconnect = Timer(loop) { [export = Unowned(self)] in export.value.connector?.start() }
  }

  deinit {
    dropSuccessor()
  }

  /// True when guests come to it.
  var listens: Bool {
    if case .listen = options.transport { return true }
    return false
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
    opener?.begin()
  }

  /// Ends everything; `isIdle` is true when the last session is gone.
  func stop(_ reason: String) {
    isStopping = true
    listener?.close()
    listener = nil
    connector?.cancel()
    reconnect?.stop()
    opener?.stop()
    dropSuccessor()
    session?.close(.closedByServer(reason))
  }

  /// True when nothing of any session is left, and no device is being opened.
  var isIdle: Bool { session == nil && opener?.isOpening != true }

  // MARK: guests

  func accepted(_ listener: Listener, _ descriptor: Int32, from peer: String) {
    guard let session else { return begin(descriptor, peer) }
    if session.state == .closing { return wait(successor(descriptor, peer)) }
    // One that leaves and comes back at once may be accepted before its first connection was read to its end.
    let hasLeft = session.guestHasLeft
    guard hasLeft || mayReplace(since: sessionSince, isGreeted: session.isGreeted) else {
      return refuse(descriptor, peer, "\(session.name) has the device")
    }
    successor = successor(descriptor, peer)
    session.close(hasLeft ? .guestLeft : .closedByServer("a newer guest takes its place"))
  }

  private func successor(_ descriptor: Int32, _ peer: String) -> Successor {
    Successor(descriptor: descriptor, peer: peer, since: loop.clock.now)
  }

  /// Behind a session that is closing. The one that waits already is a silent connection as well.
  private func wait(_ next: Successor) {
    if let waiting = successor, posixPeerHasLeft(waiting.descriptor) != 0 {
      dropSuccessor()
    } else if let waiting = successor {
      guard mayReplace(since: waiting.since, isGreeted: false) else {
        return refuse(next.descriptor, next.peer, "guest \(waiting.peer) waits for the device")
      }
      refuse(waiting.descriptor, waiting.peer, "a newer guest takes its place")
    }
    successor = next
  }

  /// B1.5, B2.9: a guest that said hello keeps the device, a silent one for a while.
  private func mayReplace(since: UInt64, isGreeted: Bool) -> Bool {
    if options.takeover { return true }
    return !isGreeted && loop.clock.now - since >= UInt64(options.helloTimeout) * 1_000_000_000
  }

  private func refuse(_ descriptor: Int32, _ peer: String, _ reason: String) {
    log.warning("\(options.name): refused \(peer): \(reason)")
    _ = CPosix.close(descriptor)
  }

  func acceptFailed(_ listener: Listener, _ error: SystemError) {
    log.warning("\(options.name): \(error.description)")
  }

  func connected(_ connector: Connector, _ descriptor: Int32, to peer: String) {
    connectFailure = nil
    begin(descriptor, peer)
  }

  func connectFailed(_ connector: Connector, _ error: SystemError) {
    guard let seconds = options.reconnect else {
      unsafe owner.export(self, failed: error.description)
      return
    }
    if error.description != connectFailure {
      log.warning("\(options.name): \(error.description); trying again every \(seconds) s")
    }
    connectFailure = error.description
    reconnect?.start(milliseconds: seconds * 1000)
  }

  private func begin(_ descriptor: Int32, _ peer: String) {
    do throws(SystemError) {
      sessionSince = loop.clock.now
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

  // MARK: the session and the device

  func sessionWantsDevice(_ session: Session) {
    opener?.open()
  }

  func sessionRejectedDevice(_ session: Session) {
    if !waitsForDevice { session.close(.noDevice("the guest rejected the device")) }
  }

  var sessionTakingDevice: Session? {
    guard let session, session.takesDevice else { return nil }
    return session
  }

  func deviceUnavailable(_ reason: String) {
    session?.close(.noDevice(reason))
  }

  func openerIsIdle() {
    if isStopping && isIdle { unsafe owner.export(self, ended: .closedByServer("stopped")) }
  }

  func sessionEnded(_ session: Session, _ reason: SessionEnd) {
    let counters = session.counters
    let text =
      "\(session.name): ended: \(reason.description) (\(counters.reports) reports, "
      + "\(counters.requests) requests, \(counters.badPackets) bad, \(counters.latePackets) late, "
      + "\(counters.pauses) pauses, \(counters.droppedIsoPackets) iso packets dropped, "
      + "\(counters.underruns) underruns)"
    switch reason {
    case .protocolError, .tooManyBadPackets: log.error(text)
    case _ where reason.isFailure: log.warning(text)
    default: log.info(text)
    }
    sessionIsOver(reason)
  }

  private func sessionIsOver(_ reason: SessionEnd) {
    session = nil
    opener?.stop()
    if let next = successor {
      successor = nil
      begin(next.descriptor, next.peer)
    } else if connector != nil, let seconds = options.reconnect, !isStopping {
      reconnect?.start(milliseconds: seconds * 1000)
    }
    unsafe owner.export(self, ended: reason)
  }
}

extension SessionLimits {
  init(_ options: ExportOptions) {
    self.init(
      interruptDepth: options.interruptDepth, maxTransfer: options.maxTransfer,
      maxRequests: options.maxRequests,
      maxRequestBytes: options.maxRequestBytes)
  }
}
