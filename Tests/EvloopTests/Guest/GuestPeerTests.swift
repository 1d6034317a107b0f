// A guest's session against peers that are anything but well-behaved.
import Testing

@testable import usbredir_evloop

private let interruptIn = EndpointAddress(rawValue: 0x81)
/// In force with a peer that has everything.
private let inForce = GuestSession.capabilities

struct GuestPeerTests {
  private let loop: EventLoop
  private let host: RawHost
  private let guest: GuestRecord

  init() throws {
    loop = try EventLoop()
    host = try RawHost()
    guest = try GuestRecord(loop, host.guestDescriptor)
  }

  private func announced(_ capabilities: Capabilities = .all) {
    host.announce(capabilities)
    let guest = guest
    #expect(loop.turns { guest.session?.device != nil })
    #expect(guest.take() == ["greeted test", "connected"])
    _ = host.read()
  }

  /// Writes `bytes` and lets the guest take them.
  private func give(_ bytes: [UInt8]) {
    host.write(bytes)
    loop.someTurns()
  }

  @Test func ourHelloOffersEverythingButTheFilter() {
    loop.someTurns()
    let sent = host.read()
    #expect(sent.count == 12 + 64 + 4)
    #expect(Array(sent.prefix(12)) == [0, 0, 0, 0, 68, 0, 0, 0, 0, 0, 0, 0])
    #expect(Array(sent.suffix(4)) == [0xfb, 0, 0, 0])
  }

