// The usb-guest end of one connection, as QEMU is one: says hello, learns the device, and uses it. The one
// switch over the packets of a usb-host is here; requests and receiving are in the files beside.
//
//     greeting ──hello──▶ ready ──peer gone, stream broken, close──▶ ended
//        └─────────────────────────────────────────────────────────────▲

/// Why a guest's session is over.
enum GuestEnd: CustomStringConvertible {
  case peerClosed
  case failed(SystemError)
  /// The stream cannot be trusted any more (B1.7).
  case protocolError(PacketFault)
  case tooManyBadPackets

  var description: String {
    switch self {
    case .peerClosed: "the server closed the connection"
    case .failed(let error): "the connection failed: " + error.reason
    case .protocolError(let fault): "protocol error: " + fault.description
    case .tooManyBadPackets: "too many bad packets"
    }
  }
}

/// What a guest asked for that cannot be sent.
enum GuestError: Error, Equatable, CustomStringConvertible {
  case noDevice
  /// The device has no endpoint of this type at this address.
  case noSuchEndpoint(EndpointAddress, TransferType)
  /// The server has no buffered bulk receiving.
  case noBufferedReceiving

  var description: String {
    switch self {
    case .noDevice: "the server has no device"
    case .noSuchEndpoint(let address, let type):
      "the device has no " + type.name + " endpoint " + address.description
    case .noBufferedReceiving: "the server has no buffered bulk receiving"
    }
  }
}

/// Told what the usb-host does, always from the loop and never from inside a call to the session. Loop thread
/// only.
protocol GuestSessionOwner: AnyObject {
  /// The peer's hello is there: `peerVersion` and `peerCapabilities` are valid.
  func guestGreeted(_ session: GuestSession)
  /// A device was announced: `device` is valid.
  func guestConnected(_ session: GuestSession)
  /// The device's interfaces or endpoints changed, by set_configuration, an alternate setting or a reset.
  func guestInfosChanged(_ session: GuestSession)
  /// The device is gone; requests that are in flight end with `ioerror` after this.
  func guestDisconnected(_ session: GuestSession)
  /// A packet of a stream that is on: interrupt, buffered bulk or isochronous. `data` is valid during the call.
  /// - Parameter sequence: the packet's id.
  func guest(
    _ session: GuestSession, received data: Span<UInt8>, from endpoint: EndpointAddress, _ status: Status,
    sequence: UInt64)
  /// The answer to a start or stop, or the end of receiving by itself.
  func guest(_ session: GuestSession, _ change: ReceivingChange, on endpoint: EndpointAddress)
  /// The connection is over and closed; comes once, and not after `close`.
  func guestEnded(_ session: GuestSession, _ reason: GuestEnd)
}

/// One connection to a usb-host. Loop thread only.
final class GuestSession: ConnectionOwner, PacketReceiver {
  private enum State {
    case greeting, ready, ended
  }

  /// Everything but the filter: this guest takes any device, and holds no filter of the peer's.
  static let capabilities = Capabilities.all.subtracting(.filter)
  /// Bad packets after which the stream is no longer trusted (B1.7).
  static let maxBadPackets = 100

  /// The version text of the peer's hello.
  private(set) var peerVersion = ""
  /// The announced device; nil while there is none.
  private(set) var device: GuestDevice?
  /// CLOCK_MONOTONIC nanoseconds of the recv(2) that brought the packet at hand.
  private(set) var receivedAt: UInt64 = 0
  /// Packets that were wrong in themselves, and those for what is gone or was not asked for (B1.7).
  private(set) var badPackets = 0
  private(set) var latePackets: UInt64 = 0
  var requests = GuestRequests()
  var receiving = GuestReceiving()

  unowned(unsafe) let owner: any GuestSessionOwner
  let buffers = SizedBufferPools()
  private let log: Log
  private let reader = PacketReader(role: .usbGuest, capabilities: GuestSession.capabilities)
  private let smallBuffers = BufferPool(capacity: PacketBuffer.controlCapacity, keep: 4)
  private var state = State.greeting
  private var connection: Connection?
  private var finish: Work?
  private var end = GuestEnd.peerClosed
  /// What was told of interfaces and endpoints; device_connect takes the last of it.
  private var interfaces: [InterfaceInfoHeader.Interface] = []
  private var endpoints: [GuestEndpoint] = []

