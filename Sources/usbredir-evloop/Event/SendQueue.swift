// Packets on their way out: a FIFO of buffers, sent many at a time straight from where the device wrote them. An
// interrupt endpoint's packets do not wait for the bulk data in front of them.
//
//     first ─▶ [partly sent] [any]… [in turn or ahead] [overtakable]… ◀─ last
//                                   ▲ frontier        ▲ here comes the next packet that is ahead
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
  private var first: UnsafeMutablePointer<PacketLink>?
  private var last: UnsafeMutablePointer<PacketLink>?
  /// The last buffer that is not overtakable; nil when all are.
  private var frontier: UnsafeMutablePointer<PacketLink>?
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
    let link = unsafe buffer.enqueued()
    unsafe count += link.pointee.count
    // While a send is accounted for, which of the buffers are the kernel's already is not known here.
    if unsafe order == .ahead && !isSending && frontier != last {
      unsafe insert(link, behind: frontier ?? (sent > 0 ? first : nil))
    } else {
      if let last = unsafe last { unsafe last.pointee.next = link } else { unsafe first = link }
      unsafe last = link
    }
    if order != .overtakable { unsafe frontier = link }
  }

  /// Behind another one, or in front of all.
  @unsafe private func insert(
    _ link: UnsafeMutablePointer<PacketLink>, behind previous: UnsafeMutablePointer<PacketLink>?
  ) {
    if let previous = unsafe previous {
      unsafe link.pointee.next = previous.pointee.next
      unsafe previous.pointee.next = link
      if unsafe last == previous { unsafe last = link }
    } else {
      unsafe link.pointee.next = first
      unsafe first = link
    }
  }

  /// Gives all buffers back to their pools, unsent.
  func drop() {
    while unsafe first != nil { removeFirst() }
  }

  /// Sends as much as the kernel takes. Buffers go back to their pools on the way; who is told of that may
  /// append or drop.
  func send(to descriptor: Int32) -> Outcome {
    for _ in 0..<SendQueue.callsPerTurn {
      guard unsafe first != nil else { return .done }
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
    return unsafe first == nil ? .done : .again
  }

  /// Points the pieces at the first buffers.
  private func gather() -> (pieces: Int32, bytes: Int) {
    var index = 0
    var bytes = 0
    var next = unsafe first
    var skip = sent
    while let link = unsafe next, index < SendQueue.piecesPerCall {
      let length = unsafe link.pointee.count - skip
      unsafe pieces[index] = iovec(iov_base: link.pointee.start + skip, iov_len: length)
      bytes += length
      skip = 0
      index += 1
      unsafe next = link.pointee.next
    }
    return (Int32(index), bytes)
  }

  private func consume(_ taken: Int) {
    var left = taken
    while let link = unsafe first, unsafe left >= link.pointee.count - sent {
      unsafe left -= link.pointee.count - sent
      removeFirst()
    }
    guard unsafe first != nil else { return }
    sent += left
    count -= left
  }

  /// Unlinked first: the pool's owner may do anything with this queue when it hears of the buffer.
  private func removeFirst() {
    guard let link = unsafe first else { return }
    unsafe first = link.pointee.next
    if unsafe first == nil { unsafe last = nil }
    if unsafe frontier == link { unsafe frontier = nil }
    unsafe count -= link.pointee.count - sent
    sent = 0
    unsafe link.pointee.buffer.takeRetainedValue().release()
  }
}
