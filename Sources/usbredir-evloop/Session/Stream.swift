// A stream: receiving that the guest started on an IN endpoint, and what the guest still has to hear of it.

/// One IN endpoint's stream. The pipe does the receiving; this remembers who asked for what.
final class Stream {
  let pipe: InterruptPipe
  /// The pipe's pause after an error (B4.7) runs on this timer.
  let retry: Timer
  /// The guest's stop, and what it asked behind that: answered when the pipe has ended.
  var unanswered: [UInt64] = []
  /// Stopped for an operation on the device; starts again from id 0 without notice (B3.2, B3.5).
  var isSuspended = false
  /// When the current pause began, in nanoseconds of the monotonic clock.
  var pausedSince: UInt64?

  init(_ pipe: InterruptPipe, retry: Timer) {
    self.pipe = pipe
    self.retry = retry
  }
}
