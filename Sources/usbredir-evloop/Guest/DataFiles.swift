// Files that a probe writes what a device sends to, and reads what it sends to a device from.
import CPosix

/// A file, or standard output, that takes bytes as they come. Waits for a slow reader. Loop thread only.
final class DataSink {
  private let descriptor: Int32
  private let name: String
  /// The first write that failed; nothing is written after it.
  private(set) var failure: SystemError?

  /// - Parameter path: made anew; `-` is standard output.
  init(_ path: String) throws(SystemError) {
    name = path
    descriptor = path == "-" ? 1 : unsafe posixOpen(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw SystemError(code: posixErrno(), "open " + path + " for output") }
  }

  deinit {
    if descriptor > 2 { close(descriptor) }
  }

  func write(_ bytes: Span<UInt8>) {
    guard failure == nil else { return }
    var code: Int32 = 0
    unsafe bytes.withUnsafeBytes { bytes in
      var written = 0
      while written < bytes.count {
        let count = unsafe CPosix.write(
          descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
        if count < 0, posixErrno() == EINTR { continue }
        guard count > 0 else {
          code = posixErrno()
          return
        }
        written += count
      }
    }
    if code != 0 { failure = SystemError(code: code, "write " + name) }
  }
}

/// A file, or standard input, that bytes are taken from. Loop thread only.
final class DataSource {
  /// What one read gave.
  enum Piece {
    case bytes(Int)
    /// Nothing now; those that `tell` was given are called when there is.
    case later
    case end
  }

  private(set) var failure: SystemError?
  private(set) var hasEnded = false
  private let descriptor: Int32
  private let name: String
  private let loop: EventLoop
  private var event: Event?
  private var readers: [() -> Void] = []

  /// - Parameter path: `-` is standard input.
  init(_ path: String, _ loop: EventLoop) throws(SystemError) {
    name = path
    self.loop = loop
    descriptor = path == "-" ? 0 : unsafe posixOpen(path, O_RDONLY | O_CLOEXEC, 0)
    guard descriptor >= 0 else { throw SystemError(code: posixErrno(), "open " + path + " for input") }
  }

  deinit {
    event = nil
    if descriptor > 2 { close(descriptor) }
  }

  /// `reader` is called whenever a read that gave nothing may be tried again.
  func tell(_ reader: @escaping () -> Void) {
    readers.append(reader)
  }

  /// Fills the front of an empty buffer, up to `length` bytes, with what is there.
  func fill(_ buffer: PacketBuffer, length: Int) -> Piece {
    var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&ready, 1, 0) == 1 else { return wait() }
    let count = unsafe read(descriptor, buffer.payloadPointer, length)
    guard count > 0 else {
      if count < 0 { failure = SystemError(code: posixErrno(), "read " + name) }
      hasEnded = true
      return .end
    }
    buffer.setPayload(count: count)
    return .bytes(count)
  }

  private func wait() -> Piece {
    do throws(SystemError) {
      if event == nil {
        event = unsafe Event(loop, descriptor: descriptor, [.read], context: self) { _, _, context in
          guard let context = unsafe context else { return }
          for reader in unsafe recover(context, as: DataSource.self).readers { reader() }
        }
      }
      try event?.add()
      return .later
    } catch {
      failure = error
      return .end
    }
  }
}
