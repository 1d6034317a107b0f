// The process: the loop, the USB system, the exports and the signals. `Server.run` is the whole life of a
// serving command; the turn loop itself is `EventLoop.run`.
import CPosix

/// What keeps a server from starting, or ends it. One line.
enum ServerError: Error, CustomStringConvertible {
  case system(SystemError)
  case usb(USBError)
  case virtual(VirtualDeviceError)
  case noDevice(DeviceUnavailable)

  var description: String {
    switch self {
    case .system(let error): error.description
    case .usb(let error): error.description
    case .virtual(let error): error.description
    case .noDevice(let reason):
      reason.description + "; plug it in or choose another, 'usbredir-evloop list' shows what is there"
    }
  }
}

/// Loop thread only.
final class Server: ExportOwner {
  /// Seconds that devices have to be given back in after a signal.
  private static let shutdownSeconds: UInt32 = 10

  let loop: EventLoop
  private let options: ServerOptions
  private let log: Log
  private let calls: BlockingCalls
  /// For names, which may take long to resolve: the end of the process does not wait for these.
  private let resolving: BlockingCalls
  private var usb: USBDevices?
  private(set) var exports: [Export] = []
  private var signals: [SignalEvent] = []
  private var shutdown: Timer?
  private var isSignalled = false
  private var isStopping = false
  /// The loop ended while something was still going on.
  private var isHurried = false
  /// Exports that go on for ever, or have not ended yet.
  private var running = 0
  private var status: Int32 = 0

  /// Serves until a signal, or until the mode's end; returns the exit status. For the end of the process: of
  /// a hurried end some things are left behind.
  static func run(_ options: ServerOptions) -> Int32 {
    let log = Log(level: options.logLevel)
    // Before libusb and the first worker start their threads.
    Privileges.forbidNew()
    do throws(ServerError) {
      let server = try Server(options, log: log)
      try server.watchSignals()
      try server.start()
      return server.serve()
    } catch {
      log.error(error.description)
      return 1
    }
  }

  init(_ options: ServerOptions, log: Log) throws(ServerError) {
    self.options = options
    self.log = log
    do throws(SystemError) {
      loop = try EventLoop()
      calls = try BlockingCalls(loop, log: log)
      resolving = try BlockingCalls(loop, log: log)
    } catch {
      throw .system(error)
    }
  }

  /// Begins to listen and to connect, and becomes the user that the options name.
  func start() throws(ServerError) {
    for export in options.exports {
      let source = try source(export)
      // usbredirect ends at once when its device is not there.
      if options.mode == .redirectOnce, let absence = source.absence { throw .noDevice(absence) }
      exports.append(
        Export(
          export, source: source, waitsForDevice: options.mode == .serve, loop: loop, calls: resolving,
          log: log, owner: self))
    }
    running = exports.count
    do throws(SystemError) {
      for export in exports where export.listens { try export.start() }
      if let user = options.user { try Privileges.become(user) }
      // Connecting is done as that user: a unix socket's mode may keep it out.
      for export in exports where !export.listens { try export.start() }
    } catch {
      throw .system(error)
    }
  }

  /// Says that it is ready and serves; returns the exit status.
  func serve() -> Int32 {
    sayReady()
    loop.run()
    guard isHurried else {
      calls.drain()
      return status
    }
    // A call may still sleep in the kernel, perhaps for ever: the process ends without it, and nothing that
    // it uses is freed under it.
    unsafe _ = Unmanaged.passRetained(self)
    return 1
  }

  private func source(_ export: ExportOptions) throws(ServerError) -> any DeviceSource {
    if case .virtual(let virtual) = export.device {
      do throws(VirtualDeviceError) {
        return try virtual.source(loop: loop, log: log)
      } catch {
        throw .virtual(error)
      }
    }
    return try usbDevices().source(export.device)
  }

  /// The USB system is started by the first export that needs it.
  private func usbDevices() throws(ServerError) -> USBDevices {
    if let usb { return usb }
    do throws(USBError) {
      let devices = try USBDevices(loop, calls: calls, log: log)
      usb = devices
      return devices
    } catch {
      throw .usb(error)
    }
  }

  private func sayReady() {
    guard let descriptor = options.readyDescriptor else { return }
    var newline = UInt8(ascii: "\n")
    if unsafe write(descriptor, &newline, 1) < 0 {
      log.warning(
        "cannot write to --ready-fd \(descriptor): \(unsafe String(cString: posixErrorText(posixErrno())))")
    }
    close(descriptor)
  }

  // MARK: the end

  private func watchSignals() throws(ServerError) {
    posixIgnoreBrokenPipes()
    do throws(SystemError) {
      for number in [SIGINT, SIGTERM, SIGHUP] where number != SIGHUP || posixIsIgnored(number) == 0 {
        signals.append(
          try SignalEvent(loop, signal: number) { [server = Unowned(self)] in server.value.signalled() })
        posixUnblock(number)
      }
    } catch {
      throw .system(error)
    }
  }

  /// The first signal gives every device back; a second one does not wait for that.
  private func signalled() {
    guard !isSignalled else { return hurry() }
    isSignalled = true
    log.info("stopping")
    if !isStopping { stop("the server stops") }
  }

  private func hurry() {
    isHurried = true
    loop.stop()
  }

  private func stop(_ reason: String) {
    isStopping = true
    for export in exports { export.stop(reason) }
    let timer = Timer(loop) { [server = Unowned(self)] in server.value.gaveUp() }
    timer.start(milliseconds: Server.shutdownSeconds * 1000)
    shutdown = timer
    stopWhenIdle()
  }

  private func gaveUp() {
    log.error("a device was not given back within \(Server.shutdownSeconds) s; leaving it")
    hurry()
  }

  private func stopWhenIdle() {
    guard isStopping, exports.allSatisfy({ $0.isIdle }) else { return }
    loop.stop()
  }

  func export(_ export: Export, ended reason: SessionEnd) {
    if isStopping { return stopWhenIdle() }
    guard endsWithSession(export) else { return }
    exportIsOver(failed: reason.isFailure)
  }

  func export(_ export: Export, failed reason: String) {
    log.error("\(export.options.name): \(reason)")
    exportIsOver(failed: true)
  }

  private func endsWithSession(_ export: Export) -> Bool {
    if options.mode == .redirectOnce { return true }
    if case .connect = export.options.transport { return export.options.reconnect == nil }
    return false
  }

  private func exportIsOver(failed: Bool) {
    if failed { status = 1 }
    running -= 1
    if running == 0 { stop("no export is left") }
  }
}
