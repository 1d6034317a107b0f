// What a loop takes for the time: its timers, and whoever remembers when something was. A server has the kernel's
// clock; a test may have one that it moves by hand.
import CPosix

/// Nanoseconds that never go back. This one is CLOCK_MONOTONIC; a subclass may be any other. Loop thread only.
class Clock {
  /// The time, counted from an origin of the clock's own.
  var now: UInt64 { monotonicNanoseconds() }

  /// True when time passes by itself, and a timerfd can wake the loop. Otherwise timers fire in
  /// `TimerQueue.fireDue` alone.
  var isRunning: Bool { true }
}

/// CLOCK_MONOTONIC in nanoseconds. Any thread.
func monotonicNanoseconds() -> UInt64 {
  var now = timespec()
  _ = unsafe clock_gettime(CLOCK_MONOTONIC, &now)
  return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}
