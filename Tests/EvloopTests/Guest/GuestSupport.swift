// What the tests of Guest share: a real session that serves a device, a peer of bytes, and an owner with a
// record.
import CPosix

@testable import usbredir_evloop

/// The usb-host of a test: a `Session` with a virtual device, on the other end of a socket pair in the same
/// loop.
final class ServedDevice: SessionOwner {
  let device: VirtualDevice
  /// What the guest's end of the connection gets.
  let guestDescriptor: Int32
  private(set) var ends: [String] = []
  /// False while there is nothing to announce.
  var isPlugged: Bool
  private(set) var session: Session?

  init(_ loop: EventLoop, _ device: VirtualDevice, isPlugged: Bool = true) throws {
    self.device = device
    self.isPlugged = isPlugged
    let pair = try unixPair()
    guestDescriptor = pair.peer
    session = try Session(
      loop, descriptor: pair.ours, name: "test", limits: SessionLimits(), transport: TransportOptions(),
      log: Log(level: .error), owner: self)
    device.onPlug = { [served = Unowned(self)] in
      served.value.isPlugged = true
      served.value.session?.wantDevice()
    }
  }

  func sessionWantsDevice(_ session: Session) {
    guard isPlugged else { return }
    isPlugged = false
    session.attach(device)
  }

  func sessionEnded(_ session: Session, _ reason: SessionEnd) {
    ends.append(reason.description)
  }
}

/// A usb-host that is nothing but the bytes a test writes.
final class RawHost {
  let guestDescriptor: Int32
  private var descriptor: Int32

  init() throws {
    let pair = try unixPair()
    (descriptor, guestDescriptor) = (pair.ours, pair.peer)
  }

  deinit {
    leave()
  }

  func write(_ bytes: [UInt8]) {
    _ = unsafe bytes.withUnsafeBytes {
      unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
  }

  /// What the guest has sent since the last call.
  func read() -> [UInt8] { readAvailable(descriptor) }

  func leave() {
    hangUp(descriptor)
    descriptor = -1
  }

  /// Hello and a device, with interrupt endpoints 81 and 01 unless told otherwise.
  func announce(_ capabilities: Capabilities = .all, _ endpoints: EndpointInfoHeader = endpoints) {
    let inForce = Capabilities.negotiated(GuestSession.capabilities, capabilities)
    write(hello(capabilities))
    write(
      packet(endpoints, inForce) + packet(RawHost.interfaces, inForce)
        + packet(RawHost.connect, inForce))
  }

  static let connect = DeviceConnectHeader(
    speed: 2, deviceClass: 0, deviceSubclass: 0, deviceProtocol: 0, vendor: 0x1234, product: 0xabcd,
    deviceVersion: 0x0203)

  static var interfaces: InterfaceInfoHeader {
    var header = InterfaceInfoHeader()
    header.count = 1
    header.interfaces[0] = InterfaceInfoHeader.Interface(number: 0, classCode: 3, subclass: 1, protocol: 1)
    return header
  }

  static var endpoints: EndpointInfoHeader {
    var header = EndpointInfoHeader()
    for slot in [0, 16] { header.slots[slot].type = 0 }
    for slot in [1, 17] {
      header.slots[slot] = EndpointInfoHeader.Slot(type: 3, interval: 4, interface: 0, maxPacketSize: 8)
    }
    return header
  }
}

/// Keeps what a guest's session tells, a line each.
final class GuestRecord: GuestSessionOwner {
  private(set) var lines: [String] = []
  private(set) var warnings: [String] = []
  private(set) var session: GuestSession?

  init(_ loop: EventLoop, _ descriptor: Int32) throws {
    let log = Log(level: .warning) { [record = Unowned(self)] _, text in record.value.warnings.append(text) }
    session = try GuestSession(loop, descriptor: descriptor, log: log, owner: self)
  }

  func take() -> [String] {
    defer { lines = [] }
    return lines
  }

  func note(_ line: String) { lines.append(line) }

