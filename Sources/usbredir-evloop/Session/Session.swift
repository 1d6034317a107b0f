// One usb-guest connection, from hello to close: takes the guest's packets apart, keeps what both sides
// agreed on, and owns the device that is attached. The one switch over packet types is here; what each packet
// does is in the files beside.
//
//     greeting ──hello──▶ ready ──close──▶ closing ──device closed──▶ closed
//        └────────────────close─────────────▲
import CPosix

/// What a session may use, from the export's options.
struct SessionLimits {
  /// Transfers posted on each interrupt IN endpoint; nil chooses by the endpoint's interval (B4.2).
  var interruptDepth: Int?
  /// Bytes of the longest transfer (B1.8).
  var maxTransfer = 8 << 20
  /// Requests that may wait for the device, and the bytes they may hold.
  var maxRequests = 1024
  var maxRequestBytes = 64 << 20
  /// Bad packets after which the stream is no longer trusted (B1.7).
  var maxBadPackets = 100
}

/// Why a session ended.
enum SessionEnd: CustomStringConvertible {
  case guestLeft
  case failed(SystemError)
  /// The stream cannot be trusted any more (B1.7).
  case protocolError(PacketFault)
  case tooManyBadPackets
  /// The server wants it: shutting down, or a newer guest takes the place.
  case closedByServer(String)
  /// The guest came for a device that is not to be had, on an export that does not wait for it.
  case noDevice(String)

  /// False for an end in good order. A guest that closes without having read everything resets the
  /// connection, tcp(7): it has left like any other.
  var isFailure: Bool {
    switch self {
    case .guestLeft, .closedByServer: false
    case .failed(let error): error.code != ECONNRESET && error.code != EPIPE
    case .protocolError, .tooManyBadPackets, .noDevice: true
    }
  }

  var description: String {
    switch self {
    case .guestLeft: "the guest closed the connection"
    case .failed(let error): "the connection failed: \(error.description)"
    case .protocolError(let fault): "protocol error: \(fault.description)"
    case .tooManyBadPackets: "too many bad packets"
    case .closedByServer(let reason), .noDevice(let reason): reason
    }
  }
}

/// The export a session belongs to. Loop thread only.
protocol SessionOwner: AnyObject {
  /// The guest could take a device now: after its hello, and again when the last device is closed and its end
  /// acknowledged.
  func sessionWantsDevice(_ session: Session)
  /// The guest rejected the device, or its filter denies it; the device is closed, and no other one is taken.
  func sessionRejectedDevice(_ session: Session)
  /// Everything is over: the connection is closed and no device is open any more.
  func sessionEnded(_ session: Session, _ reason: SessionEnd)
}

/// One guest's session. The owner keeps it until `sessionEnded`. Loop thread only.
final class Session: ConnectionOwner, PacketReceiver {
  enum State {
    case greeting
    case ready
    case closing
    case closed
  }

  let loop: EventLoop
  let log: Log
  let limits: SessionLimits
  /// Export and guest, in front of every log line.
  let name: String
  let buffers = SizedBufferPools()
  private(set) var state = State.greeting
  var counters = Counters()
  /// The device the guest has, nil while there is none.
  var attached: AttachedDevice?
  /// Devices that left but are not closed yet.
  var leaving: [AttachedDevice] = []
  /// The guest has to acknowledge a device_disconnect before the next device (B2.6).
  var awaitsDisconnectAck = false
  /// The guest rejected the device: no further one on this session.
  var deviceRejected = false
  /// The guest's filter, once it sent one.
  var filter: Filter?

  unowned(unsafe) private let owner: any SessionOwner
  private let reader: PacketReader
  private let smallBuffers = BufferPool(capacity: PacketBuffer.controlCapacity, keep: 16)
  private(set) var connection: Connection?
  private var resume: Work?
  private var finish: Work?
  private var end = SessionEnd.guestLeft
  /// Cancels since reading was resumed, and whether those were enough for this turn.
  private var cancels = 0
  private var isYielding = false
  /// Warnings so far, up to the one that says that there are no more.
  private var warnings = 0
  private static let maxWarnings = 100

  /// Starts the session on a connected socket: our hello goes out at once (B1.2).
  /// - Parameters:
  ///   - descriptor: the socket, owned by the session from here on.
  ///   - owner: outlives the session.
  init(
    _ loop: EventLoop, descriptor: Int32, name: String, limits: SessionLimits, transport: TransportOptions,
    log: Log,
    owner: any SessionOwner
  ) throws(SystemError) {
    self.loop = loop
    self.name = name
    self.limits = limits
    self.log = log
    unsafe self.owner = owner
    reader = PacketReader(
      role: .usbHost, capabilities: .all, limits: PacketLimits(maxTransfer: UInt32(limits.maxTransfer)))
    connection = try Connection(loop, descriptor: descriptor, options: transport, owner: self)
    resume = Work(on: loop.reaps) { [session = Unowned(self)] in session.value.readOn() }
    finish = Work(on: loop.reaps) { [session = Unowned(self)] in session.value.finished() }
    sendHello()
  }

