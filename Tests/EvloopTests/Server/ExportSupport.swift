// What the tests of exports share: a device source that does what the test says, an export with its log and its
// loop, and guests on real sockets.
import CPosix
import Testing

@testable import usbredir_evloop

/// A source whose answers are planned. Its device is scripted.
final class PlannedSource: DeviceSource {
  enum Answer {
    case device
    case unavailable(DeviceUnavailable)
    /// `finish` gives the answer later.
    case held
  }

  var changed: (() -> Void)?
  let device: ScriptedDevice
  /// The next answers; behind them `always`.
  var answers: [Answer] = []
  var always = Answer.device
  private(set) var opens = 0
  private var then: ((Result<OpenDevice, DeviceUnavailable>) -> Void)?

  init(_ loop: EventLoop) {
    device = ScriptedDevice(loop: loop)
    device.onPlug = { [source = Unowned(self)] in source.value.changed?() }
  }

  var absence: DeviceUnavailable? {
    if case .unavailable(let reason) = always { return reason }
    return nil
  }

  var isHeld: Bool { then != nil }

  func open(then: @escaping (Result<OpenDevice, DeviceUnavailable>) -> Void) {
    opens += 1
    switch answers.isEmpty ? always : answers.removeFirst() {
    case .device where device.isPlugged: then(.success(OpenDevice(device: device)))
    case .device: then(.failure(.absent("the device is unplugged")))
    case .unavailable(let reason): then(.failure(reason))
    case .held: self.then = then
    }
  }

  /// Answers what is held.
  func finish(_ result: Result<OpenDevice, DeviceUnavailable>) {
    let then = then
    self.then = nil
    then?(result)
  }

  func finishWithDevice() { finish(.success(OpenDevice(device: device))) }

  /// How often the device was closed.
  var closes: Int { device.record.filter { $0 == "close" }.count }
}

/// A loop in a test, and what is bounded there.
protocol LoopUser: AnyObject {
  var loop: EventLoop { get }
}

extension LoopUser {
  /// Turns without waiting, until nothing is left to do.
  func settle() {
    let tick = Work(on: loop.reaps) {}
    var quiet = 0
    var left = 10_000
    while quiet < 4 && left > 0 {
      quiet = loop.reaps.isEmpty && loop.flushes.isEmpty ? quiet + 1 : 0
      tick.schedule()
      loop.wholeTurn()
      left -= 1
    }
    #expect(left > 0, "the loop does not come to rest")
  }

  /// Turns until `condition` holds.
  func wait(for what: String, _ condition: () -> Bool) {
    let came = loop.turns(until: condition)
    #expect(came, "\(what) did not happen")
  }
}

/// One export, started, and what its owner and its log heard.
final class ExportRun: ExportOwner, LoopUser {
  let loop: EventLoop
  let source: PlannedSource
  private(set) var log: [String] = []
  private(set) var ends: [String] = []
  private(set) var failures: [String] = []
  private(set) var isFailure: [Bool] = []
  private var running: Export?
  private let calls: BlockingCalls

  init(
    _ transport: ExportOptions.Transport = .listen(.host("127.0.0.1", port: 0)), waits: Bool = true,
    quickAttempts: Int = 10, slowDelay: UInt32 = 60_000, loop: EventLoop? = nil, source: PlannedSource? = nil,
    starts: Bool = true, _ change: (inout ExportOptions) -> Void = { _ in }
  ) throws {
    let loop = try loop ?? EventLoop()
    self.loop = loop
    self.source = source ?? PlannedSource(loop)
    calls = try BlockingCalls(loop)
    var options = ExportOptions(
      device: .virtual(.scripted(ScriptedOptions())), transport: transport, name: "e")
    change(&options)
    let log = Log(level: .info) { [run = Unowned(self)] level, text in
      run.value.log.append((level == .info ? "" : "\(level): ") + text)
    }
    running = Export(
      options, source: self.source, waitsForDevice: waits,
      pace: DeviceOpener.Pace(quickAttempts: quickAttempts, quickDelay: 1, slowDelay: slowDelay), loop: loop,
      calls: calls, log: log, owner: self)
    if starts { try export.start() }
  }

  deinit {
    export.stop("the test is over")
    if source.isHeld { source.finish(.failure(.absent("the test is over"))) }
    wait(for: "giving everything back") { export.isIdle }
    calls.drain()
  }

