// The faults of B1.4–B1.8 as one table: bytes, who reads them, what is said.
import Testing

@testable import usbredir_evloop

struct PacketFaultTests {
  struct Row: CustomTestStringConvertible {
    let reader: Role
    var capabilities: Capabilities = .all
    let type: UInt32
    let body: [UInt8]
    var length: UInt32?
    /// nil when the packet is right.
    let fault: PacketFault?

    var testDescription: String { fault?.description ?? "type \(type) is right" }
  }

  static let rejected: [Row] = [
    Row(reader: .usbHost, type: 28, body: [], fault: .unknownType(28)),
    Row(reader: .usbGuest, type: 99, body: [1], fault: .unknownType(99)),
    Row(reader: .usbHost, type: 0x8000_0000, body: [1, 2, 3], fault: .unknownType(0x8000_0000)),
    // Direction of types.
    Row(reader: .usbHost, type: 2, body: [], fault: .wrongDirection(.deviceDisconnect)),
    Row(reader: .usbHost, type: 17, body: [0, 0x81], fault: .wrongDirection(.interruptReceivingStatus)),
    Row(reader: .usbHost, type: 104, body: [], fault: .wrongDirection(.bufferedBulkPacket)),
    Row(reader: .usbGuest, type: 3, body: [], fault: .wrongDirection(.reset)),
    Row(reader: .usbGuest, type: 15, body: [0x81], fault: .wrongDirection(.startInterruptReceiving)),
    // Capabilities (B1.4).
    Row(reader: .usbHost, capabilities: .ids64, type: 22, body: [], fault: .notNegotiated(.filterReject)),
    Row(reader: .usbHost, capabilities: [], type: 23, body: [0], fault: .notNegotiated(.filterFilter)),
    Row(reader: .usbHost, capabilities: [], type: 24, body: [], fault: .notNegotiated(.deviceDisconnectAck)),
    Row(
      reader: .usbHost, capabilities: .endpointInfoMaxPacketSize, type: 18,
      body: [1, 0, 0, 0, 1, 0, 0, 0], fault: .notNegotiated(.allocBulkStreams)),
    Row(
      reader: .usbHost, capabilities: .bulkStreams, type: 19, body: [1, 0, 0, 0],
      fault: .notNegotiated(.freeBulkStreams)),
    Row(
      reader: .usbGuest, capabilities: [], type: 104, body: [0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0],
      fault: .notNegotiated(.bufferedBulkPacket)),
    // Lengths.
    Row(reader: .usbHost, type: 3, body: [1], fault: .wrongLength(.reset, length: 1)),
    Row(reader: .usbHost, type: 6, body: [], fault: .wrongLength(.setConfiguration, length: 0)),
    Row(reader: .usbHost, type: 6, body: [1, 2], fault: .wrongLength(.setConfiguration, length: 2)),
    Row(reader: .usbHost, type: 100, body: [0x80, 0, 0], fault: .wrongLength(.controlPacket, length: 3)),
    Row(
      reader: .usbGuest, capabilities: [], type: 1, body: [UInt8](repeating: 0, count: 10),
      fault: .wrongLength(.deviceConnect, length: 10)),
    Row(
      reader: .usbGuest, type: 5, body: [UInt8](repeating: 0, count: 160),
      fault: .wrongLength(.endpointInfo, length: 160)),
    Row(
      reader: .usbHost, type: 101, body: [0x81, 0, 0, 1, 0, 0, 0, 0],
      fault: .wrongLength(.bulkPacket, length: 8)),
    // Data (B1.6).
    Row(
      reader: .usbHost, type: 100, body: [0x80, 6, 0x80, 0, 0, 1, 0, 0, 2, 0, 1, 2],
      fault: .unexpectedData(.controlPacket, endpoint: 0x80)),
    Row(
      reader: .usbHost, type: 100, body: [0, 9, 0, 0, 0, 1, 0, 0, 2, 0, 1],
      fault: .wrongDataLength(.controlPacket, announced: 2, found: 1)),
    Row(
      reader: .usbGuest, type: 100, body: [0x80, 6, 0x80, 0, 0, 1, 0, 0, 2, 0],
      fault: .wrongDataLength(.controlPacket, announced: 2, found: 0)),
    Row(
      reader: .usbHost, type: 101, body: [0x02, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1],
      fault: .wrongDataLength(.bulkPacket, announced: 0x10001, found: 1)),
    Row(
      reader: .usbGuest, type: 103, body: [0x02, 0, 1, 0, 9],
      fault: .unexpectedData(.interruptPacket, endpoint: 0x02)),
    Row(
      reader: .usbHost, type: 103, body: [0x81, 0, 0, 0],
      fault: .wrongEndpoint(.interruptPacket, endpoint: 0x81)),
    Row(
      reader: .usbHost, type: 102, body: [0x81, 0, 0, 0], fault: .wrongEndpoint(.isoPacket, endpoint: 0x81)),
    Row(
      reader: .usbGuest, type: 102, body: [0x01, 0, 0, 0], fault: .wrongEndpoint(.isoPacket, endpoint: 0x01)),
    Row(
      reader: .usbGuest, type: 104, body: [0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0],
      fault: .wrongEndpoint(.bufferedBulkPacket, endpoint: 0x01)),
    // Endpoints that are to be IN.
    Row(
      reader: .usbHost, type: 15, body: [0x01], fault: .wrongEndpoint(.startInterruptReceiving, endpoint: 1)),
    Row(
      reader: .usbHost, type: 16, body: [0x01], fault: .wrongEndpoint(.stopInterruptReceiving, endpoint: 1)),
    Row(
      reader: .usbGuest, type: 17, body: [0, 0x01],
      fault: .wrongEndpoint(.interruptReceivingStatus, endpoint: 1)),
    Row(
      reader: .usbHost, type: 25, body: [0, 0, 0, 0, 0, 2, 0, 0, 2, 1],
      fault: .wrongEndpoint(.startBulkReceiving, endpoint: 2)),
    Row(
      reader: .usbHost, type: 26, body: [0, 0, 0, 0, 2],
      fault: .wrongEndpoint(.stopBulkReceiving, endpoint: 2)),
    Row(
      reader: .usbGuest, type: 27, body: [0, 0, 0, 0, 2, 0],
      fault: .wrongEndpoint(.bulkReceivingStatus, endpoint: 2)),
    // The rest.
    Row(
      reader: .usbGuest, type: 4, body: [33] + [UInt8](repeating: 0, count: 131),
      fault: .tooManyInterfaces(33)),
    Row(reader: .usbHost, type: 23, body: [], fault: .unterminatedFilter),
    Row(reader: .usbHost, type: 23, body: [0x41], fault: .unterminatedFilter),
    // Their right neighbours.
    Row(reader: .usbHost, type: 23, body: [0x41, 0], fault: nil),
    Row(reader: .usbHost, type: 100, body: [0x80, 6, 0x80, 0, 0, 1, 0, 0, 0xff, 0xff], fault: nil),
    Row(reader: .usbHost, capabilities: [], type: 101, body: [0x81, 0, 0, 1, 0, 0, 0, 0], fault: nil),
    Row(reader: .usbGuest, type: 103, body: [0x02, 0, 1, 0], fault: nil),
    Row(reader: .usbGuest, type: 103, body: [0x81, 0, 0, 0], fault: nil),
    Row(reader: .usbGuest, type: 4, body: [32] + [UInt8](repeating: 0, count: 131), fault: nil),
  ]

