// Connecting out: resolves, then tries one address after the other until one takes us.
import CPosix

/// Told how connecting went: one of the two, once per `start`, never from inside it. Loop thread only.
protocol ConnectorOwner: AnyObject {
  /// Connected. The owner closes `descriptor`, which is non-blocking and close-on-exec.
  /// - Parameter peer: the address that took us, for people.
  func connected(_ connector: Connector, _ descriptor: Int32, to peer: String)

  /// No address took us; the error is that of the last one. When to try again is up to the owner.
  func connectFailed(_ connector: Connector, _ error: SystemError)
}

/// One address to connect to, as often as `start` is called. Loop thread only.
final class Connector {
  private enum State {
    case idle, resolving, connecting, reporting
  }

  /// Where it connects to.
  let address: SocketAddress
  private let loop: EventLoop
  private let timeout: UInt32
  private let calls: BlockingCalls
  private unowned(unsafe) let owner: any ConnectorOwner
  private var state = State.idle
  /// Counts starts, to tell a resolver's answer that comes after `cancel`.
  private var attempt: UInt64 = 0
  private var candidates: [ResolvedAddress] = []
  private var candidate = 0
  private var descriptor: Int32 = -1
  private var failure: SystemError?
  private var writable: Event?
  private var timer: Timer?
  private var report: Work?

  /// - Parameters:
  ///   - timeout: milliseconds that one address may take to answer.
  ///   - owner: not retained; outlives the connector.
  init(
    _ loop: EventLoop, to address: SocketAddress, calls: BlockingCalls, timeout: UInt32 = 10_000,
    owner: any ConnectorOwner
  ) {
    self.loop = loop
    self.timeout = timeout
    self.address = address
    self.calls = calls
    unsafe self.owner = owner
    timer = Timer(loop) { [connector = Unowned(self)] in connector.value.failed(ETIMEDOUT) }
    report = Work(on: loop.flushes) { [connector = Unowned(self)] in connector.value.reportOutcome() }
  }

  deinit {
    cancel()
  }

  /// Begins to connect; nothing changes while it is at it.
  func start() {
    guard state == .idle else { return }
    attempt += 1
    failure = nil
    candidate = 0
    // A literal or a path needs no thread.
    if case .success(let found) = ResolvedAddress.resolve(address, numericOnly: true) {
      return connect(to: found)
    }
    state = .resolving
    let (address, attempt) = (address, attempt)
    // The closure keeps the connector until the resolver is done with it.
    calls.run({ ResolvedAddress.resolve(address) }) { result in self.resolved(result, attempt) }
  }

  /// Gives up silently; `start` may be called again.
  func cancel() {
    state = .idle
    report?.cancel()
    timer?.stop()
    writable = nil
    closeDescriptor()
  }

  private func resolved(_ result: Result<[ResolvedAddress], SystemError>, _ attempt: UInt64) {
    guard state == .resolving, attempt == self.attempt else { return }
    switch result {
    case .success(let found): connect(to: found)
    case .failure(let error): finish(error)
    }
  }

  private func connect(to found: [ResolvedAddress]) {
    candidates = found
    tryNext()
  }

  /// Begins with the next address that does not fail at once, or reports the last failure.
  private func tryNext() {
    state = .connecting
    while candidate < candidates.count {
      let target = candidates[candidate]
      candidate += 1
      switch begin(target) {
      case 0: return finish(nil)
      case EINPROGRESS: return wait()
      case let code: fail(target, code)
      }
    }
    finish(failure ?? SystemError(code: EADDRNOTAVAIL, "connect " + address.description))
  }

  /// connect(2); 0 or errno.
  private func begin(_ target: ResolvedAddress) -> Int32 {
    descriptor = posixStreamSocket(target.family)
    guard descriptor >= 0 else { return posixErrno() }
    let result = unsafe target.withPointer { unsafe CPosix.connect(descriptor, $0, $1) }
    return result == 0 ? 0 : posixErrno()
  }

  private func wait() {
    writable = unsafe Event(loop, descriptor: descriptor, [.write], context: self) { _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: Connector.self).connectEnded()
    }
    do throws(SystemError) {
      try writable?.add()
      timer?.start(milliseconds: timeout)
    } catch {
      failed(error.code)
    }
  }

  private func connectEnded() {
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
    guard code == 0 else { return failed(code) }
    writable = nil
    timer?.stop()
    finish(nil)
  }

  private func failed(_ code: Int32) {
    writable = nil
    timer?.stop()
    fail(candidates[candidate - 1], code)
    tryNext()
  }

  private func fail(_ target: ResolvedAddress, _ code: Int32) {
    closeDescriptor()
    let advice = code == ECONNREFUSED || code == ENOENT ? "nobody listens there" : nil
    failure = SystemError(code: code, "connect " + target.description, advice: advice)
  }

  private func finish(_ error: SystemError?) {
    failure = error
    state = .reporting
    report?.schedule()
  }

  private func reportOutcome() {
    state = .idle
    if let failure { return unsafe owner.connectFailed(self, failure) }
    let connected = descriptor
    descriptor = -1
    unsafe owner.connected(self, connected, to: candidates[candidate - 1].description)
  }

  private func closeDescriptor() {
    if descriptor >= 0 { _ = close(descriptor) }
    descriptor = -1
  }
}
