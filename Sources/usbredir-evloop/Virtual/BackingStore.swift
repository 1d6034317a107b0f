// Where the blocks of a virtual disk are: the seam between the disk and the file that holds it.

/// What became of a read or a write.
struct StoreResult {
  /// Bytes that moved before anything went wrong.
  var count = 0
  /// errno; 0 when all went well.
  var error: Int32 = 0
}

/// One call at a time. All but `readNow` may sleep and are the worker's.
protocol BackingStore: AnyObject {
  /// Reads what needs no waiting for a medium; false when that is not all, and what was read is void. From the
  /// loop, while the worker has nothing to do.
  func readNow(_ memory: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64) -> Bool
  func read(_ memory: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64) -> StoreResult
  func write(_ memory: UnsafeRawPointer, _ count: Int, at offset: UInt64) -> StoreResult
  /// What was written is on the medium when this returns 0; errno otherwise.
  func synchronize() -> Int32
}
