// What becomes of a packet of an isochronous transfer.
import Testing

@testable import usbredir_evloop

struct IsoPacketTests {
  /// A usbip server's numbers pass the kernel unchecked, but for their sum.
  @Test("no packet has moved more than it has room for", arguments: [65, 0xffff, 0x1_0000, .max] as [UInt32])
  func longerThanItsPlace(count: UInt32) {
    var packet = IsoPacket(length: 64)
    packet.end(.completed, moved: count)
    #expect(packet == IsoPacket(length: 64, actualLength: 64))
  }

  @Test func whatHasMoved() {
    var packet = IsoPacket(length: 64)
    packet.end(.failed, moved: 3)
    #expect(packet == IsoPacket(length: 64, actualLength: 3, status: .failed))
  }
}
