// Random packets arrive as they were sent; random bytes never do harm. The seeds are fixed: a failure
// repeats.
import Testing

@testable import usbredir_evloop

struct ProtocolPropertyTests {
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
        sent.append(random.packet(type, sentBy: sender, inForce).bytes)
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
        let body = random.bytes(.random(in: 0...300, using: &random))
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
      feed(reader, random.bytes(.random(in: 0...100, using: &random)), piece: 7, recorder)
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
