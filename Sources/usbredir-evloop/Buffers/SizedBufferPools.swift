// Buffers for requests, whose lengths the guest decides: one pool for each power of two.

/// Pools of 64 bytes to 8 MiB. Loop thread only.
final class SizedBufferPools {
  /// The smallest class; a HID report or a setup packet's data fit.
  private static let smallest = 64
  /// 64 B << 17 = 8 MiB, the default limit of one transfer; larger ones get a buffer of their own.
  private static let classes = 18
  /// Idle buffers kept: many small ones, of each large class a few, so that 1 MiB at most lies idle in a class.
  private static func keep(_ capacity: Int) -> Int { max(1, min(64, (1 << 20) / capacity)) }

  private var pools: [BufferPool?] = Array(repeating: nil, count: SizedBufferPools.classes)

  /// Buffers of 8 MiB or less that are out at the moment.
  var inUse: Int { pools.reduce(0) { $0 + ($1?.inUse ?? 0) } }

  /// An empty buffer for at least `count` bytes, which are ours to decide.
  func take(_ count: Int) -> PacketBuffer { pool(for: count).take() }

  /// An empty buffer for at least `count` bytes, which a peer decides; nil when there is no memory.
  func takeIfPossible(_ count: Int) -> PacketBuffer? { pool(for: count).takeIfPossible() }

  private func pool(for count: Int) -> BufferPool {
    var capacity = SizedBufferPools.smallest
    for index in 0..<SizedBufferPools.classes {
      if count <= capacity { return pool(index, capacity) }
      capacity *= 2
    }
    return BufferPool(capacity: count, keep: 0)
  }

  private func pool(_ index: Int, _ capacity: Int) -> BufferPool {
    if let pool = pools[index] { return pool }
    let pool = BufferPool(capacity: capacity, keep: SizedBufferPools.keep(capacity))
    pools[index] = pool
    return pool
  }
}
