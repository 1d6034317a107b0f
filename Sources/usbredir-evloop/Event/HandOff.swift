// How work reaches another thread and comes back: the thread itself, and a pipe that carries references. The
// pipe's write and read order everything that was done before with everything that is done behind it.
import CPosix

/// A pipe of references. Each is retained by whoever sends it and released by whoever receives it. Its ends
/// may be used by different threads, and are closed by whoever owns them.
struct HandOff {
  let reader: Int32
  let writer: Int32

  init(for purpose: String) throws(SystemError) {
    var ends: (Int32, Int32) = (-1, -1)
    let made = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      unsafe posixPipe(bytes.assumingMemoryBound(to: Int32.self).baseAddress, 0)
    }
    guard made == 0 else { throw SystemError(code: posixErrno(), "pipe for " + purpose) }
    (reader, writer) = ends
  }

  /// A pipe holds 8192 references and takes each in one piece (PIPE_BUF); it fails only for a signal.
  @unsafe static func send(_ reference: UnsafeMutableRawPointer, to writer: Int32) {
    var reference = unsafe reference
    while unsafe write(writer, &reference, MemoryLayout.size(ofValue: reference)) < 0, posixErrno() == EINTR {
    }
  }

  /// Waits for a reference; nil when nobody has the writer any more.
  @unsafe static func receive(from reader: Int32) -> UnsafeMutableRawPointer? {
    var reference: UnsafeMutableRawPointer? = nil
    var count: Int
    repeat {
      unsafe count = read(reader, &reference, MemoryLayout.size(ofValue: reference))
    } while count < 0 && posixErrno() == EINTR
    return unsafe count == MemoryLayout.size(ofValue: reference) ? reference : nil
  }
}

/// Starts a thread that nobody waits for. False when the system gives none: `body` does not run then.
@unsafe func startThread(
  _ context: UnsafeMutableRawPointer,
  _ body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?
) -> Bool {
  // getaddrinfo(3) and libusb need a few KiB; name service modules more.
  let stackSize = 256 * 1024
  var attributes = pthread_attr_t()
  unsafe pthread_attr_init(&attributes)
  defer { unsafe pthread_attr_destroy(&attributes) }
  unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  unsafe pthread_attr_setstacksize(&attributes, stackSize)
  // It inherits a mask that blocks everything: signals reach the loop's thread.
  var all = sigset_t()
  var before = sigset_t()
  unsafe sigfillset(&all)
  unsafe pthread_sigmask(SIG_BLOCK, &all, &before)
  defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
  var thread = pthread_t()
  return unsafe pthread_create(&thread, &attributes, body, context) == 0
}
