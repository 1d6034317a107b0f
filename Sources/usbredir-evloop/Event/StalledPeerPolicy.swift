// Which guest is gone and which one only does not read. TCP_USER_TIMEOUT ends a connection whose data is not
// acknowledged for so long, and the kernel counts a closed window as that: a paused guest would lose its
// device.
//
//     data unacknowledged         the network or the guest may be gone: user timeout in force
//     data waits, all sent acked  its window is closed: timeout lifted, window probes tell whether it lives
//     nothing waits               timeout in force, nothing to watch
//
// Neither the kernel nor the guest tells when it changes from one to the other, hence the regular look
// (TCP_INFO).

/// B7.2 as a state machine without a clock or a socket.
struct StalledPeerPolicy {
  enum Action: Equatable {
    case none
    /// Set TCP_USER_TIMEOUT to this many milliseconds; 0 lifts it.
    case setUserTimeout(UInt32)
    /// The guest answers no window probes: end the connection.
    case giveUp
  }

  private let userTimeout: UInt32
  private let windowProbes: UInt32
  private var isLifted = false

  /// - Parameters:
  ///   - userTimeout: milliseconds, 0 for none.
  ///   - windowProbes: unanswered ones that are too many, 0 for no limit.
  init(userTimeout: UInt32, windowProbes: UInt32) {
    self.userTimeout = userTimeout
    self.windowProbes = windowProbes
  }

  /// What to do about what TCP_INFO shows.
  /// - Parameters:
  ///   - waiting: bytes wait, here or in the kernel, that were not sent yet.
  ///   - unacked: segments sent and not acknowledged.
  ///   - probes: window probes without an answer.
  mutating func observe(waiting: Bool, unacked: UInt32, probes: UInt32) -> Action {
    let isClosed = waiting && unacked == 0
    if isClosed && windowProbes > 0 && probes >= windowProbes { return .giveUp }
    guard isClosed != isLifted, userTimeout > 0 else { return .none }
    isLifted = isClosed
    return .setUserTimeout(isClosed ? 0 : userTimeout)
  }
}
