// What is TCP about a connection: its socket options, and the look at a guest that takes no data (B7.2).
import CPosix

/// Told when a guest is found dead that TCP alone would keep. Loop thread only.
protocol TCPPeerOwner: AnyObject {
  /// Bytes queued here and refused by the kernel for now.
  var queuedBytes: Int { get }
  func peerStalled(_ error: SystemError)
}

/// Watches a TCP socket while data is on its way; sleeps while there is none. Loop thread only.
final class TCPPeer {
  private let descriptor: Int32
  private let interval: UInt32
  private var policy: StalledPeerPolicy
  private unowned(unsafe) let owner: any TCPPeerOwner
  private var timer: Timer?

  /// Sets the options; throws when the kernel refuses one.
  /// - Parameters:
  ///   - descriptor: a connected TCP socket, borrowed.
  ///   - owner: owns this.
  init(
    _ loop: EventLoop, descriptor: Int32, options: TransportOptions, owner: any TCPPeerOwner
  ) throws(SystemError) {
    self.descriptor = descriptor
    // Several looks within one user timeout, so that a closed window is seen before the kernel gives up.
    interval = min(max(options.userTimeout / 5, 200), 5_000)
    policy = StalledPeerPolicy(userTimeout: options.userTimeout, windowProbes: options.windowProbes)
    unsafe self.owner = owner
    try TCPPeer.apply(options, to: descriptor)
    timer = Timer(loop) { [peer = Unowned(self)] in peer.value.look() }
  }

  /// Data went to the kernel or waits for it. A timer set now and then, and no more, on a busy connection.
  func dataIsOnItsWay() {
    guard let timer, !timer.isRunning else { return }
    timer.start(milliseconds: interval)
  }

  private func look() {
    var info = posixTCPInfo()
    guard unsafe posixTCPInfo(descriptor, &info) == 0 else { return }
    let waiting = unsafe owner.queuedBytes > 0 || info.notSent > 0
    switch policy.observe(waiting: waiting, unacked: info.unacked, probes: info.probes) {
    case .none: break
    case .setUserTimeout(let milliseconds):
      // Refused only by a socket that is closed, and that is told by its read event.
      try? setSocketOption(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, Int32(clamping: milliseconds))
    case .giveUp:
      return unsafe owner.peerStalled(
        SystemError(
          code: ETIMEDOUT, "send to guest",
          reason: String(info.probes) + " window probes without an answer: the guest is gone"))
    }
    if waiting || info.unacked > 0 { dataIsOnItsWay() }
  }

  private static func apply(_ options: TransportOptions, to descriptor: Int32) throws(SystemError) {
    let tcp = Int32(IPPROTO_TCP)
    try setSocketOption(descriptor, tcp, TCP_NODELAY, 1)
    if options.keepaliveIdle > 0 {
      try setSocketOption(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
      try setSocketOption(descriptor, tcp, TCP_KEEPIDLE, Int32(clamping: options.keepaliveIdle))
      try setSocketOption(descriptor, tcp, TCP_KEEPINTVL, Int32(clamping: options.keepaliveInterval))
      try setSocketOption(descriptor, tcp, TCP_KEEPCNT, Int32(clamping: options.keepaliveProbes))
    }
    if options.userTimeout > 0 {
      try setSocketOption(descriptor, tcp, TCP_USER_TIMEOUT, Int32(clamping: options.userTimeout))
    }
    if options.notSentLowWater > 0 {
      try setSocketOption(descriptor, tcp, TCP_NOTSENT_LOWAT, Int32(clamping: options.notSentLowWater))
    }
  }
}
