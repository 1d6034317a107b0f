// The process: the loop, the USB system, the exports and the signals. `Server.run` is the whole life of a serving
// command; the turn loop itself is `EventLoop.run`.
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
    case .noDevice(let reason): reason.description
    }
  }
}

/// Loop thread only.
final class Server: ExportOwner {
  /// Seconds that devices have to be given back in after a signal.
  private static let shutdownSeconds: UInt32 = 10

  private let options: ServerOptions
  private let log: Log
  private let loop: EventLoop
  private let calls: BlockingCalls
  private var usb: USBDevices?
  private var exports: [Export] = []
  private var signals: [SignalEvent] = []
  private var shutdown: Timer?
  private var isStopping = false
  /// Exports that go on for ever, or have not ended yet.
  private var running = 0
  private var status: Int32 = 0

  /// Serves until a signal, or until the mode's end; returns the exit status.
  static func run(_ options: ServerOptions) -> Int32 {
    let log = Log(level: options.logLevel)
    do throws(ServerError) {
      let server = try Server(options, log)
      return try server.serve()
    } catch {
      log.error(error.description)
      return 1
    }
  }

  private init(_ options: ServerOptions, _ log: Log) throws(ServerError) {
    self.options = options
    self.log = log
    do throws(SystemError) {
      loop = try EventLoop()
      calls = try BlockingCalls(loop)
    } catch {
      throw .system(error)
    }
  }

  private func serve() throws(ServerError) -> Int32 {
    for export in options.exports {
      let source = try source(export)
      // usbredirect ends at once when its device is not there.
      if options.mode == .redirectOnce, let absence = source.absence { throw .noDevice(absence) }
      exports.append(
        Export(
          export, source: source, waitsForDevice: options.mode == .serve, loop: loop, calls: calls,
          log: log, owner: self))
    }
    running = exports.count
    do throws(SystemError) {
      try watchSignals()
      for export in exports { try export.start() }
    } catch {
      throw .system(error)
    }
    sayReady()
    loop.run()
    // After a hurried end a call may still sleep in the kernel, perhaps for ever: the process ends without it.
    if status == 0 { calls.drain() }
    return status
  }

  private func source(_ export: ExportOptions) throws(ServerError) -> any DeviceSource {
    if case .virtual(let virtual) = export.device {
      do throws(VirtualDeviceError) {
        return VirtualDeviceSource(try virtual.make(loop: loop, log: log))
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
      log.warning("cannot write to --ready-fd \(descriptor): \(unsafe String(cString: posixErrorText(posixErrno())))")
    }
    close(descriptor)
  }

  // MARK: the end

  private func watchSignals() throws(SystemError) {
    posixIgnoreBrokenPipes()
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signals.append(try SignalEvent(loop, signal: number) { [server = Unowned(self)] in server.value.signalled() })
    }
  }

  /// The first signal gives every device back; a second one does not wait for that.
  private func signalled() {
    guard !isStopping else {
      status = 1
      return loop.stop()
    }
    log.info("stopping")
    stop("the server stops")
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
    status = 1
    loop.stop()
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