  /// B1.7: the packet is lost, the stream is not; and debug builds say the same before a send (B1.9).
  @Test(arguments: rejected)
  func costsThePacketAlone(row: Row) {
    let inForce = Capabilities.negotiated(.all, row.capabilities)
    let bytes = rawPacket(row.type, id: 4, row.body, inForce)
    let after = packet(row.reader == .usbHost ? .cancelDataPacket : .deviceDisconnect, inForce)
    for piece in [1, Int.max] {
      let all = received(row.reader, row.capabilities, bytes + after, piece: piece)
      #expect(all.count == 2)
      #expect(all.first?.fault == row.fault)
      #expect(all.last?.type == (row.reader == .usbHost ? .cancelDataPacket : .deviceDisconnect))
    }
    #expect(checked(bytes, sentBy: row.reader.peer, inForce) == row.fault)
  }

  /// The session answers from what is there: the type header when it could be had, else nothing.
  @Test func typeHeaderOfTheRefused() {
    let inBody: [UInt8] = [0x81, 0, 0, 0]
    let header = PacketHeader(type: .interruptPacket, length: 4, id: 0)
    #expect(
      received(.usbHost, .all, rawPacket(103, inBody, .all))
        == [.rejected(header, inBody, .wrongEndpoint(.interruptPacket, endpoint: 0x81))])
    let short = PacketHeader(type: .setConfiguration, length: 0, id: 6)
    #expect(
      received(.usbHost, .all, rawPacket(6, id: 6, [], .all))
        == [.rejected(short, [], .wrongLength(.setConfiguration, length: 0))])
  }

  static let broken: [(bytes: [UInt8], fault: PacketFault)] = [
    (rawPacket(3, [], []), .notHello(typeNumber: 3)),
    (rawPacket(28, [], []), .notHello(typeNumber: 28)),
    (Array("GET / HTTP/1.1\r\n\r\n".utf8), .hugeLength(0x5448_202f)),
    ([UInt8](repeating: 0xff, count: 20), .hugeLength(.max)),
    (rawPacket(0, [UInt8](repeating: 0, count: 63), []), .wrongLength(.hello, length: 63)),
    (rawPacket(0, [], []), .wrongLength(.hello, length: 0)),
    (
      rawPacket(0, length: 64 + 260, [UInt8](repeating: 0, count: 64), []),
      .overLimit(.hello, length: 260, limit: 256)
    ),
    (rawPacket(0, length: (128 << 20) + 1025, [], []), .hugeLength((128 << 20) + 1025)),
    (hello([]) + hello([]), .secondHello),
    (hello([]) + rawPacket(101, length: (128 << 20) + 1025, [], []), .hugeLength((128 << 20) + 1025)),
    (hello([]) + rawPacket(77, length: .max, [], []), .hugeLength(.max)),
  ]

  /// B1.5, B1.7: said once, and nothing is read afterwards.
  @Test(arguments: broken)
  func endsTheStream(row: (bytes: [UInt8], fault: PacketFault)) {
    for piece in [1, Int.max] {
      for role in [Role.usbHost, .usbGuest] {
        let recorder = Recorder()
        let reader = PacketReader(role: role, capabilities: .all)
        feed(reader, row.bytes + hello([]) + packet(.filterFilter, data: [0], []), piece: piece, recorder)
        #expect(recorder.all.filter { $0.type != .hello } == [.broken(row.fault)])
        reader.drain(recorder)
        #expect(recorder.all.last == .broken(row.fault))
      }
    }
  }

  /// The largest length that is still framed: refused, skipped, and the stream goes on behind it.
  @Test func largestLengthIsSkipped() {
    let recorder = Recorder()
    let reader = reader(.usbHost, [])
    feed(reader, rawPacket(101, length: PacketLimits.packet, [0x02, 0, 0, 0, 0, 0, 0, 0], []), recorder)
    #expect(recorder.all.count == 1)
    #expect(recorder.all[0].fault == .wrongDataLength(.bulkPacket, announced: 0, found: (128 << 20) + 1016))
    #expect(reader.memory == PacketReader.regionCapacity)
  }

  @Test func faultsReadAsSentences() {
    #expect(PacketFault.unknownType(77).description == "unknown packet type 77")
    #expect(
      PacketFault.notNegotiated(.filterReject).description == "filter_reject without capability filter")
    #expect(
      PacketFault.wrongEndpoint(.stopInterruptReceiving, endpoint: 1).description
        == "stop_interrupt_receiving for endpoint 0x01, whose direction does not fit")
  }

  /// Whatever is cut off or added: what leaves us is exactly one packet.
  @Test func checkerWantsOnePacket() {
    let bytes = packet(
      InterruptPacketHeader(endpoint: 0x81, status: .success, length: 2), data: [1, 2], .all)
    #expect(checked(bytes, sentBy: .usbHost, .all) == nil)
    #expect(checked(hello(.all), sentBy: .usbHost, .all) == nil)
    for count in 0..<bytes.count {
      #expect(checked(Array(bytes[..<count]), sentBy: .usbHost, .all) != nil)
    }
    #expect(checked(bytes + [0], sentBy: .usbHost, .all) != nil)
    #expect(checked(bytes, sentBy: .usbGuest, .all) != nil)
  }
}