  deinit {
    resume?.cancel()
    finish?.cancel()
  }

  /// True once the guest's hello was read: from then on it owns the export (B1.5).
  var isGreeted: Bool { state != .greeting }

  /// True when the guest has closed its side; the session ends as soon as it reads that, if not before.
  var guestHasLeft: Bool { connection?.peerHasLeft ?? true }

  /// What both sides have.
  var capabilities: Capabilities { reader.capabilities }

  /// More waits for the guest than the high-water mark allows (B4.9).
  var isAboveHighWater: Bool { connection?.isAboveHighWater ?? false }

  // MARK: reading

  /// B3.6, B1.8: packets wait while an operation runs on the device, or while the guest does not take its
  /// answers.
  var isPaused: Bool {
    guard state == .greeting || state == .ready, let connection else { return true }
    return isYielding || attached?.isBusy ?? false || connection.isAboveHighWater
  }

  func connectionReadable(_ connection: Connection) {
    let result = receive(connection)
    switch result {
    case .bytes: drain()
    case .wouldBlock: break
    case .ended: close(.guestLeft)
    case .failed(let error): close(.failed(error))
    }
  }

  private func receive(_ connection: Connection) -> ReceiveResult {
    var result = ReceiveResult.wouldBlock
    unsafe reader.withFree { free in
      result = unsafe connection.receive(into: free)
      if case .bytes(let count) = result { return count }
      return 0
    }
    return result
  }

  private func drain() {
    reader.drain(self)
    if isPaused { connection?.pauseReading() }
  }

  /// A cancel waits in the kernel (B3.6): behind a few of them the other sessions have their turn first.
  func cancelled() {
    cancels += 1
    guard cancels >= AttachedDevice.cancelsOnLoop else { return }
    isYielding = true
    resume?.schedule()
  }

  private func readOn() {
    isYielding = false
    cancels = 0
    guard !isPaused else { return }
    connection?.resumeReading()
    drain()
  }

  /// No operation runs any more: packets that waited are read, in this turn but not from within.
  func deviceIsIdle() {
    resume?.schedule()
  }

  func connectionCrossedHighWater(_ connection: Connection) {
    attached?.pauseStreams()
  }

  func connectionCrossedLowWater(_ connection: Connection) {
    // In front of what the streams bring now: a device that always has data would have the guest's stop wait for ever.
    resume?.schedule()
    attached?.resumeStreams()
  }

  func connectionEnded(_ connection: Connection, _ reason: ConnectionEnd) {
    switch reason {
    case .peerClosed: close(.guestLeft)
    case .failed(let error): close(.failed(error))
    }
  }

  // MARK: the one switch

  func receive(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>) {
    let id = header.id
    switch header.type {
    case .hello: greeted(HelloHeader(decoding: typeHeader))
    case .reset: reset()
    case .setConfiguration: setConfiguration(id, SetConfigurationHeader(decoding: typeHeader))
    case .getConfiguration: getConfiguration(id)
    case .setAltSetting: setAltSetting(id, SetAltSettingHeader(decoding: typeHeader))
    case .getAltSetting: getAltSetting(id, GetAltSettingHeader(decoding: typeHeader))
    case .startInterruptReceiving:
      startInterruptReceiving(id, StartInterruptReceivingHeader(decoding: typeHeader))
    case .stopInterruptReceiving:
      stopInterruptReceiving(id, StopInterruptReceivingHeader(decoding: typeHeader))
    case .startIsoStream: startIsoStream(id, StartIsoStreamHeader(decoding: typeHeader))
    case .stopIsoStream: stopIsoStream(id, StopIsoStreamHeader(decoding: typeHeader))
    case .startBulkReceiving: startBulkReceiving(id, StartBulkReceivingHeader(decoding: typeHeader))
    case .stopBulkReceiving: stopBulkReceiving(id, StopBulkReceivingHeader(decoding: typeHeader))
    case .allocBulkStreams: allocBulkStreams(id, AllocBulkStreamsHeader(decoding: typeHeader))
    case .freeBulkStreams: freeBulkStreams(id, FreeBulkStreamsHeader(decoding: typeHeader))
    case .cancelDataPacket: cancelDataPacket(id)
    case .filterReject: filterReject()
    case .filterFilter: filterReceived(data)
    case .deviceDisconnectAck: disconnectAcknowledged()
    case .controlPacket: control(id, ControlPacketHeader(decoding: typeHeader), data)
    case .bulkPacket: bulk(id, BulkPacketHeader(decoding: typeHeader), data)
    case .interruptPacket: interruptOut(id, InterruptPacketHeader(decoding: typeHeader), data)
    case .isoPacket: isoOut(IsoPacketHeader(decoding: typeHeader), data)
    case .deviceConnect, .deviceDisconnect, .interfaceInfo, .endpointInfo, .configurationStatus,
      .altSettingStatus,
      .isoStreamStatus, .interruptReceivingStatus, .bulkStreamsStatus, .bulkReceivingStatus,
      .bufferedBulkPacket, nil:
      // The reader hands these out to a usb-guest only.
      break
    }
  }

