// Bytes on their way in. The socket writes behind what arrived, the reader takes from the front; nothing is
// moved until the end of the memory is reached, and each byte at most once while packets fit the region.
//
//     +----------+-----------------------+--------------------+
//     |  taken   |  unread               |  free              |
//     +----------+-----------------------+--------------------+
//     0          ^ taken                 ^ received           ^ capacity      taken ≤ received ≤ capacity

/// A region allocated once, and larger memory while something larger than it arrives. Loop thread only.
@safe final class ReceiveBuffer {
  /// Larger memory up to this many bytes is kept for the next large packet; beyond, it is freed after each.
  /// SuperSpeed disks are written in pieces of a MiB, and the headers come with it.
  static let keptCapacity = 1 << 20 + 1 << 10

  /// How many bytes the reader needs in one piece; memory beyond the region grows only towards this, by
  /// doubling and only when it is full, so it never exceeds twice what has really arrived.
  var wanted = 0
  private let regionCapacity: Int
  private let region: UnsafeMutableRawPointer
  /// Either `region`, or larger memory of its own.
  private var memory: UnsafeMutableRawPointer
  private(set) var capacity: Int
  private var taken = 0
  private var received = 0

  /// Allocates `capacity` bytes, 1 or more, for the buffer's life.
  init(capacity: Int) {
    regionCapacity = capacity
    self.capacity = capacity
    unsafe region = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    unsafe memory = region
  }

  deinit {
    if capacity > regionCapacity { unsafe Memory.free(memory) }
    unsafe region.deallocate()
  }

  /// Unread bytes.
  var count: Int { received - taken }

  /// Lets `body` write into the free memory; it returns how many bytes it wrote, 0 or more. Not called when
  /// the memory is full of bytes that nobody took: nothing more than what was `wanted` is ever made room
  /// for.
  func withFree(_ body: (UnsafeMutableRawBufferPointer) -> Int) {
    makeRoom()
    guard received < capacity else { return }
    let free = unsafe UnsafeMutableRawBufferPointer(start: memory + received, count: capacity - received)
    let count = unsafe body(free)
    precondition(count >= 0 && count <= free.count)
    received += count
  }

  /// The unread bytes. They stay where they are until `take`, `makeRoom` or `withFree`.
  func withUnread<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
    body(
      unsafe Span(
        _unsafeStart: UnsafePointer((memory + taken).assumingMemoryBound(to: UInt8.self)), count: count))
  }

  /// Takes `count` bytes from the front, at most those that are unread.
  func take(_ count: Int) {
    precondition(count >= 0 && count <= self.count)
    taken += count
    guard taken == received else { return }
    taken = 0
    received = 0
  }

  /// Room behind the unread bytes: by moving them to the front, then by growing towards `wanted`. False when there is
  /// none and no memory to grow.
  @discardableResult
  func makeRoom() -> Bool {
    shrinkIfIdle()
    guard received == capacity || taken + wanted > capacity else { return true }
    if taken > 0 {
      unsafe memory.copyMemory(from: memory + taken, byteCount: count)
      received -= taken
      taken = 0
    }
    guard received == capacity, wanted > capacity else { return true }
    return grow(to: min(wanted, 2 * capacity))
  }

  /// Gives large memory back once nothing large is arriving any more.
  private func shrinkIfIdle() {
    guard capacity > ReceiveBuffer.keptCapacity, wanted <= regionCapacity, count <= regionCapacity else {
      return
    }
    unsafe move(to: region, regionCapacity)
  }

  private func grow(to size: Int) -> Bool {
    guard let new = unsafe Memory.allocate(size) else { return false }
    unsafe move(to: new, size)
    return true
  }

  @unsafe private func move(to new: UnsafeMutableRawPointer, _ size: Int) {
    let unread = count
    unsafe new.copyMemory(from: memory + taken, byteCount: unread)
    if capacity > regionCapacity { unsafe Memory.free(memory) }
    unsafe memory = new
    capacity = size
    taken = 0
    received = unread
  }
}
