// What goes out first when a packet need not wait for bulk data (B4.9).
import CPosix
import Testing

@testable import usbredir_evloop

struct SendQueueTests {
  private let pool = BufferPool(capacity: 1 << 20, keep: 0)
  private let queue = SendQueue()

  private func append(_ byte: UInt8, count: Int = 1, _ order: SendOrder) {
    let buffer = pool.take()
    buffer.copy([UInt8](repeating: byte, count: count).span)
    queue.append(buffer, order)
  }

  /// Everything the queue sends, a byte for each run of the same.
  private func sent(_ earlier: [UInt8] = [], to ours: Int32, readBy peer: Int32) -> [UInt8] {
    var bytes = earlier
    while queue.count > 0 {
      _ = queue.send(to: ours)
      bytes += readAvailable(peer)
    }
    return bytes.reduce(into: []) { runs, byte in if runs.last != byte { runs.append(byte) } }
  }

  @Test("B4.9: a packet that is ahead passes overtakable ones, and stays behind all others")
  func ahead() throws {
    let (ours, peer) = try unixPair()
    defer {
      close(ours)
      close(peer)
    }
    append(1, .overtakable)
    append(2, .overtakable)
    append(3, .ahead)
    append(4, .overtakable)
    append(5, .ahead)
    append(6, .inTurn)
    append(7, .overtakable)
    append(8, .ahead)
    append(9, .inTurn)
    #expect(queue.count == 9)
    #expect(sent(to: ours, readBy: peer) == [3, 5, 1, 2, 4, 6, 8, 7, 9])
    append(1, .ahead)
    append(2, .overtakable)
    append(3, .ahead)
    #expect(sent(to: ours, readBy: peer) == [1, 3, 2])
    #expect(pool.inUse == 0)
  }

  @Test("B4.9: a packet that is partly sent is finished first", arguments: [SendOrder.overtakable, .inTurn])
  func partlySent(_ order: SendOrder) throws {
    let (ours, peer) = try unixPair()
    defer {
      close(ours)
      close(peer)
    }
    _ = posixSetNonBlocking(ours)
    try setSocketOption(ours, SOL_SOCKET, SO_SNDBUF, 4096)
    append(1, count: 1 << 20, order)
    append(2, count: 100, .overtakable)
    guard case .full = queue.send(to: ours) else {
      Issue.record("the kernel took a megabyte")
      return
    }
    append(3, .ahead)
    append(4, .ahead)
    append(5, .inTurn)
    #expect(sent(readAvailable(peer), to: ours, readBy: peer) == [1, 3, 4, 2, 5])
    #expect(pool.inUse == 0)
  }

  @Test("B4.9: what is appended while others go home is in turn")
  func appendedOnTheWay() throws {
    let (ours, peer) = try unixPair()
    defer {
      close(ours)
      close(peer)
    }
    let reports = BufferPool(capacity: 1, keep: 0)
    let appender = Appender {
      self.append(3, .ahead)
    }
    unsafe reports.owner = appender
    let buffer = reports.take()
    buffer.copy([1].span)
    queue.append(buffer, .ahead)
    append(2, count: 10, .overtakable)
    #expect(sent(to: ours, readBy: peer) == [1, 2, 3])
    unsafe reports.owner = nil
  }
}

/// Appends when a buffer comes home.
private final class Appender: BufferPoolOwner {
  private let body: () -> Void

  init(_ body: @escaping () -> Void) { self.body = body }

  func bufferReturned(to pool: BufferPool) { body() }
}
