// The server's modes: what ends it, and with which status.
import CPosix
import Testing

@testable import usbredir_evloop

/// A server with scripted devices. It has no signals: those are the process's.
private final class ServerRun: LoopUser {
  let loop: EventLoop
  private let server: Server
  private let log = Lines()

  private final class Lines {
    var lines: [String] = []
  }

  /// - Parameter script: path of what the devices do from the guest's first transfer on.
  init(_ mode: ServerOptions.Mode, _ transports: [ExportOptions.Transport], script: String? = nil) throws {
    let device = DeviceSelector.virtual(.scripted(ScriptedOptions(script: script)))
    let exports = transports.map { transport in
      var export = ExportOptions(device: device, transport: transport, name: "e")
      export.reconnect = nil
      return export
    }
    let lines = log
    server = try Server(
      ServerOptions(mode: mode, exports: exports),
      log: Log(level: .info) { lines.lines.append("\($0): \($1)") })
    loop = server.loop
  }

  func start() throws { try server.start() }

  var isOver: Bool { loop.isStopped }

  /// The status it ends with; waits for the end.
  func status() -> Int32 {
    wait(for: "the end") { isOver }
    return isOver ? server.serve() : -1
  }

  func logged(_ text: String) -> Bool { log.lines.contains { $0.contains(text) } }

  func guest(_ path: String) throws -> GuestSocket {
    let guest = try GuestSocket(self, to: .unix(path))
    guest.send(hello(.all))
    return guest
  }
}

/// A script in a file of its own.
private func withScript(_ text: String, _ name: String, _ body: (String) throws -> Void) throws {
  let path = socketPath(name)
  let file = unsafe posixOpen(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
  defer { _ = unsafe unlink(path) }
  let bytes = Array(text.utf8)
  let count = unsafe bytes.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
  close(file)
  #expect(count == bytes.count)
  try body(path)
}

struct ServerTests {
  @Test("usbredirect ends with 0 when its guest leaves, and says so", arguments: [true, false])
  func onceListening(readsAll: Bool) throws {
    let path = socketPath("once-\(readsAll)")
    let run = try ServerRun(.redirectOnce, [.listen(.unix(path))])
    try run.start()
    let guest = try run.guest(path)
    run.settle()
    #expect(!run.isOver)
    if readsAll { #expect(guest.take() == ["hello"] + announcement) }
    guest.leave()
    #expect(run.status() == 0)
    #expect(run.logged(readsAll ? "ended: the guest closed the connection" : "reset by peer"))
    #expect(unsafe access(path, F_OK) != 0)
  }

  @Test("usbredirect ends with 1 when its guest cannot be trusted")
  func onceUntrusted() throws {
    let path = socketPath("untrusted")
    let run = try ServerRun(.redirectOnce, [.listen(.unix(path))])
    try run.start()
    let guest = try GuestSocket(run, to: .unix(path))
    guest.send([UInt8](repeating: 0xff, count: 64))
    #expect(run.status() == 1)
    #expect(run.logged("error: e: guest unix: ended: protocol error"))
  }

  @Test("usbredirect ends with 1 when its device is unplugged or rejected", arguments: [true, false])
  func onceLost(isUnplugged: Bool) throws {
    try withScript("unplug", "lost-script-\(isUnplugged)") { script in
      let path = socketPath("lost-\(isUnplugged)")
      let run = try ServerRun(.redirectOnce, [.listen(.unix(path))], script: script)
      try run.start()
      let guest = try run.guest(path)
      #expect(guest.take() == ["hello"] + announcement)
      if isUnplugged {
        guest.send(StartInterruptReceivingHeader(endpoint: 0x81), id: 1)
        #expect(guest.take().contains("device_disconnect"))
        guest.send(.deviceDisconnectAck)
      } else {
        guest.send(.filterReject)
      }
      #expect(run.status() == 1)
      #expect(run.logged(isUnplugged ? "is unplugged" : "the guest rejected the device"))
    }
  }

  @Test("usbredirect --to ends with 1 when nobody listens there")
  func onceRefused() throws {
    let run = try ServerRun(.redirectOnce, [.connect(.unix(socketPath("void")))])
    try run.start()
    #expect(run.status() == 1)
    #expect(run.logged("error: e: connect unix:"))
  }

  @Test("usbredirserver serves one guest after the other, whatever they do")
  func again() throws {
    let path = socketPath("again")
    let run = try ServerRun(.redirectServer, [.listen(.unix(path))])
    try run.start()
    for round in 0..<4 {
      let guest = try run.guest(path)
      #expect(guest.take() == ["hello"] + announcement)
      switch round {
      case 0: guest.leave()
      case 1: guest.send([UInt8](repeating: 0xff, count: 64))
      default: guest.send(.filterReject)
      }
      run.settle()
    }
    #expect(!run.isOver)
  }

  /// The first export's end was once counted again with each of its attempts.
  @Test("exports that connect once: the server ends with the last of them, 1 if one failed")
  func severalOnce() throws {
    let listeners = [posixStreamSocket(AF_UNIX), posixStreamSocket(AF_UNIX)]
    let paths = [socketPath("several-0"), socketPath("several-1")]
    for (listener, path) in zip(listeners, paths) {
      let address = try ResolvedAddress.resolve(.unix(path)).get()[0]
      #expect(unsafe address.withPointer { unsafe bind(listener, $0, $1) } == 0)
      #expect(listen(listener, 4) == 0)
    }
    defer { for (listener, path) in zip(listeners, paths) { _ = unsafe (close(listener), unlink(path)) } }
    let everyone = (paths + [socketPath("several-void")]).map { ExportOptions.Transport.connect(.unix($0)) }
    for (transports, status) in [(Array(everyone.prefix(2)), 0), (everyone, 1)]
      as [([ExportOptions.Transport], Int32)]
    {
      let run = try ServerRun(.serve, transports)
      try run.start()
      run.settle()
      for listener in listeners {
        #expect(!run.isOver)
        let guest = GuestSocket(run, accepted: posixAccept(listener, nil, nil))
        guest.send(hello(.all))
        #expect(guest.take() == ["hello"] + announcement)
        guest.leave()
        run.settle()
        #expect(posixAccept(listener, nil, nil) < 0, "it does not connect again")
      }
      #expect(run.status() == status)
    }
  }

  @Test("a taken address keeps everything from starting")
  func takenAddress() throws {
    let path = socketPath("taken")
    let first = try ServerRun(.serve, [.listen(.unix(path))])
    try first.start()
    let second = try ServerRun(
      .serve, [.listen(.unix(socketPath("free"))), .listen(.unix(path))])
    let error = #expect(throws: ServerError.self) { try second.start() }
    #expect(
      error?.description == "bind unix:\(path): Address already in use; "
        + "choose another path or stop what listens there")
    // Whether somebody listens there shows when one connects.
    first.settle()
    #expect(try first.guest(path).take() == ["hello"] + announcement)
  }
}