  @Test(arguments: [
    ("a first packet that is no hello", packet(RawHost.connect, []), "not hello"),
    ("text", Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), "a length of"),
    (
      "a second hello", hello(.all) + rawPacket(0, [UInt8](repeating: 0, count: 68), inForce),
      "a second hello"
    ),
  ])
  func aStreamThatIsNoUsbredirEndsTheSession(_ name: String, _ bytes: [UInt8], _ words: String) {
    give(bytes)
    let last = guest.lines.last ?? ""
    #expect(last.hasPrefix("ended: protocol error: ") && last.contains(words), "\(name): \(last)")
  }

  @Test func badPacketsCostThemselves() {
    announced()
    give(rawPacket(77, [1, 2, 3], inForce))
    give(packet(SetConfigurationHeader(configuration: 1), inForce))
    give(packet(RawHost.connect, inForce))
    give(packet(InterruptPacketHeader(endpoint: 0x91, status: .success, length: 0), inForce))
    give(packet(InterruptReceivingStatusHeader(status: .success, endpoint: 0xc1), inForce))
    #expect(guest.session?.badPackets == 5)
    #expect(guest.warnings.count == 5)
    #expect(guest.warnings.first == "bad packet from the server: unknown packet type 77")
    #expect(guest.take() == [])
    #expect(guest.session?.device != nil)
  }

  @Test func tooManyBadPacketsEndTheSession() {
    announced()
    for _ in 0...GuestSession.maxBadPackets { host.write(rawPacket(77, [], inForce)) }
    loop.someTurns()
    #expect(guest.take() == ["ended: too many bad packets"])
  }

  @Test func latePacketsAreDropped() {
    announced()
    let control = ControlPacketHeader(
      endpoint: 0x80, request: 6, requestType: 0x80, status: .success, value: 0, index: 0, length: 1)
    give(packet(control, id: 99, data: [1], inForce))
    give(packet(ConfigurationStatusHeader(status: .success, configuration: 1), id: 1, inForce))
    give(packet(InterruptPacketHeader(endpoint: 0x01, status: .success, length: 0), id: 7, inForce))
    give(packet(InterruptPacketHeader(endpoint: 0x81, status: .success, length: 1), data: [1], inForce))
    give(packet(InterruptReceivingStatusHeader(status: .success, endpoint: 0x81), inForce))
    give(packet(AltSettingStatusHeader(status: .success, interface: 0, alt: 0), inForce))
    give(
      packet(BulkPacketHeader(endpoint: 0x82, status: .success, length: 1, streamID: 0), data: [1], inForce))
    #expect(guest.session?.latePackets == 7)
    #expect(guest.session?.badPackets == 0)
    #expect(guest.take() == [])
  }

  /// The answer must be that of the request whose id it has, and no longer than was asked for.
  @Test func answersAreHeldAgainstTheirRequests() throws {
    announced()
    try guest.control(0x80, 6, 0x0100, length: 2)
    var answer = ControlPacketHeader(
      endpoint: 0x80, request: 7, requestType: 0x80, status: .success, value: 0, index: 0, length: 2)
    give(packet(answer, id: 1, data: [1, 2], inForce))
    #expect(guest.take() == [])
    answer.request = 6
    answer.length = 3
    give(packet(answer, id: 1, data: [1, 2, 3], inForce))
    #expect(guest.take() == ["control babble "])
    #expect(guest.session?.badPackets == 2)
    try guest.out(EndpointAddress(rawValue: 0x01), [5])
    give(packet(InterruptPacketHeader(endpoint: 0x02, status: .success, length: 1), id: 2, inForce))
    give(packet(InterruptPacketHeader(endpoint: 0x01, status: .success, length: 2), id: 2, inForce))
    give(packet(InterruptPacketHeader(endpoint: 0x01, status: .stall, length: 0), id: 2, inForce))
    #expect(guest.take() == ["out stall 0"])
    #expect(guest.session?.badPackets == 4)
  }

  @Test func answersOfOtherKindsToo() throws {
    host.write(hello(.all))
    var header = RawHost.endpoints
    header.slots[18] = EndpointInfoHeader.Slot(type: 2, interval: 0, interface: 0, maxPacketSize: 64)
    give(packet(header, inForce) + packet(RawHost.connect, inForce))
    _ = guest.take()
    let guest = guest
    try guest.session?.bulkIn(EndpointAddress(rawValue: 0x82), length: 2) { status, count, data in
      guest.note("bulk \(status) \(count) " + Hex.text(data))
    }
    try guest.session?.setAlternateSetting(3, 1) { status, inForce in guest.note("alt \(status) \(inForce)") }
    let other = BulkPacketHeader(endpoint: 0x83, status: .success, length: 1, streamID: 0)
    give(packet(other, id: 1, data: [1], inForce))
    give(packet(AltSettingStatusHeader(status: .success, interface: 3, alt: 1), id: 1, inForce))
    give(packet(AltSettingStatusHeader(status: .success, interface: 4, alt: 1), id: 2, inForce))
    #expect(guest.take() == [])
    #expect(guest.session?.badPackets == 2 && guest.session?.latePackets == 1)
    let long = BulkPacketHeader(endpoint: 0x82, status: .success, length: 3, streamID: 0)
    give(packet(long, id: 1, data: [1, 2, 3], inForce))
    give(packet(AltSettingStatusHeader(status: .inval, interface: 3, alt: 0), id: 2, inForce))
    #expect(guest.take() == ["bulk babble 0 ", "alt inval 0"])
    #expect(guest.session?.badPackets == 3)
  }

  @Test func unknownTransferTypesAreNoEndpoints() {
    var header = RawHost.endpoints
    header.slots[5].type = 9
    host.write(hello(.all) + packet(header, inForce))
    give(packet(RawHost.connect, inForce))
    #expect(guest.session?.device?.endpoints.map { $0.address.rawValue } == [0x01, 0x81])
    #expect(guest.session?.device?.interfaces == [])
    #expect(guest.warnings == ["bad packet from the server: ep_info with transfer type 9 for endpoint 0x05"])
  }

  @Test func aPeerWithoutCapabilities() throws {
    announced([])
    #expect(guest.session?.device?.release == nil)
    #expect(guest.session?.device?[interruptIn]?.maxPacketSize == 0)
    try guest.session?.startInterruptReceiving(interruptIn)
    loop.someTurns()
    #expect(host.read() == [15, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x81])
    give(packet(.deviceDisconnect, []))
    #expect(guest.take() == ["disconnected"])
    #expect(host.read() == [], "no acknowledgement without its capability")
  }

  /// Each is answered, and a peer that does not read could have us keep as many answers as it likes.
  @Test func disconnectsWithoutEndAreNotAcknowledged() {
    announced()
    for _ in 0..<GuestSession.maxBadPackets + 2 { give(packet(.deviceDisconnect, inForce)) }
    #expect(guest.take() == ["disconnected", "ended: too many bad packets"])
  }

  @Test func disconnectIsAcknowledged() {
    announced()
    give(packet(.deviceDisconnect, inForce))
    #expect(host.read() == packet(.deviceDisconnectAck, inForce))
    give(packet(.deviceDisconnect, inForce))
    #expect(host.read() == packet(.deviceDisconnectAck, inForce))
    #expect(guest.take() == ["disconnected"])
    #expect(guest.session?.badPackets == 1)
  }

  @Test func aRefusedStartEndsReceiving() throws {
    announced()
    try guest.session?.startInterruptReceiving(interruptIn)
    give(packet(InterruptReceivingStatusHeader(status: .inval, endpoint: 0x81), inForce))
    #expect(guest.take() == ["0x81 ended inval"])
    #expect(guest.session?.receiving.awaitsAnswers == false)
    #expect(guest.session?.receiving.slots == 0)
  }

  @Test func onePacketInPieces() {
    let bytes = hello(.all) + packet(RawHost.endpoints, inForce) + packet(RawHost.connect, inForce)
    for byte in bytes {
      host.write([byte])
      loop.wholeTurn()
    }
    let guest = guest
    #expect(loop.turns { guest.session?.device != nil })
  }

  @Test func hangingUpInTheMiddleOfAPacket() {
    announced()
    host.write(Array(packet(RawHost.endpoints, inForce).prefix(20)))
    host.leave()
    loop.someTurns()
    #expect(guest.take() == ["ended: the server closed the connection"])
  }
}
