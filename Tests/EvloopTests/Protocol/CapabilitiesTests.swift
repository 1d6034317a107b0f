// B1.3: what is in force; B1.4: what it gates.
import Testing

@testable import usbredir_evloop

struct CapabilitiesTests {
  @Test func inForceIsWhatBothHave() {
    #expect(Capabilities.negotiated(.all, .all) == .all)
    #expect(Capabilities.negotiated(.all, []) == [])
    #expect(Capabilities.negotiated([.ids64, .filter], [.filter, .bulkReceiving]) == .filter)
    #expect(Capabilities.negotiated(.all, Capabilities(rawValue: 0xffff_ff20)) == .ids64)
  }

  @Test func streamsNeedMaxPacketSizeOnEachSide() {
    #expect(Capabilities.negotiated(.all, .bulkStreams) == [])
    #expect(Capabilities.negotiated([.bulkStreams, .ids64], .all) == .ids64)
    let both: Capabilities = [.bulkStreams, .endpointInfoMaxPacketSize]
    #expect(Capabilities.negotiated(.all, both) == both)
  }

  @Test func firstWordCounts() {
    func word(_ bytes: [UInt8]) -> Capabilities { Capabilities(decoding: bytes.span) }
    #expect(word([]) == [])
    #expect(word([1, 2, 3]) == [])
    #expect(word([0x20, 0, 0, 0, 0xff, 0, 0, 0]) == .ids64)
  }

  @Test func namesForLogs() {
    #expect(Capabilities().description == "none")
    #expect(Capabilities([.ids64, .bulkStreams]).description == "bulk_streams 64bits_ids")
    #expect(Capabilities.all.description.split(separator: " ").count == 8)
    #expect(Capabilities(rawValue: 0x100).description == "none")
  }

  /// The numbers are the protocol's: 28 control and 5 data types, no gaps.
  @Test func packetTypes() {
    #expect(PacketType.allCases.map(\.rawValue) == Array(0...27) + Array(100...104))
    #expect(PacketType(rawValue: 28) == nil)
    #expect(Set(PacketType.allCases.map(\.description)).count == 33)
    #expect(PacketType.allCases.filter(\.isDataPacket).count == 5)
    #expect(PacketType.allCases.filter { $0.maySend(.usbHost) }.count == 17)
    #expect(PacketType.allCases.filter { $0.maySend(.usbGuest) }.count == 22)
    #expect(PacketType.allCases.filter { !$0.requiredCapabilities.isEmpty }.count == 10)
  }
}