  var export: Export {
    guard let running else { preconditionFailure("made in init") }
    return running
  }

  func export(_ export: Export, ended reason: SessionEnd) {
    ends.append(reason.description)
    isFailure.append(reason.isFailure)
  }

  func export(_ export: Export, failed reason: String) { failures.append(reason) }

  /// How often the log has a line with this text.
  func logged(_ text: String) -> Int { log.filter { $0.contains(text) }.count }

  /// A guest that has connected; with a hello unless told otherwise.
  func guest(_ capabilities: Capabilities = .all, greets: Bool = true) throws -> GuestSocket {
    guard let address = export.listener?.boundAddress else { throw SystemError(code: EBADF, "no listener") }
    let guest = try GuestSocket(self, to: address, capabilities)
    if greets { guest.send(hello(capabilities)) }
    settle()
    return guest
  }
}

/// A usb-guest at the other end of a real socket.
final class GuestSocket {
  let capabilities: Capabilities
  private let user: any LoopUser
  private var descriptor: Int32
  private let reader: PacketReader
  private let transcript = Transcript()
  private var hasEnded = false

  init(_ user: any LoopUser, to address: SocketAddress, _ capabilities: Capabilities = .all) throws {
    let target = try ResolvedAddress.resolve(address).get()[0]
    let descriptor = posixStreamSocket(target.family)
    let result = unsafe target.withPointer { unsafe connect(descriptor, $0, $1) }
    guard result == 0 || posixErrno() == EINPROGRESS else {
      throw SystemError(code: posixErrno(), "connect to the export")
    }
    self.user = user
    self.capabilities = capabilities
    self.descriptor = descriptor
    reader = PacketReader(role: .usbGuest, capabilities: capabilities)
  }

  /// A connection that the export made.
  init(_ user: any LoopUser, accepted descriptor: Int32, _ capabilities: Capabilities = .all) {
    self.user = user
    self.capabilities = capabilities
    self.descriptor = descriptor
    reader = PacketReader(role: .usbGuest, capabilities: capabilities)
  }

  deinit {
    leave()
  }

  func send(_ bytes: [UInt8]) {
    let sent = unsafe bytes.withUnsafeBytes {
      unsafe CPosix.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    #expect(sent == bytes.count)
  }

  func send<Header: TypeHeader>(_ header: Header, id: UInt64, _ data: [UInt8] = []) {
    send(packet(header, id: id, data: data, reader.capabilities))
  }

  func send(_ type: PacketType) { send(packet(type, reader.capabilities)) }

  /// What was received since the last call, in words, when everything has happened that can.
  func take() -> [String] {
    user.settle()
    receive()
    return transcript.take()
  }

  /// A control request that the device answers: true when that works.
  func hasDevice() -> Bool {
    let header = ControlPacketHeader(
      endpoint: 0x80, request: StandardRequest.getDescriptor, requestType: 0x80, status: .success,
      value: 0x0100, index: 0, length: 8)
    send(header, id: 77)
    return take().contains { $0.hasPrefix("control #77 success 8") }
  }

  /// True when the export closes the connection.
  var isClosed: Bool { ends(within: 20_000) }

  /// True when nothing closes the connection for a moment.
  var staysOpen: Bool { !ends(within: 300) }

  private func ends(within milliseconds: UInt64) -> Bool {
    let deadline = monotonicNanoseconds() + milliseconds * 1_000_000
    while true {
      user.settle()
      receive()
      guard !hasEnded && monotonicNanoseconds() < deadline else { return hasEnded }
      usleep(1000)
    }
  }

  func leave() {
    hangUp(descriptor)
    descriptor = -1
  }

  /// close(2) alone: what was not read resets the connection, tcp(7).
  func leaveUnread() {
    close(descriptor)
    descriptor = -1
  }

  private func receive() {
    var bytes = [UInt8](repeating: 0, count: 4096)
    while !hasEnded && descriptor >= 0 {
      let count = unsafe bytes.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
      if count < 0 && posixErrno() == EAGAIN { return }
      hasEnded = count <= 0
      if count > 0 { feed(reader, Array(bytes[..<count]), transcript) }
    }
  }
}

let announcement = ["ep_info", "interface_info", "device_connect"]