  // MARK: bad input

  func rejected(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ fault: PacketFault) {
    if case .noMemory = fault {
      refuse(header, typeHeader, .ioerror)
      return warn("refused: \(fault.description) (B1.8)")
    }
    refuse(header, typeHeader, .inval)
    bad(header.type?.description ?? "packet type \(header.typeNumber)", fault.description)
  }

  func broken(_ fault: PacketFault) {
    close(.protocolError(fault))
  }

  /// A packet that is wrong in itself: one warning each, and too many end the session (B1.7).
  func bad(_ packet: String, _ rule: String) {
    counters.badPackets += 1
    warn("bad \(packet): \(rule)")
    if counters.badPackets > limits.maxBadPackets { close(.tooManyBadPackets) }
  }

  /// A warning of what the guest can bring about as often as it likes: `maxWarnings` of a session are told.
  func warn(_ text: @autoclosure () -> String) {
    guard warnings <= Session.maxWarnings else { return }
    warnings += 1
    guard warnings <= Session.maxWarnings else {
      return log.warning("\(name): further warnings of this session are left out")
    }
    log.warning("\(name): \(text())")
  }

  /// A packet for what is gone already: not the guest's fault (B1.7).
  func late() {
    counters.latePackets += 1
  }

  // MARK: sending

  /// Puts the headers in front of the buffer's payload and queues it; takes ownership of the buffer.
  func send<Header: TypeHeader>(
    _ buffer: PacketBuffer, _ header: Header, id: UInt64, _ order: SendOrder = .inTurn
  ) {
    guard let connection, state == .greeting || state == .ready else { return buffer.release() }
    buffer.finish(header, id: id, capabilities)
    assert(isLegal(buffer), "B1.9: a packet the C parser would refuse")
    connection.queue(buffer, order)
  }

  /// An empty buffer for a packet without data.
  func smallBuffer() -> PacketBuffer { smallBuffers.take() }

  /// A packet that is all header.
  func send<Header: TypeHeader>(_ header: Header, id: UInt64 = 0) {
    send(smallBuffers.take(), header, id: id)
  }

  /// A packet without type header.
  func send(_ type: PacketType, id: UInt64 = 0) {
    guard let connection, state == .greeting || state == .ready else { return }
    let buffer = smallBuffers.take()
    buffer.finish(type, id: id, capabilities)
    assert(isLegal(buffer), "B1.9: a packet the C parser would refuse")
    connection.queue(buffer)
  }

  private func isLegal(_ buffer: PacketBuffer) -> Bool {
    let capabilities = capabilities
    return buffer.withBytes { bytes in
      PacketChecker.fault(in: bytes, sentBy: .usbHost, capabilities) == nil
    }
  }

  // MARK: hello and end

  private func sendHello() {
    let buffer = smallBuffers.take()
    buffer.finishHello(version: productVersion, offering: .all)
    connection?.queue(buffer)
  }

  private func greeted(_ hello: HelloHeader) {
    state = .ready
    log.info("\(name): guest \(hello.versionText), capabilities \(capabilities.description)")
    wantDevice()
  }

  /// True when a device could be announced now.
  var takesDevice: Bool {
    state == .ready && attached == nil && leaving.isEmpty && !awaitsDisconnectAck && !deviceRejected
  }

  /// Asks for a device if the guest could take one now.
  func wantDevice() {
    if takesDevice { unsafe owner.sessionWantsDevice(self) }
  }

  /// The device that the guest rejected is closed.
  func tellRejected() {
    if deviceRejected && state == .ready { unsafe owner.sessionRejectedDevice(self) }
  }

  /// Ends the session: closes the connection now, gives the device back, then tells the owner (B2.8).
  func close(_ reason: SessionEnd) {
    guard state == .greeting || state == .ready else { return }
    state = .closing
    end = reason
    connection?.close()
    resume?.cancel()
    detach(answering: .cancelled, isGone: false)
    finishIfClosed()
  }

  /// The last device is closed: the session can end.
  func finishIfClosed() {
    if state == .closing && leaving.isEmpty { finish?.schedule() }
  }

  private func finished() {
    state = .closed
    connection = nil
    unsafe owner.sessionEnded(self, end)
  }
}