  /// Sends our hello.
  /// - Parameters:
  ///   - descriptor: a connected socket; the session's from here on, also when this throws.
  ///   - owner: not retained; outlives the session or closes it.
  init(
    _ loop: EventLoop, descriptor: Int32, transport: TransportOptions = TransportOptions(), log: Log,
    owner: any GuestSessionOwner
  ) throws(SystemError) {
    self.log = log
    unsafe self.owner = owner
    connection = try Connection(loop, descriptor: descriptor, options: transport, owner: self)
    finish = Work(on: loop.reaps) { [session = Unowned(self)] in session.value.finished() }
    let hello = smallBuffers.take()
    hello.finishHello(version: productVersion, offering: GuestSession.capabilities)
    connection?.queue(hello)
  }

  deinit {
    finish?.cancel()
  }

  /// The usb-host has not read for a while: much waits to be sent.
  var isBehind: Bool { connection?.isAboveHighWater ?? false }

  /// What the peer's hello offered.
  var peerCapabilities: Capabilities { reader.peerCapabilities }
  /// What both sides have.
  var capabilities: Capabilities { reader.capabilities }

  /// Closes at once: what is queued is dropped, and nobody hears anything any more.
  func close() {
    state = .ended
    finish?.cancel()
    connection?.close()
  }

  // MARK: ConnectionOwner

  func connectionReadable(_ connection: Connection) {
    var arrived = false
    unsafe reader.withFree { free in
      guard case .bytes(let count) = unsafe connection.receive(into: free) else { return 0 }
      arrived = true
      return count
    }
    guard arrived else { return }
    receivedAt = monotonicNanoseconds()
    reader.drain(self)
  }

  func connectionEnded(_ connection: Connection, _ reason: ConnectionEnd) {
    switch reason {
    case .peerClosed: over(.peerClosed)
    case .failed(let error): over(.failed(error))
    }
  }

  // What this guest sends is little, and each piece is asked for by its owner.
  func connectionCrossedHighWater(_ connection: Connection) {}
  func connectionCrossedLowWater(_ connection: Connection) {}

  // MARK: PacketReceiver

  var isPaused: Bool { state == .ended }

  func receive(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>) {
    let id = header.id
    switch header.type {
    case .hello: greeted(HelloHeader(decoding: typeHeader))
    case .endpointInfo: endpointsTold(EndpointInfoHeader(decoding: typeHeader))
    case .interfaceInfo: interfacesTold(InterfaceInfoHeader(decoding: typeHeader))
    case .deviceConnect: connected(DeviceConnectHeader(decoding: typeHeader))
    case .deviceDisconnect: disconnected()
    case .configurationStatus: answered(id, ConfigurationStatusHeader(decoding: typeHeader))
    case .altSettingStatus: answered(id, AltSettingStatusHeader(decoding: typeHeader))
    case .interruptReceivingStatus:
      let header = InterruptReceivingStatusHeader(decoding: typeHeader)
      streamStatus(.interruptReceivingStatus, header.endpoint, header.status)
    case .bulkReceivingStatus:
      let header = BulkReceivingStatusHeader(decoding: typeHeader)
      streamStatus(.bulkReceivingStatus, header.endpoint, header.status)
    case .isoStreamStatus:
      let header = IsoStreamStatusHeader(decoding: typeHeader)
      streamStatus(.isoStreamStatus, header.endpoint, header.status)
    case .controlPacket: answered(id, ControlPacketHeader(decoding: typeHeader), data)
    case .interruptPacket: interruptPacket(id, InterruptPacketHeader(decoding: typeHeader), data)
    case .bulkPacket: answered(id, BulkPacketHeader(decoding: typeHeader), data)
    case .bufferedBulkPacket:
      let header = BufferedBulkPacketHeader(decoding: typeHeader)
      streamPacket(.bufferedBulkPacket, id, header.endpoint, header.status, data)
    case .isoPacket:
      let header = IsoPacketHeader(decoding: typeHeader)
      streamPacket(.isoPacket, id, header.endpoint, header.status, data)
    case .bulkStreamsStatus:
      // Nothing that this answers is ever asked.
      late()
    case .reset, .setConfiguration, .getConfiguration, .setAltSetting, .getAltSetting, .startIsoStream,
      .stopIsoStream, .startInterruptReceiving, .stopInterruptReceiving, .allocBulkStreams, .freeBulkStreams,
      .cancelDataPacket, .filterReject, .filterFilter, .deviceDisconnectAck, .startBulkReceiving,
      .stopBulkReceiving, nil:
      // The reader hands these out to a usb-host only, or with the filter's capability.
      break
    }
  }

