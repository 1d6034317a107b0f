// Every packet, both roles, every capability set, byte for byte: what the C parser encodes we decode, and
// what we encode it decodes. What it refuses we refuse (B1.4, B1.6, B1.9).
import Testing

@testable import usbredir_evloop

struct PacketInteropTests {
  /// The capability sets that differ in what is in force: each once.
  private static var capabilitySets: [Capabilities] {
    var seen: Set<UInt32> = []
    return (0...255).map { Capabilities.negotiated(.all, Capabilities(rawValue: $0)) }
      .filter { seen.insert($0.rawValue).inserted }
  }

  private func types(sentBy sender: Role, _ capabilities: Capabilities) -> [PacketType] {
    PacketType.allCases.filter {
      $0 != .hello && $0.maySend(sender) && capabilities.isSuperset(of: $0.requiredCapabilities)
    }
  }

  /// A guest's parser offers the ack by itself.
  @Test func hellosAreTheSame() {
    for capabilities in PacketInteropTests.capabilitySets {
      #expect(CParser(.usbHost, capabilities).written() == hello(capabilities))
      let guests = capabilities.union(.deviceDisconnectAck)
      #expect(CParser(.usbGuest, capabilities).written() == hello(guests))
    }
  }

  @Test(arguments: [Role.usbHost, .usbGuest])
  func everyPacketBothWays(sender: Role) {
    var random = SeededGenerator(seed: 31)
    for theirs in PacketInteropTests.capabilitySets {
      let sending = CParser.agreed(sender, .all, theirs)
      let receiving = CParser.agreed(sender.peer, theirs, theirs)
      #expect(sending.capabilities == theirs && receiving.capabilities == theirs)
      for type in types(sentBy: sender, theirs) {
        check(random.packet(type, sentBy: sender, theirs), sender, sending, receiving)
      }
    }
  }

  @Test(
    "B1.4: lengths that do not fit 16 bits", arguments: [Role.usbHost, .usbGuest], [65535, 65536, 1 << 20])
  func longBulkPackets(sender: Role, length: Int) {
    let bytes = [UInt8](repeating: 0x5a, count: length)
    let sending = CParser.agreed(sender, .all, .all)
    let receiving = CParser.agreed(sender.peer, .all, .all)
    for (endpoint, data) in [
      (0x02, sender == .usbGuest ? bytes : []), (0x82, sender == .usbGuest ? [] : bytes),
    ] {
      let header = BulkPacketHeader(
        endpoint: UInt8(endpoint), status: .success, length: UInt32(length), streamID: 0x0102_0304)
      check(parts(.bulkPacket, header, data), sender, sending, receiving)
    }
    guard sender == .usbHost else { return }
    let header = BufferedBulkPacketHeader(
      streamID: 7, length: UInt32(length), endpoint: 0x82, status: .success)
    check(parts(.bufferedBulkPacket, header, bytes), sender, sending, receiving)
  }

  private func parts<Header: TypeHeader>(_ type: PacketType, _ header: Header, _ data: [UInt8]) -> PacketParts
  {
    let whole = packet(header, id: 9, .all)
    let typeHeader = Array(whole.suffix(type.typeHeaderSize(.all)))
    return PacketParts(type: type, id: 9, header: typeHeader, data: data, capabilities: .all)
  }

  private func check(_ packet: PacketParts, _ sender: Role, _ sending: CParser, _ receiving: CParser) {
    let ours = packet.reencoded
    let name = packet.type.description
    #expect(ours == packet.bytes, "\(name): our encoding")
    #expect(sending.encoded(packet) == ours, "\(name): the C parser's encoding")
    receiving.read(ours)
    let seen = CParser.Seen(type: packet.type, id: packet.id, header: packet.header, data: packet.data)
    #expect(receiving.seen.last == seen, "\(name): what the C parser decodes")
    #expect(receiving.errors == [])
    let header = PacketHeader(
      type: packet.type, length: UInt32(packet.header.count + packet.data.count), id: packet.id)
    let arrived = received(sender.peer, packet.capabilities, ours)
    #expect(arrived == [.packet(header, packet.header, packet.data)], "\(name): what we decode")
    #expect(checked(ours, sentBy: sender, packet.capabilities) == nil)
  }

