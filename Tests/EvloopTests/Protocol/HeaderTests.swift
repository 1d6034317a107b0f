// Each header against bytes written by hand from the tables of usbredirproto.h.
import Testing

@testable import usbredir_evloop

struct HeaderTests {
  /// Encodes, compares, decodes, encodes again.
  private func check<Header: TypeHeader>(
    _ header: Header, in capabilities: Capabilities = [], _ expected: [UInt8],
    _ location: SourceLocation = #_sourceLocation
  ) {
    let size = PacketHeader.size(capabilities)
    let bytes = packet(header, capabilities)
    #expect(Array(bytes.dropFirst(size)) == expected, sourceLocation: location)
    #expect(Header.size(capabilities) == expected.count, sourceLocation: location)
    #expect(Header.type.typeHeaderSize(capabilities) == expected.count, sourceLocation: location)
    #expect(packet(decoded(Header.self, expected), capabilities) == bytes, sourceLocation: location)
  }

  @Test func packetHeader() {
    #expect(
      packet(.reset, id: 0x1122_3344_5566_7788, []) == [3, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x77, 0x66, 0x55])
    #expect(
      packet(.reset, id: 0x1122_3344_5566_7788, .ids64)
        == [3, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11])
    let bytes: [UInt8] = [101, 0, 0, 0, 1, 2, 3, 4, 8, 7, 6, 5, 4, 3, 2, 1]
    let narrow = PacketHeader(decoding: bytes.span, [])
    #expect(narrow == PacketHeader(type: .bulkPacket, length: 0x0403_0201, id: 0x0506_0708))
    let wide = PacketHeader(decoding: bytes.span, .ids64)
    #expect(wide == PacketHeader(type: .bulkPacket, length: 0x0403_0201, id: 0x0102_0304_0506_0708))
  }

  /// B1.2: 64 bytes of text, then the words; a 32-bit id whatever is offered.
  @Test func helloBytes() {
    let bytes = hello(.all)
    #expect(bytes.prefix(12) == [0, 0, 0, 0, 68, 0, 0, 0, 0, 0, 0, 0])
    #expect(bytes.dropFirst(12).prefix(5) == [0x74, 0x65, 0x73, 0x74, 0])
    #expect(bytes.dropFirst(16).prefix(60).allSatisfy { $0 == 0 })
    #expect(bytes.suffix(4) == [0xff, 0, 0, 0])
  }

  @Test func helloText() {
    #expect(HelloHeader(version: "usbredir-evloop 1.2.3").versionText == "usbredir-evloop 1.2.3")
    #expect(HelloHeader(version: String(repeating: "x", count: 80)).versionText.utf8.count == 63)
    let unterminated = [UInt8](repeating: 0x41, count: 64)
    #expect(decoded(HelloHeader.self, unterminated).versionText == String(repeating: "A", count: 64))
    var hostile = [UInt8](repeating: 0, count: 64)
    hostile.replaceSubrange(0..<5, with: [0x41, 0x0a, 0x1b, 0xff, 0x42])
    #expect(decoded(HelloHeader.self, hostile).versionText == "A???B")
  }

  @Test func deviceConnect() {
    let header = DeviceConnectHeader(
      speed: 2, deviceClass: 0xef, deviceSubclass: 2, deviceProtocol: 1, vendor: 0x046d, product: 0xc31c,
      deviceVersion: 0x6402)
    check(header, in: [], [2, 0xef, 2, 1, 0x6d, 0x04, 0x1c, 0xc3])
    check(header, in: .connectDeviceVersion, [2, 0xef, 2, 1, 0x6d, 0x04, 0x1c, 0xc3, 0x02, 0x64])
  }

  @Test func interfaceInfo() {
    var header = InterfaceInfoHeader()
    header.count = 2
    header.interfaces[0] = .init(number: 0, classCode: 3, subclass: 1, protocol: 1)
    header.interfaces[31] = .init(number: 7, classCode: 8, subclass: 6, protocol: 0x50)
    var expected = [UInt8](repeating: 0, count: 132)
    expected[0] = 2
    (expected[4], expected[36], expected[68], expected[100]) = (0, 3, 1, 1)
    (expected[35], expected[67], expected[99], expected[131]) = (7, 8, 6, 0x50)
    check(header, expected)
    check(InterfaceInfoHeader(), [UInt8](repeating: 0, count: 132))
  }

  /// B1.4, B2.4: three sizes, unused slots are 255.
  @Test func endpointInfo() {
    var header = EndpointInfoHeader()
    header.slots[0] = .init(type: 0, maxPacketSize: 64)
    header.slots[17] = .init(
      type: 3, interval: 10, interface: 1, maxPacketSize: 0x0408, maxStreams: 0x0102_0304)
    var expected = [UInt8](repeating: 0, count: 288)
    expected.replaceSubrange(0..<32, with: repeatElement(255, count: 32))
    expected[0] = 0
    expected[17] = 3
    expected[32 + 17] = 10
    expected[64 + 17] = 1
    expected[96] = 64
    expected.replaceSubrange(96 + 34..<96 + 36, with: [0x08, 0x04])
    expected.replaceSubrange(160 + 68..<160 + 72, with: [4, 3, 2, 1])
    check(header, in: [], Array(expected.prefix(96)))
    check(header, in: .endpointInfoMaxPacketSize, Array(expected.prefix(160)))
    check(header, in: [.bulkStreams, .endpointInfoMaxPacketSize], expected)
    check(header, in: .all, expected)
  }

  @Test func configuration() {
    check(SetConfigurationHeader(configuration: 2), [2])
    check(ConfigurationStatusHeader(status: .ioerror, configuration: 1), [3, 1])
    check(SetAltSettingHeader(interface: 4, alt: 5), [4, 5])
    check(GetAltSettingHeader(interface: 4), [4])
    check(AltSettingStatusHeader(status: .inval, interface: 4, alt: 5), [2, 4, 5])
  }

  @Test func streams() {
    check(StartIsoStreamHeader(endpoint: 0x81, packetsPerURB: 32, urbs: 16), [0x81, 32, 16])
    check(StopIsoStreamHeader(endpoint: 0x02), [2])
    check(IsoStreamStatusHeader(status: .stall, endpoint: 0x81), [4, 0x81])
    check(StartInterruptReceivingHeader(endpoint: 0x83), [0x83])
    check(StopInterruptReceivingHeader(endpoint: 0x83), [0x83])
    check(InterruptReceivingStatusHeader(status: .success, endpoint: 0x83), [0, 0x83])
  }

  @Test func bulkStreams() {
    check(AllocBulkStreamsHeader(endpoints: 0x0002_0001, streams: 16), [1, 0, 2, 0, 16, 0, 0, 0])
    check(FreeBulkStreamsHeader(endpoints: 0x8000_0000), [0, 0, 0, 0x80])
    check(
      BulkStreamsStatusHeader(endpoints: 6, streams: 0x100, status: .inval), [6, 0, 0, 0, 0, 1, 0, 0, 2])
    check(
      StartBulkReceivingHeader(streamID: 1, bytesPerTransfer: 512, endpoint: 0x82, transfers: 5),
      [1, 0, 0, 0, 0, 2, 0, 0, 0x82, 5])
    check(StopBulkReceivingHeader(streamID: 1, endpoint: 0x82), [1, 0, 0, 0, 0x82])
    check(
      BulkReceivingStatusHeader(streamID: 1, endpoint: 0x82, status: .stall), [1, 0, 0, 0, 0x82, 4])
  }

  @Test func dataPackets() {
    check(
      ControlPacketHeader(
        endpoint: 0x80, request: 6, requestType: 0x81, status: .babble, value: 0x2200, index: 3,
        length: 0x41),
      [0x80, 6, 0x81, 6, 0, 0x22, 3, 0, 0x41, 0])
    let bulk = BulkPacketHeader(endpoint: 2, status: .timeout, length: 0x0012_3456, streamID: 7)
    check(bulk, in: .bulkLength32, [2, 5, 0x56, 0x34, 7, 0, 0, 0, 0x12, 0])
    #expect(packet(bulk, []).dropFirst(12) == [2, 5, 0x56, 0x34, 7, 0, 0, 0])
    #expect(decoded(BulkPacketHeader.self, [2, 5, 0x56, 0x34, 7, 0, 0, 0]).length == 0x3456)
    check(IsoPacketHeader(endpoint: 0x81, status: .success, length: 0x0403), [0x81, 0, 3, 4])
    check(InterruptPacketHeader(endpoint: 0x81, status: .cancelled, length: 8), [0x81, 1, 8, 0])
    check(
      BufferedBulkPacketHeader(streamID: 1, length: 0x200, endpoint: 0x82, status: .success),
      [1, 0, 0, 0, 0, 2, 0, 0, 0x82, 0])
  }

  @Test func statusOfALaterVersionIsAFailure() {
    #expect(Status(wire: 0) == .success)
    #expect(Status(wire: 6) == .babble)
    #expect(Status(wire: 7) == .ioerror)
    #expect(Status(wire: 255) == .ioerror)
  }

  /// The length counts all behind the packet header, whether a header went into the headroom or the payload.
  @Test func writerCountsWhatFollows() {
    let report = packet(
      InterruptPacketHeader(endpoint: 0x81, status: .success, length: 3), id: 5, data: [1, 2, 3], .ids64)
    #expect(report == [103, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0x81, 0, 3, 0, 1, 2, 3])
    #expect(packet(EndpointInfoHeader(), .all).dropFirst(4).prefix(4) == [0x20, 1, 0, 0])
    #expect(packet(.filterFilter, data: [0x41, 0], .filter).dropFirst(4).prefix(4) == [2, 0, 0, 0])
  }
}
