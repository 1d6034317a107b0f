// The packets a guest sends: gathered during a turn, written in one call at its end.
import CLoad
import Glibc

/// Bytes that wait to be sent.
final class Outbox {
  private var memory: UnsafeMutableRawPointer
  private var capacity = 4096
  private var start = 0
  private var end = 0

  init() {
    memory = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit {
    memory.deallocate()
  }

  var isEmpty: Bool { start == end }

  /// Room for so many more bytes; to be filled by the caller, at once.
  func append(_ count: Int) -> UnsafeMutableRawPointer {
    if capacity - end < count { makeRoom(count) }
    defer { end += count }
    return memory + end
  }

  /// One send(2) of everything: false with errno when that failed. What the kernel does not take stays.
  func send(to descriptor: Int32) -> Bool {
    let sent = Glibc.send(descriptor, memory + start, end - start, Int32(MSG_NOSIGNAL))
    guard sent >= 0 else { return loadErrno() == EAGAIN || loadErrno() == EINTR }
    start += sent
    if start == end {
      start = 0
      end = 0
    }
    return true
  }

  private func makeRoom(_ count: Int) {
    let waiting = end - start
    if waiting + count > capacity / 2 {
      let size = max(capacity * 2, waiting + count)
      let larger = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
      larger.copyMemory(from: memory + start, byteCount: waiting)
      memory.deallocate()
      memory = larger
      capacity = size
    } else {
      memory.copyMemory(from: memory + start, byteCount: waiting)
    }
    start = 0
    end = waiting
  }
}
