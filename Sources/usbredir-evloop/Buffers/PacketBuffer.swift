// One packet's memory, from the device to the socket. The device writes its data behind a headroom; the
// headers are then written into the headroom, and header and data leave as one piece. Nothing is moved.
//
//     +----------------------+---------------------------------+
//     |  headroom, 32 bytes  |  payload, `capacity` bytes      |
//     +----------------------+---------------------------------+
//                 [ headers  |  data      ]
//                 ^ start    ^ headroom   ^ end                     start ≤ headroom ≤ end

/// How a packet stands to those that wait for the socket before it.
enum SendOrder {
  /// Behind everything that came before, and nothing that comes later gets ahead of it.
  case inTurn
  /// Bulk data, of which megabytes may wait: what is `ahead` need not wait for it.
  case overtakable
  /// Some bytes of an interrupt endpoint: ahead of overtakable packets, in turn with all others.
  case ahead
}

/// A buffer as it stands in a connection's queue. Plain memory: to walk and relink a queue of buffers would retain and
/// release each of them several times, and that was a seventh of what a report costs.
@unsafe struct PacketLink {
  var next: UnsafeMutablePointer<PacketLink>?
  /// The first of `count` bytes to send.
  let start: UnsafeMutableRawPointer
  let count: Int
  /// Holds the buffer while it stands in the queue.
  let buffer: Unmanaged<PacketBuffer>
}

/// Headroom and payload of one packet, owned by the pool it came from. Loop thread only.
@safe final class PacketBuffer {
  /// Room for the largest headers in front of a payload: packet header 16 and data header at most 10 bytes.
  /// The setup packet of a control transfer sits in its last 8 bytes until the transfer is done.
  static let headroom = 32
  /// Room for a `PacketLink`; keeps what follows aligned to 16 bytes.
  private static let linkSize = unsafe (MemoryLayout<PacketLink>.size + 15) & ~15

  /// Bytes of payload this buffer can hold.
  let capacity: Int
  /// The next buffer of the pool's free list.
  fileprivate(set) var next: PacketBuffer?
  private(set) var start = PacketBuffer.headroom
  private(set) var end = PacketBuffer.headroom
  /// In one block: the link, and from `memory` on headroom and payload.
  private let link: UnsafeMutablePointer<PacketLink>
  private let memory: UnsafeMutableRawPointer
  /// Where it goes when it is released; nil while it lies there.
  fileprivate var pool: BufferPool?

  /// Allocates; only `BufferPool` does. nil when there is no memory.
  fileprivate init?(capacity: Int) {
    let size = PacketBuffer.linkSize + PacketBuffer.headroom + capacity
    guard let block = unsafe Memory.allocate(size) else { return nil }
    self.capacity = capacity
    unsafe link = block.bindMemory(to: PacketLink.self, capacity: 1)
    unsafe memory = block + PacketBuffer.linkSize
    // Not zeroed: megabytes for a guest that starts and stops would cost every session time, and only what was written
    // is ever declared.
    unsafe memory.bindMemory(to: UInt8.self, capacity: PacketBuffer.headroom + capacity)
  }

  deinit {
    unsafe Memory.free(link)
  }

  /// Bytes from `start` to `end`: what goes to the socket.
  var count: Int { end - start }

  /// Where the payload begins: what libusb and `recv` write to. Valid as long as the buffer lives.
  var payloadPointer: UnsafeMutableRawPointer { unsafe memory + PacketBuffer.headroom }

  /// The first of `count` bytes, for `writev`. Valid as long as the buffer lives.
  var startPointer: UnsafeMutableRawPointer { unsafe memory + start }

  /// Its place in a queue, which holds the buffer until `PacketLink.buffer` is released. What is declared stays as it is
  /// until then.
  func enqueued() -> UnsafeMutablePointer<PacketLink> {
    unsafe link.initialize(
      to: PacketLink(next: nil, start: startPointer, count: count, buffer: .passRetained(self)))
    return unsafe link
  }

  /// Empties the buffer and declares that the payload holds `count` bytes.
  func setPayload(count: Int) {
    precondition(count >= 0 && count <= capacity)
    start = PacketBuffer.headroom
    end = PacketBuffer.headroom + count
  }

