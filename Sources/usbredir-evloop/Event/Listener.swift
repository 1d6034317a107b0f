// A listening socket, TCP or unix: accepts whoever comes and hands the socket to its owner.
import CPosix

/// Gets what a listener accepts. Loop thread only.
protocol ListenerOwner: AnyObject {
  /// A guest came. The owner closes `descriptor`, which is non-blocking and close-on-exec.
  /// - Parameter peer: its address for people, `127.0.0.1:51234` or `unix`.
  func accepted(_ listener: Listener, _ descriptor: Int32, from peer: String)

  /// Accepting failed (no descriptors left) and is tried again shortly; told once until a guest comes
  /// through.
  func acceptFailed(_ listener: Listener, _ error: SystemError)
}

/// Listens from `init` to `close` or `deinit`. Loop thread only.
final class Listener {
  /// Where it listens, with the port that the kernel chose for port 0.
  let boundAddress: SocketAddress
  private let descriptor: Int32
  private let socketFile: SocketFile?
  private unowned(unsafe) let owner: any ListenerOwner
  private var event: Event?
  private var retry: Timer?
  private var hasFailed = false

  /// Guests accepted in one turn; the others wait for the next.
  private static let acceptsPerTurn = 16
  /// Pause after running out of descriptors or memory, in milliseconds.
  private static let retryDelay: UInt32 = 100
  /// Guests that may wait; an export serves one, but those that come and go may be many at once. Of one more the kernel
  /// drops the SYN, and sends its own again only a second later, tcp(7).
  private static let backlog: Int32 = 128

  /// Binds the first address of `address` that works and listens. May sleep when its host is a name: a server
  /// makes its listeners before it serves anybody. A unix socket's file that nobody listens on is replaced.
  /// - Parameter owner: not retained; outlives the listener.
  init(_ loop: EventLoop, _ address: SocketAddress, owner: any ListenerOwner) throws(SystemError) {
    let bound = try Listener.bind(address)
    descriptor = bound.descriptor
    socketFile = bound.file
    boundAddress = bound.address
    unsafe self.owner = owner
    event = unsafe Event(loop, descriptor: descriptor, [.read, .persist], context: self) { _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: Listener.self).readable()
    }
    retry = Timer(loop) { [listener = Unowned(self)] in listener.value.resume() }
    try event?.add()
  }

  deinit {
    close()
  }

  /// Stops listening and removes the unix socket's file, unless somebody else has put one there since.
  func close() {
    guard event != nil else { return }
    event = nil
    retry = nil
    _ = CPosix.close(descriptor)
    socketFile?.remove()
  }

  private func readable() {
    for _ in 0..<Listener.acceptsPerTurn where event != nil {
      let (guest, peer) = unsafe ResolvedAddress.filled { unsafe posixAccept(descriptor, $0, $1) }
      if guest >= 0 {
        hasFailed = false
        unsafe owner.accepted(self, guest, from: peer.family == AF_UNIX ? "unix" : peer.description)
      } else if !passes(posixErrno()) {
        return
      }
    }
  }

  /// True when the failure concerns one guest alone. accept(2): its errors are those of the new socket, too.
  private func passes(_ code: Int32) -> Bool {
    switch code {
    case EAGAIN: return false
    case EMFILE, ENFILE, ENOBUFS, ENOMEM:
      pause(code)
      return false
    default: return true
    }
  }

  /// The guest stays in the queue and the descriptor readable: without a pause the loop would spin.
  private func pause(_ code: Int32) {
    event?.remove()
    retry?.start(milliseconds: Listener.retryDelay)
    guard !hasFailed else { return }
    hasFailed = true
    unsafe owner.acceptFailed(self, SystemError(code: code, "accept on " + boundAddress.description))
  }

  private func resume() {
    guard event != nil else { return }
    do throws(SystemError) {
      try event?.add()
    } catch {
      pause(error.code)
    }
  }
}

// Making the socket.
extension Listener {
  private struct Bound {
    let descriptor: Int32
    let address: SocketAddress
    let file: SocketFile?
  }

  private static func bind(_ address: SocketAddress) throws(SystemError) -> Bound {
    let candidates = try ResolvedAddress.resolve(address).get()
    var failure = SystemError(code: EADDRNOTAVAIL, "bind " + address.description)
    for candidate in candidates {
      do throws(SystemError) {
        return try bind(candidate, address)
      } catch {
        failure = error
      }
    }
    throw failure
  }

  private static func bind(
    _ candidate: ResolvedAddress, _ address: SocketAddress
  ) throws(SystemError) -> Bound {
    let name = candidate.description
    let descriptor = posixStreamSocket(candidate.family)
    guard descriptor >= 0 else { throw SystemError(code: posixErrno(), "socket for " + name) }
    do throws(SystemError) {
      if candidate.family != AF_UNIX { try prepare(descriptor, candidate.family) }
      var result = unsafe candidate.withPointer { unsafe CPosix.bind(descriptor, $0, $1) }
      if result < 0, posixErrno() == EADDRINUSE, case .unix(let path) = address {
        try SocketFile.removeStale(path, candidate)
        result = unsafe candidate.withPointer { unsafe CPosix.bind(descriptor, $0, $1) }
      }
      guard result == 0, listen(descriptor, backlog) == 0 else { throw refusal(posixErrno(), name) }
    } catch {
      _ = CPosix.close(descriptor)
      throw error
    }
    if case .unix(let path) = address {
      return Bound(descriptor: descriptor, address: address, file: SocketFile(path))
    }
    let (_, bound) = unsafe ResolvedAddress.filled { unsafe getsockname(descriptor, $0, $1) }
    return Bound(descriptor: descriptor, address: bound.socketAddress, file: nil)
  }

  /// SO_REUSEADDR: a port whose old connections are in TIME-WAIT can be bound. An IPv6 listener takes IPv6
  /// only, whatever the system's default is.
  private static func prepare(_ descriptor: Int32, _ family: Int32) throws(SystemError) {
    try setSocketOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
    if family == AF_INET6 { try setSocketOption(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
  }

  private static func refusal(_ code: Int32, _ name: String) -> SystemError {
    let advice: String?
    switch code {
    case EADDRINUSE: advice = "choose another address or stop what listens there"
    case EADDRNOTAVAIL: advice = "no interface has this address"
    case EACCES: advice = "choose a port from 1024 up, or a path that may be written"
    case ENOENT: advice = "make the directory first"
    default: advice = nil
    }
    return SystemError(code: code, "bind " + name, advice: advice)
  }
}

/// setsockopt(2) of a number.
func setSocketOption(
  _ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32
) throws(SystemError) {
  var value = value
  guard unsafe setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
    throw SystemError(
      code: posixErrno(), "set option " + String(option) + " of level " + String(level) + " on a socket")
  }
}
