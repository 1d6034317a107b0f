// Calls that can sleep, off the loop thread: each on a thread of its own, its result back over a pipe as an
// event.
import CPosix

/// Runs what can sleep. Loop thread only.
///
/// The compiler does not check what `work` touches on its thread: give it plain values and handles that
/// nobody uses meanwhile.
final class BlockingCalls {
  /// Calls whose `then` has not run yet.
  private(set) var running = 0
  private let results: HandOff
  private let log: Log?
  /// It was told that there is no thread, and there was none since.
  private var hasToldOfNoThread = false
  private var event: Event?

  init(_ loop: EventLoop, log: Log? = nil) throws(SystemError) {
    self.log = log
    results = try HandOff(for: "blocking calls")
    event = unsafe Event(loop, descriptor: results.reader, [.read, .persist], context: self) {
      _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: BlockingCalls.self).finishOne()?()
    }
    try event?.add()
  }

  /// Waits for the workers that are still out: they write to the pipe. Their `then` does not run any more.
  deinit {
    event = nil
    while running > 0 { _ = finishOne() }
    close(results.reader)
    close(results.writer)
  }

  /// Runs `work` on a thread of its own, and then `then` with its value on the loop, never before this
  /// returns. When the system gives no thread, `work` runs here and now, which is told: the loop stands still, but
  /// nothing is lost.
  func run<Value>(_ work: @escaping () -> Value, then: @escaping (Value) -> Void) {
    running += 1
    let call = BlockingCall(results.writer) {
      let value = work()
      return { then(value) }
    }
    let hasThread = start(call)
    if !hasThread { tellOfNoThread() }
    hasToldOfNoThread = !hasThread
    if !hasThread { unsafe BlockingCall.perform(Unmanaged.passRetained(call).toOpaque()) }
  }

  /// Waits until every call is done and its `then` has run, also those that a `then` starts. Blocks the loop;
  /// for the end of the process.
  func drain() {
    while running > 0 { finishOne()?() }
  }

  private func tellOfNoThread() {
    guard !hasToldOfNoThread else { return }
    log?.warning("no thread for what may sleep, everything waits for it; \(SystemError.threadAdvice)")
  }

  private func start(_ call: BlockingCall) -> Bool {
    let pointer = unsafe Unmanaged.passRetained(call).toOpaque()
    let hasStarted = unsafe startThread(pointer) { context in
      guard let context = unsafe context else { return nil }
      unsafe posixNameThread("blocking call")
      unsafe BlockingCall.perform(context)
      return nil
    }
    if !hasStarted { unsafe Unmanaged<BlockingCall>.fromOpaque(pointer).release() }
    return hasStarted
  }

  /// Takes one finished call from the pipe, waiting for it if there is none, and returns what is left to do.
  private func finishOne() -> (() -> Void)? {
    guard let pointer = unsafe HandOff.receive(from: results.reader) else { return nil }
    let call = unsafe Unmanaged<BlockingCall>.fromOpaque(pointer).takeRetainedValue()
    running -= 1
    return call.completion
  }
}

/// One call on its way: to the worker, and back with its completion.
private final class BlockingCall {
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
    unsafe HandOff.send(call, to: writer)
  }

  private func complete() -> Int32 {
    completion = work()
    return writer
  }
}
