// A usb-guest in a test: one session with a scripted device on one end of a socket pair, and on the other end
// a guest that sends what the test says and puts what it receives into words.
import CPosix
import Testing

@testable import usbredir_evloop

/// One session, its guest and its device. `settle` runs the loop until nothing happens any more.
final class GuestHarness: SessionOwner {
  let loop: EventLoop
  let device: any Device
  /// Lines of the session's log.
  private(set) var log: [String] = []
  /// What the session told its owner at its end.
  private(set) var ends: [String] = []
  private(set) var session: Session?
  /// Whether the session gets the device when it wants one.
  var hasDevice: Bool
  /// How often the session wanted a device.
  private(set) var wants = 0
  /// False for a guest that does not read.
  var reads = true
  /// Packets are checked but not put into words: for floods.
  var counts = false
  let transcript: Transcript
  private var socket: Int32
  private let reader: PacketReader
  private var tick: Work?

  /// - Parameters:
  ///   - capabilities: what the guest's hello offers.
  ///   - greets: sends the guest's hello and takes the announcement.
  ///   - sendBuffer: SO_SNDBUF of the session's end.
  init(
    _ device: (any Device)? = nil, loop: EventLoop? = nil, capabilities: Capabilities = .all,
    limits: SessionLimits = SessionLimits(), greets: Bool = true, hasDevice: Bool = true,
    sendBuffer: Int32? = nil,
    transport: TransportOptions = TransportOptions()
  ) throws {
    let loop = try loop ?? EventLoop()
    self.hasDevice = hasDevice
    self.loop = loop
    self.device = device ?? ScriptedDevice(loop: loop)
    let (ours, peer) = try unixPair()
    if let sendBuffer { try setSocketOption(ours, SOL_SOCKET, SO_SNDBUF, sendBuffer) }
    socket = peer
    reader = PacketReader(role: .usbGuest, capabilities: capabilities)
    transcript = Transcript()
    tick = Work(on: loop.reaps) {}
    let log = Log(level: .debug) { [harness = Unowned(self)] _, line in harness.value.log.append(line) }
    session = try Session(
      loop, descriptor: ours, name: "test", limits: limits, transport: transport, log: log, owner: self)
    guard greets else { return }
    send(hello(capabilities))
    settle()
    _ = take()
  }

  deinit {
    leave()
    settle()
    tick?.cancel()
  }

  /// What both sides have, as far as the guest knows.
  var capabilities: Capabilities { reader.capabilities }

  /// The device, for tests that script it.
  var scripted: ScriptedDevice {
    guard let scripted = device as? ScriptedDevice else {
      preconditionFailure("the test's device is another one")
    }
    return scripted
  }

  // MARK: the session's owner

  func sessionWantsDevice(_ session: Session) {
    wants += 1
    if hasDevice { session.attach(device) }
  }

  func sessionEnded(_ session: Session, _ reason: SessionEnd) {
    ends.append(reason.description)
    self.session = nil
  }

  /// Plugs the device in again, for a session that waits for it.
  func replug() {
    scripted.onPlug = { [harness = Unowned(self)] in harness.value.session?.wantDevice() }
    scripted.plug()
  }

  // MARK: the loop

  /// One turn that never waits.
  func turn() {
    tick?.schedule()
    loop.wholeTurn()
    if reads { receive() }
  }

  /// Turns until three in a row brought nothing; far more than anything here needs are a failure.
  func settle() {
    var quiet = 0
    var left = 20_000
    while quiet < 3 && left > 0 {
      let before = transcript.count
      let isBusy = !loop.reaps.isEmpty || !loop.flushes.isEmpty
      turn()
      quiet = isBusy || transcript.count != before ? 0 : quiet + 1
      left -= 1
    }
    #expect(left > 0, "the loop does not come to rest")
  }

  /// Turns for what takes time, until the guest has received so many more packets.
  func wait(forPackets count: Int) {
    let enough = transcript.count + count
    let came = loop.turns { [harness = Unowned(self)] in
      harness.value.receive()
      return harness.value.transcript.count >= enough
    }
    #expect(came, "the packets did not come")
  }

  // MARK: the guest

  /// What was received since the last call, in words.
  func take() -> [String] { transcript.take() }

  /// Sends, lets everything happen, and tells what was received.
  @discardableResult func exchange(_ bytes: [UInt8]...) -> [String] {
    send(bytes.flatMap { $0 })
    settle()
    return take()
  }

  /// Sends bytes; turns meanwhile when the socket is full.
  func send(_ bytes: [UInt8]) {
    var sent = 0
    var left = 100_000
    while sent < bytes.count && left > 0 && socket >= 0 {
      let rest = bytes[sent...]
      let count = unsafe rest.withUnsafeBytes {
        unsafe CPosix.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count > 0 { sent += count } else { turn() }
      left -= 1
    }
  }

  func encode<Header: TypeHeader>(_ header: Header, id: UInt64 = 0, _ data: [UInt8] = []) -> [UInt8] {
    packet(header, id: id, data: data, capabilities)
  }

  func encode(_ type: PacketType, id: UInt64 = 0, _ data: [UInt8] = []) -> [UInt8] {
    packet(type, id: id, data: data, capabilities)
  }

  /// Closes the guest's end.
  func leave() {
    hangUp(socket)
    socket = -1
  }

  /// Leaves, and ends what the session still has with its device.
  func end(_ device: ManualDevice) {
    leave()
    settle()
    if !device.calls.isEmpty { device.finishCall() }
    while !device.posted.isEmpty { device.complete(0, .cancelled) }
    device.finishClose()
    settle()
    #expect(ends.count == 1)
  }

  /// The bytes that wait, for tests of bytes; nothing else sees them then.
  func readRaw() -> [UInt8] { readAvailable(socket) }

  /// A turn in which the guest does nothing and this harness allocates nothing.
  func turnQuietly() {
    tick?.schedule()
    loop.wholeTurn()
  }

  /// Sends bytes that fit the socket, without allocating.
  func sendRaw(_ bytes: [UInt8]) {
    let count = unsafe bytes.withUnsafeBytes {
      unsafe CPosix.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
    }
    if count != bytes.count { Issue.record("the socket took \(count) bytes") }
  }

  /// Reads what waits and forgets it, without allocating.
  func discard() {
    unsafe withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 1) { memory in
      while unsafe recv(socket, memory.baseAddress, memory.count, Int32(MSG_DONTWAIT)) > 0 {}
    }
  }

  private func receive() {
    guard socket >= 0 else { return }
    let bytes = readAvailable(socket, limit: 1 << 18)
    guard !bytes.isEmpty else { return }
    transcript.isCounting = counts
    feed(reader, bytes, transcript)
  }
}

extension SessionOwner {
  func sessionRejectedDevice(_ session: Session) {}
}
