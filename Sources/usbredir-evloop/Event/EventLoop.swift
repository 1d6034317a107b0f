// The loop: one thread waits here for descriptors, timers and signals, and everything else is what happens
// when one of them is ready. A turn has three fixed places: callbacks, reaping USB, flushing connections.
//
// libevent runs without its precise timers: they would cost a timerfd_settime(2) in every turn, with or
// without a timer. `TimerQueue` has a timerfd of its own and touches it only when the earliest deadline
// changes.
import CEvent
import CPosix

/// Owner of the `event_base`. Every `Event` holds it, so that none can outlive it.
@safe final class EventBase {
  let pointer: OpaquePointer

  fileprivate init(pollFiles: Bool) throws(SystemError) {
    // What libevent would print comes to us as an error as well, and is told there; but what it calls an error ends the
    // process in libevent, behind this: no descriptors for the pipe that signals come through.
    unsafe event_set_log_callback { severity, message in
      let code = posixErrno()
      guard severity == EVENT_LOG_ERR, let message = unsafe message else { return }
      EventBase.tellEnd(unsafe String(cString: message), code)
    }
    guard let config = unsafe event_config_new() else { throw SystemError(code: ENOMEM, "event_config_new") }
    defer { unsafe event_config_free(config) }
    unsafe event_config_set_flag(config, Int32(EVENT_BASE_FLAG_NOLOCK.rawValue))
    if pollFiles { unsafe event_config_require_features(config, Int32(EV_FEATURE_FDS.rawValue)) }
    guard let base = unsafe event_base_new_with_config(config) else {
      throw SystemError(code: posixErrno(), "event_base_new")
    }
    unsafe pointer = base
  }

  deinit {
    unsafe event_base_free(pointer)
  }

  /// - Parameter text: libevent's, with the system's words for `code` at its end where the system refused something.
  private static func tellEnd(_ text: String, _ code: Int32) {
    guard let advice = SystemError.advice(about: code) else {
      return Log(level: .error).error("libevent: " + text)
    }
    Log(level: .error).error("libevent: " + text + "; " + advice)
  }
}

/// The event loop. Loop thread only, and that is the thread which calls `run`.
final class EventLoop {
  /// What has something to reap; runs right behind the callbacks of a turn.
  let reaps = WorkList()
  /// What has bytes to write; runs behind each of the reaps, and at the end of a turn.
  let flushes = WorkList()
  let base: EventBase
  let clock: Clock
  let timers: TimerQueue
  /// True from `stop` until `run` returns for it.
  private(set) var isStopped = false

  /// - Parameters:
  ///   - pollFiles: wait with poll(2) instead of epoll(7), which refuses regular files: a mocked usbfs is made of
  ///     them. The environment variable `USBREDIR_EVLOOP_POLL` set to 1 does the same.
  ///   - clock: what timers go by.
  init(pollFiles: Bool = false, clock: Clock = Clock()) throws(SystemError) {
    base = try EventBase(pollFiles: pollFiles || EventLoop.environmentAsksForPoll())
    self.clock = clock
    timers = try TimerQueue(base, clock)
  }

  /// Runs until `stop`. Returns at once when `stop` was called before.
  func run() {
    while !isStopped {
      turn()
      finishTurn()
    }
    isStopped = false
  }

  /// What a turn's callbacks left to do. A device's reports are sent before the next device is reaped: of many devices with
  /// one clock the last would hold up the first.
  func finishTurn() {
    reaps.run(thenEach: flushes)
    flushes.run()
  }

  /// Waits for events and runs their callbacks; does not wait while reaps or flushes are due.
  func turn() {
    let isIdle = reaps.isEmpty && flushes.isEmpty
    // Once also when it does not wait: what stays ready until it is reaped would hold the turn for ever.
    let result = unsafe event_base_loop(base.pointer, EVLOOP_ONCE | (isIdle ? 0 : EVLOOP_NONBLOCK))
    precondition(result >= 0, "the kernel waits for any set of open descriptors")
  }

  /// Lets `run` return at the end of this turn; from any callback.
  func stop() {
    isStopped = true
  }

  private static func environmentAsksForPoll() -> Bool {
    guard let value = unsafe getenv("USBREDIR_EVLOOP_POLL") else { return false }
    return unsafe strcmp(value, "1") == 0
  }
}
