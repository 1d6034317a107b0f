// The memory behind a reader: what comes in goes out in order, and no more is held than has to be.
import Testing

@testable import usbredir_evloop

struct ReceiveBufferTests {
  private func write(_ bytes: [UInt8], to buffer: ReceiveBuffer) -> Int {
    var count = 0
    unsafe buffer.withFree { free in
      count = min(bytes.count, free.count)
      unsafe free.copyBytes(from: bytes.prefix(count))
      return count
    }
    return count
  }

  private func unread(_ buffer: ReceiveBuffer) -> [UInt8] {
    buffer.withUnread { span in span.indices.map { span[$0] } }
  }

  @Test func movesOnlyWhenTheEndIsReached() {
    let buffer = ReceiveBuffer(capacity: 8)
    #expect(write([1, 2, 3, 4, 5, 6], to: buffer) == 6)
    buffer.take(4)
    #expect(write([7, 8, 9], to: buffer) == 2)
    #expect(unread(buffer) == [5, 6, 7, 8])
    #expect(write([9, 10, 11, 12, 13], to: buffer) == 4)
    #expect(unread(buffer) == [5, 6, 7, 8, 9, 10, 11, 12])
    #expect(write([13], to: buffer) == 0)
    buffer.take(8)
    #expect(buffer.count == 0)
    #expect(write([13, 14, 15, 16, 17, 18, 19, 20, 21], to: buffer) == 8)
  }

  @Test func makesRoomForWhatIsWanted() {
    let buffer = ReceiveBuffer(capacity: 8)
    _ = write([1, 2, 3, 4, 5, 6], to: buffer)
    buffer.take(5)
    buffer.wanted = 8
    #expect(write([7, 8, 9, 10, 11, 12, 13], to: buffer) == 7)
    #expect(unread(buffer) == [6, 7, 8, 9, 10, 11, 12, 13])
  }

  @Test func growsByDoublingTowardsWhatIsWanted() {
    let buffer = ReceiveBuffer(capacity: 8)
    buffer.wanted = 20
    let bytes = (0..<20).map { UInt8($0) }
    #expect(write(bytes, to: buffer) == 8)
    #expect(buffer.capacity == 8)
    #expect(write(Array(bytes[8...]), to: buffer) == 8)
    #expect(buffer.capacity == 16)
    #expect(write(Array(bytes[16...]), to: buffer) == 4)
    #expect(buffer.capacity == 20)
    #expect(unread(buffer) == bytes)
  }

  @Test func givesLargeMemoryBack() {
    let large = ReceiveBuffer.keptCapacity + 1
    let buffer = ReceiveBuffer(capacity: 64)
    buffer.wanted = large
    var left = large
    while left > 0 {
      left -= write([UInt8](repeating: 7, count: left), to: buffer)
    }
    #expect(buffer.capacity == large)
    buffer.take(large - 3)
    buffer.wanted = 12
    #expect(write([8], to: buffer) == 1)
    #expect(buffer.capacity == 64)
    #expect(unread(buffer) == [7, 7, 7, 8])
  }
}