  func guestGreeted(_ session: GuestSession) { note("greeted " + session.peerVersion) }
  func guestConnected(_ session: GuestSession) { note("connected") }
  func guestInfosChanged(_ session: GuestSession) { note("infos") }
  func guestDisconnected(_ session: GuestSession) { note("disconnected") }
  func guestEnded(_ session: GuestSession, _ reason: GuestEnd) { note("ended: " + reason.description) }

  func guest(
    _ session: GuestSession, received data: Span<UInt8>, from endpoint: EndpointAddress, _ status: Status,
    sequence: UInt64
  ) {
    note("\(endpoint) \(status) \(sequence) " + Hex.text(data))
  }

  func guest(_ session: GuestSession, _ change: ReceivingChange, on endpoint: EndpointAddress) {
    switch change {
    case .started: note("\(endpoint) started")
    case .stopped: note("\(endpoint) stopped")
    case .ended(let status): note("\(endpoint) ended \(status)")
    }
  }

  /// Sends a control request and notes its answer: `control success 0102`.
  func control(_ type: UInt8, _ request: UInt8, _ value: UInt16, length: UInt16, _ data: [UInt8] = []) throws
  {
    let setup = SetupPacket(requestType: type, request: request, value: value, index: 0, length: length)
    try session?.control(setup, data.span) { [record = Unowned(self)] status, bytes in
      record.value.note("control \(status) " + Hex.text(bytes))
    }
  }

  /// Sends interrupt OUT data and notes the answer: `out success 2`.
  func out(_ endpoint: EndpointAddress, _ data: [UInt8]) throws {
    try session?.interruptOut(endpoint, data.span) { [record = Unowned(self)] status, count in
      record.value.note("out \(status) \(count)")
    }
  }
}

/// A probe whose output is kept.
final class ProbeRun {
  let loop: EventLoop
  private(set) var text = ""
  private(set) var complaints: [String] = []
  /// False: nobody reads.
  var isRead = true
  private(set) var probe: Probe?

  init(
    _ loop: EventLoop, json: Bool = false, duration: UInt32? = nil, count: Int? = nil, timeout: UInt32 = 10,
    tasks: [ProbeTask] = [], _ more: (inout ProbeOptions) -> Void = { _ in }
  ) {
    self.loop = loop
    var options = ProbeOptions(address: .unix("/nowhere"))
    options.json = json
    options.duration = duration
    options.count = count
    options.timeout = timeout
    options.tasks = tasks
    more(&options)
    let output = ProbeOutput(
      print: { [run = Unowned(self)] in
        run.value.text += $0
        return run.value.isRead
      },
      complain: { [run = Unowned(self)] in run.value.complaints.append($0) })
    probe = Probe(loop, options, output: output, log: Log(level: .error))
  }

  /// The text with times, and what is made of them, taken out.
  var lines: [String] {
    text.split(separator: "\n").map { line in
      String(line).replacing(/\d+\.\d{6}/, with: "T").replacing(/\d+\.\d{3} µs/, with: "U")
        .replacing(/\d+\.\d{2} MB/, with: "R MB").replacing(/\d+\.\d \/s/, with: "R /s")
    }
  }

  /// The lines behind the description, as they are without it.
  var results: [String] {
    Array(lines.drop { !$0.hasPrefix("endpoint") }.drop { $0.hasPrefix("endpoint") })
  }

  func turns(untilLine start: String) -> Bool {
    loop.turns { self.lines.contains { $0.hasPrefix(start) || $0.hasSuffix(start) } }
  }

  /// Runs the loop until the probe stops it; a probe that hangs is stopped and has no status.
  func finish() -> Int32? {
    var hangs = false
    let guardTimer = Timer(loop) { [loop = Unowned(loop)] in
      hangs = true
      loop.value.stop()
    }
    guardTimer.start(milliseconds: 60_000)
    withExtendedLifetime(guardTimer) { loop.run() }
    return hangs ? nil : probe?.exitStatus
  }
}
