// Timers, all on one timerfd. The queue is a list sorted by deadline; the timerfd is set only when the first
// one changes to an earlier deadline, and may wake for one that was stopped. A clock that a test moves has no
// timerfd.
import CPosix

/// Calls `fire` once, some time after `start`. Stops when it is freed. Loop thread only.
final class Timer {
  private let entry: TimerEntry
  private let queue: TimerQueue

  /// - Parameter fire: must not keep alive what owns this (`Unowned`); may start the timer again.
  init(_ loop: EventLoop, _ fire: @escaping () -> Void) {
    queue = loop.timers
    entry = TimerEntry(fire)
  }

  deinit {
    queue.remove(entry)
  }

  /// True from `start` until it fires or is stopped.
  var isRunning: Bool { entry.isQueued }

  /// Fires once in `milliseconds`, 0 being the next turn; a timer that runs starts anew.
  func start(milliseconds: UInt32) {
    start(nanoseconds: UInt64(milliseconds) * 1_000_000)
  }

  /// As `start(milliseconds:)`, for what is finer.
  func start(nanoseconds: UInt64) {
    queue.remove(entry)
    entry.deadline = queue.clock.now + nanoseconds
    queue.insert(entry)
  }

  /// Does not fire any more.
  func stop() {
    queue.remove(entry)
  }
}

/// A timer's place in the queue; what the queue may keep while the timer itself is freed.
private final class TimerEntry {
  let fire: () -> Void
  var deadline: UInt64 = 0
  var isQueued = false
  var next: TimerEntry?

  init(_ fire: @escaping () -> Void) {
    self.fire = fire
  }
}

/// The timers that run, earliest first; those of one deadline in the order they were started. Loop thread
/// only.
final class TimerQueue {
  fileprivate let clock: Clock
  /// The timerfd; -1 for a clock that does not run.
  private let descriptor: Int32
  private var event: Event?
  private var first: TimerEntry?
  /// What the timerfd is set to; `.max` when it is not.
  private var armed = UInt64.max

  init(_ base: EventBase, _ clock: Clock) throws(SystemError) {
    self.clock = clock
    guard clock.isRunning else {
      descriptor = -1
      return
    }
    descriptor = posixTimer()
    guard descriptor >= 0 else { throw SystemError(code: posixErrno(), "timerfd_create") }
    event = unsafe Event(base, descriptor: descriptor, [.read, .persist], context: self) { _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: TimerQueue.self).expired()
    }
    try event?.add()
  }

  deinit {
    event = nil
    if descriptor >= 0 { close(descriptor) }
  }

  /// What the clock has to go beyond before the next timer fires; nil when none runs.
  var nextDeadline: UInt64? { first?.deadline }

  /// Fires the timers whose deadline has passed. One that is started for now by a timer waits for the next call,
  /// so that none can hold the loop.
  func fireDue() {
    let now = clock.now
    while let entry = first, entry.deadline < now {
      remove(entry)
      entry.fire()
    }
  }

  fileprivate func insert(_ entry: TimerEntry) {
    entry.isQueued = true
    guard let head = first, head.deadline <= entry.deadline else {
      entry.next = first
      first = entry
      return arm()
    }
    var before = head
    while let next = before.next, next.deadline <= entry.deadline { before = next }
    entry.next = before.next
    before.next = entry
  }

  fileprivate func remove(_ entry: TimerEntry) {
    guard entry.isQueued, let head = first else { return }
    entry.isQueued = false
    if head === entry {
      first = entry.next
    } else {
      var before = head
      while let next = before.next, next !== entry { before = next }
      before.next = entry.next
    }
    entry.next = nil
  }

  private func expired() {
    posixReadTimer(descriptor)
    armed = .max
    fireDue()
    arm()
  }

  private func arm() {
    guard descriptor >= 0, let entry = first, entry.deadline < armed else { return }
    armed = entry.deadline
    posixArmTimer(descriptor, armed)
  }
}
