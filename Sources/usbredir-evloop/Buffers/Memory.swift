// Memory for as many bytes as a peer asks for. Swift's own allocation ends the process when there is none; this one says so.
import CPosix

enum Memory {
  /// Aligned to 16 bytes and not zeroed; nil when the system gives none. Whoever gets it frees it.
  static func allocate(_ count: Int) -> UnsafeMutableRawPointer? {
    var memory: UnsafeMutableRawPointer?
    return unsafe posix_memalign(&memory, 16, count) == 0 ? memory : nil
  }

  @unsafe static func free(_ memory: UnsafeMutableRawPointer) {
    unsafe CPosix.free(memory)
  }
}