  /// Declares `count` more bytes in front, at most what is left of the headroom, and lets `body` write them.
  func prepend(_ count: Int, _ body: (inout MutableRawSpan) -> Void) {
    precondition(count >= 0 && count <= start)
    start -= count
    var span = unsafe MutableRawSpan(_unsafeStart: memory + start, byteCount: count)
    body(&span)
  }

  /// Empties the buffer, declares a payload of `count` bytes and lets `body` write it.
  func fill(_ count: Int, _ body: (inout MutableRawSpan) -> Void) {
    setPayload(count: count)
    var span = unsafe MutableRawSpan(_unsafeStart: payloadPointer, byteCount: count)
    body(&span)
  }

  /// Empties the buffer and copies `bytes` into the payload; they must fit.
  func copy(_ bytes: Span<UInt8>) {
    setPayload(count: bytes.count)
    write(bytes, at: 0)
  }

  /// Copies `bytes` behind the payload, which grows by them; they must fit.
  func append(_ bytes: Span<UInt8>) {
    write(bytes, at: end - PacketBuffer.headroom)
    end += bytes.count
  }

  /// Copies `bytes` to `offset` of the payload, as a device does: declares nothing. They must fit.
  func write(_ bytes: Span<UInt8>, at offset: Int) {
    precondition(offset >= 0 && bytes.count <= capacity - offset)
    unsafe bytes.withUnsafeBytes { source in
      guard let base = source.baseAddress else { return }
      unsafe (payloadPointer + offset).copyMemory(from: base, byteCount: source.count)
    }
  }

  /// The payload as far as it is declared.
  func withPayload<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
    body(
      unsafe Span(
        _unsafeStart: UnsafePointer(payloadPointer.assumingMemoryBound(to: UInt8.self)),
        count: end - PacketBuffer.headroom))
  }

  /// All declared bytes, headers included.
  func withBytes<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
    body(
      unsafe Span(_unsafeStart: UnsafePointer(startPointer.assumingMemoryBound(to: UInt8.self)), count: count)
    )
  }

  /// Gives the buffer back to its pool. Nobody may touch it afterwards.
  func release() {
    pool?.giveBack(self)
  }
}

/// Told when a buffer came home, so that what waited for buffers can go on. Loop thread only.
protocol BufferPoolOwner: AnyObject {
  func bufferReturned(to pool: BufferPool)
}

/// Buffers of one size. Grows when it has to and keeps at most `keep` idle ones, so a steady stream allocates
/// nothing. Its users bound how many are out. Loop thread only.
final class BufferPool {
  /// Payload bytes of each buffer.
  let capacity: Int
  /// Told of every buffer that comes back.
  unowned(unsafe) var owner: (any BufferPoolOwner)?
  /// Buffers that are out at the moment.
  private(set) var inUse = 0
  private let keep: Int
  private var idle = 0
  private var free: PacketBuffer?

  /// - Parameters:
  ///   - capacity: payload bytes of each buffer, 0 or more.
  ///   - keep: idle buffers kept for later; what comes back beyond them is freed.
  init(capacity: Int, keep: Int) {
    self.capacity = capacity
    self.keep = keep
  }

  /// An empty buffer, from the free list or new. For sizes of ours: without memory for these nothing goes on.
  func take() -> PacketBuffer {
    guard let buffer = takeIfPossible() else { preconditionFailure("no memory") }
    return buffer
  }

  /// As `take`; nil when there is no memory.
  func takeIfPossible() -> PacketBuffer? {
    guard let buffer = free else {
      guard let new = PacketBuffer(capacity: capacity) else { return nil }
      inUse += 1
      new.pool = self
      return new
    }
    inUse += 1
    free = buffer.next
    buffer.next = nil
    buffer.pool = self
    buffer.setPayload(count: 0)
    idle -= 1
    return buffer
  }

  fileprivate func giveBack(_ buffer: PacketBuffer) {
    inUse -= 1
    buffer.pool = nil
    if idle < keep {
      buffer.next = free
      free = buffer
      idle += 1
    }
    unsafe owner?.bufferReturned(to: self)
  }
}
