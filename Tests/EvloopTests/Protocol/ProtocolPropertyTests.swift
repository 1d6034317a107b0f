// Random packets arrive as they were sent; random bytes never do harm. The seeds are fixed: a failure
// repeats.
import Testing

@testable import usbredir_evloop

struct ProtocolPropertyTests {
  /// A legal packet of `type`: random bytes where anything goes, the fields of B1.6 set right.
  private func legalPacket(
    _ type: PacketType, sentBy sender: Role, _ capabilities: Capabilities, _ random: inout SeededGenerator
  ) -> [UInt8] {
    var header = randomBytes(type.typeHeaderSize(capabilities), &random)
    var data: [UInt8] = []
    let isIn = sender == .usbHost
    switch type {
    case .filterFilter: data = randomBytes(.random(in: 0...40, using: &random), &random) + [0]
    case .interfaceInfo: header.replaceSubrange(0..<4, with: [.random(in: 0...32, using: &random), 0, 0, 0])
    case .startInterruptReceiving, .stopInterruptReceiving: header[0] |= 0x80
    case .interruptReceivingStatus: header[1] |= 0x80
    case .startBulkReceiving:
      header.replaceSubrange(6..<8, with: [0x10, 0])
      header[8] |= 0x80
    case .stopBulkReceiving, .bulkReceivingStatus: header[4] |= 0x80
    default:
      guard type.isDataPacket else { break }
      data = randomBytes(.random(in: 0...300, using: &random), &random)
      setDataFields(type, &header, endpoint: isIn ? 0x83 : 0x03, length: data.count)
    }
    let id = random.next() >> (capabilities.contains(.ids64) ? 0 : 32)
    return rawPacket(type.rawValue, id: id, header + data, capabilities)
  }

  private func setDataFields(_ type: PacketType, _ header: inout [UInt8], endpoint: UInt8, length: Int) {
    let low = [UInt8(truncatingIfNeeded: length), UInt8(truncatingIfNeeded: length >> 8)]
    switch type {
    case .controlPacket:
      header[0] = endpoint
      header.replaceSubrange(8..<10, with: low)
    case .bufferedBulkPacket:
      header.replaceSubrange(4..<8, with: low + [0, 0])
      header[8] = endpoint
    default:
      header[0] = endpoint
      header.replaceSubrange(2..<4, with: low)
      if header.count == 10 { header.replaceSubrange(8..<10, with: [0, 0]) }
    }
  }

  private func randomBytes(_ count: Int, _ random: inout SeededGenerator) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  @Test(arguments: [Role.usbHost, .usbGuest], [1, 2, 3, 4] as [UInt64])
  func legalPacketsArrive(sender: Role, seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<8 {
      let theirs = Capabilities(rawValue: UInt32.random(in: 0...255, using: &random))
      let inForce = Capabilities.negotiated(.all, theirs)
      let types = PacketType.allCases.filter {
        $0 != .hello && $0.maySend(sender) && inForce.isSuperset(of: $0.requiredCapabilities)
      }
      var sent: [[UInt8]] = []
      for _ in 0..<100 {
        let type = types[Int.random(in: 0..<types.count, using: &random)]
        sent.append(legalPacket(type, sentBy: sender, inForce, &random))
      }
      let recorder = Recorder()
      let reader = reader(sender.peer, theirs)
      feed(reader, Array(sent.joined()), piece: .random(in: 1...2000, using: &random), recorder)
      let arrived = recorder.all.map { received -> [UInt8] in
        guard case .packet(let header, let typeHeader, let data) = received else { return [] }
        return rawPacket(header.typeNumber, length: header.length, id: header.id, typeHeader + data, inForce)
      }
      #expect(arrived.count == sent.count)
      for (arrived, sent) in zip(arrived, sent) where arrived != sent {
        Issue.record("sent \(sent), arrived \(arrived)")
        return
      }
      #expect(sent.compactMap { checked($0, sentBy: sender, inForce) } == [])
    }
  }

  /// Garbage behind a hello, with real types often enough to get past the first check.
  @Test(arguments: [Role.usbHost, .usbGuest], [11, 12, 13, 14] as [UInt64])
  func garbageDoesNoHarm(role: Role, seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<200 {
      let theirs = Capabilities(rawValue: UInt32.random(in: 0...255, using: &random))
      let inForce = Capabilities.negotiated(.all, theirs)
      var bytes: [UInt8] = []
      for _ in 0..<20 {
        let type = UInt32.random(in: 0...1, using: &random) * 100 + .random(in: 0...28, using: &random)
        let body = randomBytes(.random(in: 0...300, using: &random), &random)
        let lie = UInt32.random(in: 0...9, using: &random) == 0
        bytes += rawPacket(type, length: lie ? .random(in: 0...70_000, using: &random) : nil, body, inForce)
      }
      let recorder = Recorder()
      let reader = reader(role, theirs)
      feed(reader, bytes, piece: .random(in: 1...5000, using: &random), recorder)
      checkReceived(recorder.all, role, inForce)
      #expect(reader.memory <= 2 * 70_000)
    }
  }

  /// No hello at all: the first bytes end it, or too little came.
  @Test func noiseInsteadOfHello() {
    var random = SeededGenerator(seed: 21)
    for _ in 0..<500 {
      let recorder = Recorder()
      let reader = PacketReader(role: .usbHost, capabilities: .all)
      feed(reader, randomBytes(.random(in: 0...100, using: &random), &random), piece: 7, recorder)
      #expect(recorder.all.count <= 1)
      if case .packet = recorder.all.first { #expect(Bool(false)) }
    }
  }

  /// What is handed out is what the rules promise, and what breaks comes last.
  private func checkReceived(_ all: [Received], _ role: Role, _ capabilities: Capabilities) {
    for (index, received) in all.enumerated() {
      switch received {
      case .packet(let header, let typeHeader, let data):
        let bytes = rawPacket(header.typeNumber, length: header.length, typeHeader + data, capabilities)
        #expect(checked(bytes, sentBy: role.peer, capabilities) == nil)
      case .rejected(_, _, let fault): #expect(!fault.description.isEmpty)
      case .broken: #expect(index == all.count - 1)
      }
    }
  }
}