  func rejected(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ fault: PacketFault) {
    bad(fault.description)
  }

  func broken(_ fault: PacketFault) {
    over(.protocolError(fault))
  }

  /// A packet that is wrong in itself: one warning each, and too many end the session (B1.7).
  func bad(_ rule: String) {
    badPackets += 1
    log.warning("bad packet from the server: " + rule)
    if badPackets > GuestSession.maxBadPackets { over(.tooManyBadPackets) }
  }

  /// A packet for what is gone already, or that answers nothing: not worth a word.
  func late() {
    latePackets += 1
  }

  // MARK: the device

  private func greeted(_ hello: HelloHeader) {
    state = .ready
    peerVersion = hello.versionText
    unsafe owner.guestGreeted(self)
  }

  private func endpointsTold(_ header: EndpointInfoHeader) {
    for slot in 0..<32 {
      let type = header.slots[slot].type
      guard type != EndpointInfoHeader.unused, TransferType(rawValue: type) == nil else { continue }
      bad(
        "ep_info with transfer type " + String(type) + " for endpoint "
          + EndpointAddress(slot: slot).description)
    }
    endpoints = GuestDevice.endpoints(header)
    infosChanged()
  }

  private func interfacesTold(_ header: InterfaceInfoHeader) {
    interfaces = GuestDevice.interfaces(header)
    infosChanged()
  }

  private func infosChanged() {
    guard device != nil, state == .ready else { return }
    device?.endpoints = endpoints
    device?.interfaces = interfaces
    unsafe owner.guestInfosChanged(self)
  }

  private func connected(_ header: DeviceConnectHeader) {
    guard device == nil else { return bad("device_connect while a device is connected") }
    var announced = GuestDevice(header, capabilities)
    announced.interfaces = interfaces
    announced.endpoints = endpoints
    device = announced
    unsafe owner.guestConnected(self)
  }

  private func disconnected() {
    // Also without a device: a peer that has the capability waits for it (B2.6).
    if capabilities.contains(.deviceDisconnectAck) { send(.deviceDisconnectAck) }
    // Bad and not late, since each is answered: there has to be an end to that.
    guard device != nil else { return bad("device_disconnect without a device") }
    device = nil
    interfaces = []
    endpoints = []
    receiving = GuestReceiving()
    unsafe owner.guestDisconnected(self)
    failRequests(.ioerror)
  }

  // MARK: sending

  /// Puts the headers in front of the buffer's payload and queues it; takes ownership of the buffer.
  func send<Header: TypeHeader>(_ buffer: PacketBuffer, _ header: Header, id: UInt64) {
    buffer.finish(header, id: id, capabilities)
    queue(buffer)
  }

  /// A packet that is all header.
  func send<Header: TypeHeader>(_ header: Header, id: UInt64) {
    send(smallBuffers.take(), header, id: id)
  }

  /// A packet without type header.
  func send(_ type: PacketType, id: UInt64 = 0) {
    let buffer = smallBuffers.take()
    buffer.finish(type, id: id, capabilities)
    queue(buffer)
  }

  private func queue(_ buffer: PacketBuffer) {
    guard state == .ready, let connection else { return buffer.release() }
    let capabilities = capabilities
    assert(
      buffer.withBytes { PacketChecker.fault(in: $0, sentBy: .usbGuest, capabilities) == nil },
      "a packet the C parser would refuse")
    connection.queue(buffer)
  }

  // MARK: the end

  /// Ends the session; the owner is told later in this turn, never from within.
  private func over(_ reason: GuestEnd) {
    guard state != .ended else { return }
    state = .ended
    end = reason
    connection?.close()
    finish?.schedule()
  }

  private func finished() {
    device = nil
    unsafe owner.guestEnded(self, end)
    failRequests(.cancelled)
  }
}
