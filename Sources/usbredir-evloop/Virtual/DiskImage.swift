// The file or block device behind a virtual disk: opened and locked once, read and written at any offset.
import CPosix

/// An image file. Opened on the loop's thread, used on the worker's.
final class DiskImage: BackingStore {
  /// Bytes, 1 or more; fixed for as long as it is open.
  let size: UInt64
  private let descriptor: Int32

  /// Throws what one line can say: it is not there, not permitted, not a disk, or in use.
  init(path: String, isReadOnly: Bool) throws(SystemError) {
    let name = "image " + path
    let kind = unsafe posixKind(path)
    guard kind >= 0 else { throw SystemError(code: posixErrno(), name) }
    guard kind == Int32(S_IFREG) || kind == Int32(S_IFBLK) else {
      throw SystemError(code: 0, name, reason: "is neither a file nor a block device")
    }
    // With O_EXCL the kernel refuses a block device that is mounted, or that somebody else has so.
    let exclusive = kind == Int32(S_IFBLK) && !isReadOnly ? O_EXCL : 0
    descriptor = unsafe posixOpenFile(path, (isReadOnly ? O_RDONLY : O_RDWR) | exclusive)
    let failure = posixErrno()
    size = descriptor < 0 ? 0 : UInt64(clamping: posixSize(descriptor))
    guard descriptor >= 0 else {
      let advice = DiskImage.advice(failure, isReadOnly)
      throw SystemError(code: failure, "open " + name, advice: advice)
    }
    guard posixLock(descriptor, isReadOnly ? 0 : 1) == 0 else {
      let failure = posixErrno()
      throw SystemError(
        code: failure, "lock " + name,
        reason: failure == EWOULDBLOCK ? "another export or program has it" : nil,
        advice: "one may write it, or any number read it (ro)")
    }
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }

  private static func advice(_ error: Int32, _ isReadOnly: Bool) -> String? {
    guard !isReadOnly else { return nil }
    switch error {
    case EACCES, EPERM, EROFS: return "add ro to serve it read only"
    case EBUSY: return "unmount it, or add ro to serve it read only"
    default: return nil
    }
  }

  func readNow(_ memory: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64) -> Bool {
    unsafe posixReadNow(descriptor, memory, count, offset) == count
  }

  func read(_ memory: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64) -> StoreResult {
    // A file that has become shorter has nothing more to give.
    move(count, nothing: EIO) { unsafe posixReadAt(descriptor, memory + $0, count - $0, offset + UInt64($0)) }
  }

  func write(_ memory: UnsafeRawPointer, _ count: Int, at offset: UInt64) -> StoreResult {
    move(count, nothing: ENOSPC) {
      unsafe posixWriteAt(descriptor, memory + $0, count - $0, offset + UInt64($0))
    }
  }

  func synchronize() -> Int32 {
    fdatasync(descriptor) == 0 ? 0 : posixErrno()
  }

  /// Calls again until all has moved: signals interrupt, and the kernel moves what it likes at once.
  private func move(_ count: Int, nothing: Int32, _ step: (Int) -> Int) -> StoreResult {
    var result = StoreResult()
    while result.count < count {
      let moved = step(result.count)
      if moved > 0 {
        result.count += moved
      } else if moved == 0 {
        result.error = nothing
        break
      } else if posixErrno() != EINTR {
        result.error = posixErrno()
        break
      }
    }
    return result
  }
}
