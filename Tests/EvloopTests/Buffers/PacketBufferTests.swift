// Headroom, payload and pools: the memory of every packet.
import Testing

@testable import usbredir_evloop

struct PacketBufferTests {
  @Test func headersStandInFrontOfThePayload() {
    let pool = BufferPool(capacity: 8, keep: 1)
    let buffer = pool.take()
    #expect(buffer.count == 0 && buffer.capacity == 8)
    buffer.copy([0, 0, 0, 0, 0, 0, 0, 0].span)
    buffer.copy([1, 2, 3].span)
    buffer.prepend(2) { $0.put(UInt16(0x0a0b), at: 0) }
    buffer.prepend(1) { $0.put(UInt8(0xff), at: 0) }
    #expect(buffer.withBytes(array) == [0xff, 0x0b, 0x0a, 1, 2, 3])
    #expect(buffer.withPayload(array) == [1, 2, 3])
    buffer.setPayload(count: 8)
    #expect(buffer.withBytes(array) == [1, 2, 3, 0, 0, 0, 0, 0], "the headers are gone, the payload stays")
    buffer.fill(4) { $0.put(UInt32(0x0403_0201), at: 0) }
    #expect(buffer.withBytes(array) == [1, 2, 3, 4])
  }

  @Test func allOfTheHeadroomCanBeUsed() {
    let buffer = BufferPool(capacity: 0, keep: 0).take()
    buffer.prepend(PacketBuffer.headroom) {
      for offset in 0..<PacketBuffer.headroom { $0.put(UInt8(offset), at: offset) }
    }
    #expect(buffer.withBytes(array) == (0..<32).map { UInt8($0) })
  }

  @Test func aPoolUsesBuffersAgainAndKeepsSoMany() {
    let pool = BufferPool(capacity: 4, keep: 2)
    let owner = Owner()
    unsafe pool.owner = owner
    let buffers = (0..<3).map { _ in pool.take() }
    #expect(pool.inUse == 3)
    let identities = buffers.map { ObjectIdentifier($0) }
    buffers[0].copy([9].span)
    for buffer in buffers { buffer.release() }
    #expect(pool.inUse == 0 && owner.returned == 3)
    let again = (0..<3).map { _ in pool.take() }
    #expect(again.filter { identities.contains(ObjectIdentifier($0)) }.count >= 2)
    #expect(again.allSatisfy { $0.count == 0 && $0.next == nil })
  }

  @Test func aBufferOutlivesItsPoolsUser() {
    weak var seen: BufferPool?
    var buffer: PacketBuffer?
    do {
      let pool = BufferPool(capacity: 4, keep: 1)
      seen = pool
      buffer = pool.take()
    }
    #expect(seen != nil)
    buffer?.release()
    buffer = nil
    #expect(seen == nil)
  }

  @Test(
    "B1.8: sizes are powers of two, larger ones go by themselves",
    arguments: [
      (0, 64), (64, 64), (65, 128), (4096, 4096), (100_000, 131_072), (8 << 20, 8 << 20),
      (8 << 20 + 1, 8 << 20 + 1),
    ])
  func sizedPools(count: Int, capacity: Int) {
    let pools = SizedBufferPools()
    let buffer = pools.take(count)
    #expect(buffer.capacity == capacity)
    #expect(pools.inUse == (capacity <= 8 << 20 ? 1 : 0))
    buffer.release()
    #expect(pools.inUse == 0)
  }

  @Test("B1.8: a size for which there is no memory is refused, and nothing is counted as out")
  func noMemory() {
    #expect(SizedBufferPools().takeIfPossible(1 << 50) == nil)
    let pool = BufferPool(capacity: 1 << 50, keep: 1)
    #expect(pool.takeIfPossible() == nil)
    #expect(pool.inUse == 0)
  }

  @Test func numbersAreLittleEndianAtAnyOffset() {
    let buffer = BufferPool(capacity: 32, keep: 0).take()
    buffer.fill(32) {
      $0.put(UInt8(0x01), at: 0)
      $0.put(UInt16(0x0302), at: 1)
      $0.put(UInt32(0x0706_0504), at: 3)
      $0.put(UInt64(0x0f0e_0d0c_0b0a_0908), at: 7)
    }
    #expect(Array(buffer.withPayload(array).prefix(15)) == (1...15).map { UInt8($0) })
    buffer.withPayload {
      #expect($0.u16(at: 1) == 0x0302)
      #expect($0.u32(at: 3) == 0x0706_0504)
      #expect($0.u64(at: 7) == 0x0f0e_0d0c_0b0a_0908)
    }
  }

  private final class Owner: BufferPoolOwner {
    var returned = 0
    func bufferReturned(to pool: BufferPool) { returned += 1 }
  }
}
