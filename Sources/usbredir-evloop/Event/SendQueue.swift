// Packets on their way out: a FIFO of buffers, sent many at a time straight from where the device wrote them. An
// interrupt endpoint's packets do not wait for the bulk data in front of them.
//
//     first ─▶ [partly sent] [in turn | ahead]… [overtakable]… ◀─ last
//                                             ▲ frontier: here comes the next packet that is ahead
import CPosix

/// Buffers that wait for the kernel, in order. Owns them until they are sent or dropped. Loop thread only.
@safe final class SendQueue {
  /// How a send ended.
  enum Outcome {
    /// The queue is empty.
    case done
    /// The kernel takes no more for now.
    case full
    /// The bound of one turn is reached; the kernel may take more.
    case again
    case failed(Int32)
  }

  /// Buffers of one sendmsg(2).
  static let piecesPerCall = 64
  /// Calls of one turn, so that one connection cannot hold the loop.
  static let callsPerTurn = 16

  /// Bytes that wait.
  private(set) var count = 0
  /// sendmsg(2) calls made so far.
  private(set) var calls: UInt64 = 0
  private var first: PacketBuffer?
  private var last: PacketBuffer?
  /// The last buffer that is not overtakable; nil when all are.
  private var frontier: PacketBuffer?
  /// The first buffers are with the kernel.
  private var isSending = false
  /// Bytes of the first buffer that are sent already.
  private var sent = 0
  private let pieces: UnsafeMutablePointer<iovec>

  init() {
    unsafe pieces = UnsafeMutablePointer<iovec>.allocate(capacity: SendQueue.piecesPerCall)
    unsafe pieces.initialize(repeating: iovec(), count: SendQueue.piecesPerCall)
  }

  deinit {
    drop()
    unsafe pieces.deallocate()
  }

  /// Puts a buffer at the end, or as far ahead as `order` allows; it belongs to the queue now.
  func append(_ buffer: PacketBuffer, _ order: SendOrder = .inTurn) {
    count += buffer.count
    // While a send is accounted for, which of the buffers are the kernel's already is not known here.
    if order == .ahead && !isSending && frontier !== last {
      insert(buffer, behind: frontier ?? (sent > 0 ? first : nil))
    } else {
      if let last { last.next = buffer } else { first = buffer }
      last = buffer
    }
    buffer.order = order
    if order != .overtakable { frontier = buffer }
  }

  /// Behind another one, or in front of all.
  private func insert(_ buffer: PacketBuffer, behind previous: PacketBuffer?) {
    if let previous {
      buffer.next = previous.next
      previous.next = buffer
      if last === previous { last = buffer }
    } else {
      buffer.next = first
      first = buffer
    }
  }

  /// Gives all buffers back to their pools, unsent.
  func drop() {
    while first != nil { removeFirst() }
  }

  /// Sends as much as the kernel takes. Buffers go back to their pools on the way; who is told of that may
  /// append or drop.
  func send(to descriptor: Int32) -> Outcome {
    for _ in 0..<SendQueue.callsPerTurn {
      guard first != nil else { return .done }
      let (gathered, bytes) = gather()
      calls += 1
      let taken = unsafe posixSend(descriptor, pieces, gathered)
      if taken >= 0 {
        isSending = true
        consume(taken)
        isSending = false
        if taken < bytes { return .full }
      } else {
        switch posixErrno() {
        case EINTR: continue
        case EAGAIN: return .full
        case let code: return .failed(code)
        }
      }
    }
    return first == nil ? .done : .again
  }

  /// Points the pieces at the first buffers.
  private func gather() -> (pieces: Int32, bytes: Int) {
    var index = 0
    var bytes = 0
    var next = first
    var skip = sent
    while let buffer = next, index < SendQueue.piecesPerCall {
      let length = buffer.count - skip
      unsafe pieces[index] = iovec(iov_base: buffer.startPointer + skip, iov_len: length)
      bytes += length
      skip = 0
      index += 1
      next = buffer.next
    }
    return (Int32(index), bytes)
  }

  private func consume(_ taken: Int) {
    var left = taken
    while let buffer = first, left >= buffer.count - sent {
      left -= buffer.count - sent
      removeFirst()
    }
    guard first != nil else { return }
    sent += left
    count -= left
  }

  /// Unlinked first: the pool's owner may do anything with this queue when it hears of the buffer.
  private func removeFirst() {
    guard let buffer = first else { return }
    first = buffer.next
    if first == nil { last = nil }
    if frontier === buffer { frontier = nil }
    buffer.next = nil
    count -= buffer.count - sent
    sent = 0
    buffer.release()
  }
}
