// Calls that can sleep, off the loop thread: each on a thread of its own, its result back over a pipe as an
// event. The pipe's write and read order everything the worker did before everything the loop does with it.
import CPosix

/// Runs what can sleep. Loop thread only.
///
/// The compiler does not check what `work` touches on its thread: give it plain values and handles that
/// nobody uses meanwhile.
final class BlockingCalls {
  /// Calls whose `then` has not run yet.
  private(set) var running = 0
  private let reader: Int32
  private let writer: Int32
  private var event: Event?

  init(_ loop: EventLoop) throws(SystemError) {
    var ends: (Int32, Int32) = (-1, -1)
    let made = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      unsafe posixPipe(bytes.assumingMemoryBound(to: Int32.self).baseAddress, 0)
    }
    guard made == 0 else { throw SystemError(code: posixErrno(), "pipe for blocking calls") }
    (reader, writer) = ends
    event = unsafe Event(loop, descriptor: reader, [.read, .persist], context: self) { _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: BlockingCalls.self).finishOne()?()
    }
    try event?.add()
  }

  /// Waits for the workers that are still out: they write to the pipe. Their `then` does not run any more.
  deinit {
    event = nil
    while running > 0 { _ = finishOne() }
    close(reader)
    close(writer)
  }

  /// Runs `work` on a thread of its own, and then `then` with its value on the loop, never before this
  /// returns. When the system gives no thread, `work` runs here and now: the loop stands still, but nothing
  /// is lost.
  func run<Value>(_ work: @escaping () -> Value, then: @escaping (Value) -> Void) {
    running += 1
    let call = BlockingCall(writer) {
      let value = work()
      return { then(value) }
    }
    if !start(call) { unsafe BlockingCall.perform(Unmanaged.passRetained(call).toOpaque()) }
  }

  /// Waits until every call is done and its `then` has run, also those that a `then` starts. Blocks the loop;
  /// for the end of the process.
  func drain() {
    while running > 0 { finishOne()?() }
  }

  private func start(_ call: BlockingCall) -> Bool {
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    defer { unsafe pthread_attr_destroy(&attributes) }
    unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    unsafe pthread_attr_setstacksize(&attributes, BlockingCall.stackSize)
    // The worker inherits a mask that blocks everything: signals reach the loop's thread.
    var all = sigset_t()
    var before = sigset_t()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_BLOCK, &all, &before)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let pointer = unsafe Unmanaged.passRetained(call).toOpaque()
    let result = unsafe pthread_create(
      &thread, &attributes,
      { context in
        guard let context = unsafe context else { return nil }
        unsafe posixNameThread("blocking call")
        unsafe BlockingCall.perform(context)
        return nil
      }, pointer)
    if result != 0 { unsafe Unmanaged<BlockingCall>.fromOpaque(pointer).release() }
    return result == 0
  }

  /// Takes one finished call from the pipe, waiting for it if there is none, and returns what is left to do.
  private func finishOne() -> (() -> Void)? {
    guard let pointer = unsafe BlockingCall.receive(reader) else { return nil }
    let call = unsafe Unmanaged<BlockingCall>.fromOpaque(pointer).takeRetainedValue()
    running -= 1
    return call.completion
  }
}

/// One call on its way: to the worker, and back with its completion.
private final class BlockingCall {
  /// getaddrinfo(3) and libusb need a few KiB; name service modules more.
  static let stackSize = 256 * 1024

  private(set) var completion: (() -> Void)?
  private let work: () -> () -> Void
  private let writer: Int32

  init(_ writer: Int32, _ work: @escaping () -> () -> Void) {
    self.writer = writer
    self.work = work
  }

  /// Runs the work, then sends the call itself, retained, to the loop. The worker's thread; it holds no
  /// reference of its own any more when it writes, so the loop's is the last one.
  @unsafe static func perform(_ call: UnsafeMutableRawPointer) {
    let writer = unsafe recover(call, as: BlockingCall.self).complete()
    var pointer = unsafe call
    // A pipe holds 8192 pointers and takes each in one piece (PIPE_BUF); it fails only for a signal.
    while unsafe write(writer, &pointer, MemoryLayout.size(ofValue: pointer)) < 0, posixErrno() == EINTR {}
  }

  private func complete() -> Int32 {
    completion = work()
    return writer
  }

  @unsafe static func receive(_ reader: Int32) -> UnsafeMutableRawPointer? {
    var pointer: UnsafeMutableRawPointer? = nil
    var count: Int
    repeat {
      unsafe count = read(reader, &pointer, MemoryLayout.size(ofValue: pointer))
    } while count < 0 && posixErrno() == EINTR
    return unsafe count == MemoryLayout.size(ofValue: pointer) ? pointer : nil
  }
}
