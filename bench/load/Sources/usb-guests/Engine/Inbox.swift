// The memory a guest receives into. Packets are read where they lie; what is incomplete moves to the front
// only when the room behind it runs out.
import CLoad
import Glibc

/// Bytes received and not yet taken. It grows to the longest packet.
final class Inbox {
  private static let least = 256 << 10

  private var memory: UnsafeMutableRawPointer
  private var capacity = Inbox.least
  private var start = 0
  private var end = 0

  init() {
    memory = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit {
    memory.deallocate()
  }

  var count: Int { end - start }
  var bytes: UnsafeRawPointer { UnsafeRawPointer(memory + start) }

  /// One recv(2): bytes received, 0 at the end of the stream, -1 with errno.
  func receive(from descriptor: Int32, atMost limit: Int = .max) -> Int {
    let received = recv(descriptor, memory + end, min(capacity - end, limit), 0)
    if received > 0 { end += received }
    return received
  }

  /// Forgets bytes at the front.
  func take(_ count: Int) {
    start += count
  }

  /// Makes room for a packet of so many bytes, and some more behind it.
  func makeRoom(for packet: Int) {
    if start == end {
      start = 0
      end = 0
    }
    if packet > capacity { return grow(to: packet + Inbox.least) }
    guard capacity - start < packet || capacity - end < Inbox.least / 4 else { return }
    memory.copyMemory(from: memory + start, byteCount: count)
    end -= start
    start = 0
  }

  private func grow(to size: Int) {
    let larger = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
    larger.copyMemory(from: memory + start, byteCount: count)
    memory.deallocate()
    memory = larger
    capacity = size
    end -= start
    start = 0
  }
}