  /// B1.2: as few words as it likes.
  @Test func helloWithoutWords() {
    let parser = CParser.agreed(.usbGuest, .all, [])
    let bare = CParser(.usbGuest, .all)
    bare.read(rawPacket(0, [UInt8](repeating: 0x41, count: 64), []))
    for parser in [parser, bare] {
      parser.read(packet(.deviceDisconnect, []))
      #expect(parser.seen.map(\.type) == [.deviceDisconnect])
      #expect(parser.errors == [])
    }
  }

  /// Legal packets with something changed: type, length, endpoint, sender. Either both take one or none does.
  @Test(arguments: [Role.usbHost, .usbGuest], [41, 42, 43] as [UInt64])
  func refusalsAreTheSame(reader: Role, seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var taken = 0
    var refused = 0
    for capabilities in PacketInteropTests.capabilitySets {
      // The parser looks at one side's capabilities where both count: so both sides have the same ones.
      if reader == .usbGuest, !capabilities.contains(.deviceDisconnectAck) { continue }
      let parser = CParser.agreed(reader, capabilities, capabilities)
      for _ in 0..<30 {
        let bytes = changedPacket(capabilities, &random)
        let accepts = parserAccepts(parser, bytes)
        let fault = checked(bytes, sentBy: reader.peer, capabilities)
        if isStricter(fault) { continue }
        #expect(
          accepts == (fault == nil),
          "\(fault?.description ?? "no fault"): \(bytes), \(parser.errors.suffix(1))")
        #expect(readerAccepts(reader, capabilities, bytes) == accepts)
        if accepts { taken += 1 } else { refused += 1 }
      }
    }
    #expect(taken > 100 && refused > 100)
  }

  private func changedPacket(_ capabilities: Capabilities, _ random: inout SeededGenerator) -> [UInt8] {
    let type = PacketType.allCases[Int.random(in: 1..<PacketType.allCases.count, using: &random)]
    let sender: Role = Bool.random(using: &random) ? .usbHost : .usbGuest
    let packet = random.packet(type, sentBy: sender, capabilities)
    var number = type.rawValue
    var body = packet.header + packet.data
    switch Int.random(in: 0...5, using: &random) {
    case 0: number = .random(in: 1...110, using: &random)
    case 1: body = Array(body.dropLast(.random(in: 1...4, using: &random)))
    case 2: body += random.bytes(.random(in: 1...4, using: &random))
    case 3 where !body.isEmpty:
      // Not the upper half of a length: what is over our limits has tests of its own.
      body[Int.random(in: 0..<min(body.count, 5), using: &random)] ^= 0x80
    default: break
    }
    return rawPacket(number, id: packet.id, body, capabilities)
  }

  /// Where we refuse what the parser takes, by intent: streams without their capability (B1.4).
  private func isStricter(_ fault: PacketFault?) -> Bool {
    switch fault {
    case .notNegotiated(.allocBulkStreams), .notNegotiated(.freeBulkStreams),
      .notNegotiated(.bulkStreamsStatus):
      true
    default: false
    }
  }

  private func parserAccepts(_ parser: CParser, _ bytes: [UInt8]) -> Bool {
    let before = parser.seen.count
    let errors = parser.errors.count
    parser.read(bytes)
    // A filter that it frames but cannot read is not handed out; to us that is the session's matter.
    if parser.errors.dropFirst(errors).contains(where: {
      $0.hasPrefix("usbredirparser: error parsing filter")
    }) {
      return true
    }
    return parser.seen.count > before
  }

  private func readerAccepts(_ role: Role, _ capabilities: Capabilities, _ bytes: [UInt8]) -> Bool {
    let all = received(role, capabilities, bytes, maxTransfer: PacketLimits.parserTransfer)
    #expect(all.count == 1)
    return all.first?.type != nil
  }
}
