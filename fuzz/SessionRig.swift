// A whole session over a socket pair, with a device on one side and a guest that the input plays on the other. What
// holds whatever both do: nothing leaves that a guest refuses, no request is answered twice, and in the end
// everything is given back.

final class SessionRig: SessionOwner {
  let turns: FuzzLoop
  let device: any Device
  var packets: GuestPackets
  private(set) var peer: FuzzPeer?
  private(set) var session: Session?
  private var ends = 0
  private var hasDevice = true
  private var acknowledges = true
  private var disconnects = 0

  init(_ turns: FuzzLoop, _ device: any Device, endpoints: [UInt8], _ input: inout FuzzInput) {
    self.turns = turns
    self.device = device
    let flags = input.byte()
    let capabilities = Capabilities(rawValue: flags & 1 == 0 ? 0xff : UInt32(input.byte()))
    packets = GuestPackets(Capabilities.negotiated(.all, capabilities), endpoints: endpoints)
    acknowledges = flags & 2 == 0
    var limits = SessionLimits()
    limits.interruptDepth = flags & 4 == 0 ? nil : 1 + input.number(9)
    if flags & 8 != 0 {
      limits.maxTransfer = 64 << 10
      limits.maxRequests = 1 + input.number(16)
      limits.maxRequestBytes = 128 << 10
    }
    let peer = FuzzPeer(.usbGuest, capabilities, smallBuffer: flags & 16 != 0)
    peer.onPacket = { [rig = Unowned(self)] in rig.value.received($0, $1, $2, $3) }
    self.peer = peer
    do throws(SystemError) {
      session = try Session(
        turns.loop, descriptor: peer.theirs, name: "fuzz", limits: limits, transport: TransportOptions(),
        log: turns.log, owner: self)
    } catch {
      check(false, error.description)
    }
    peer.send(helloBytes(capabilities), turns)
    turn()
  }

  func turn() {
    turns.turn()
    peer?.receive()
    guard disconnects > 0, acknowledges, packets.capabilities.contains(.deviceDisconnectAck) else { return }
    disconnects -= 1
    peer?.send(packetBytes(PacketType.deviceDisconnectAck.rawValue, id: 0, [], packets.capabilities), turns)
  }

  /// One packet of the guest's.
  func act(_ input: inout FuzzInput) {
    peer?.send(packets.next(&input), turns)
  }

  func toggleReading() { peer?.reads.toggle() }

  /// The device was plugged in again.
  func deviceCame() {
    hasDevice = true
    session?.wantDevice()
  }

  /// The guest leaves, and whatever is left has to come back.
  func finish() {
    let buffers = session?.buffers
    weak let session = session
    peer?.hangUp()
    turns.run(3000) { ends == 1 }
    check(ends == 1, "a session ended \(ends) times")
    check(session == nil, "a session is not freed")
    check((buffers?.inUse ?? 0) == 0, "\(buffers?.inUse ?? 0) buffers are not given back")
    check(device.owner == nil, "the device is not closed")
    peer = nil
  }

  private func received(
    _ header: PacketHeader, _ type: PacketType, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>
  ) {
    turns.isBusy = true
    switch type {
    case .controlPacket, .bulkPacket: answered(header.id, type)
    case .interruptPacket:
      if typeHeader[0] & 0x80 == 0 { answered(header.id, type) }
    case .deviceDisconnect: disconnects += 1
    default: break
    }
  }

  private func answered(_ id: UInt64, _ type: PacketType) {
    check(packets.answered(id), "\(type.description) \(id) answers nothing")
  }

  // MARK: SessionOwner

  func sessionWantsDevice(_ session: Session) {
    guard hasDevice else { return }
    session.attach(device)
    if let device = device as? VirtualDevice { hasDevice = device.isPlugged }
  }

  func sessionRejectedDevice(_ session: Session) {}

  func sessionEnded(_ session: Session, _ reason: SessionEnd) {
    check(!reason.description.isEmpty, "an end without a reason")
    ends += 1
    self.session = nil
  }
}
