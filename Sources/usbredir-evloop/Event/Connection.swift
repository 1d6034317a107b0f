// A guest's socket, TCP or unix. Reading is the owner's direct recv(2). Writing gathers a turn's packets and
// sends them in one call at its end, straight from the callback that made them; only what the kernel refuses
// waits for writability. The one place where TLS would enter.
//
//     open ──(peer closed, failed, stalled)──▶ ending ──(end of turn: the owner is told)──▶ ended
//       └──────────────── close() ───────────────┴──────────────────────────────────────────▶ ended
import CPosix

/// Told what happens on a connection, always from the loop and never from inside a call to it. Loop thread
/// only.
protocol ConnectionOwner: AnyObject {
  /// Bytes, or the end, can be received; told again until they are.
  func connectionReadable(_ connection: Connection)
  /// The connection is over and closed; told once, and nothing after it. Not told after `close`.
  func connectionEnded(_ connection: Connection, _ reason: ConnectionEnd)
  /// More bytes wait than `TransportOptions.highWater`; told once until the low-water mark.
  func connectionCrossedHighWater(_ connection: Connection)
  /// The kernel took enough: `lowWater` bytes or less wait. Told only after the other.
  func connectionCrossedLowWater(_ connection: Connection)
}

/// Why a connection is over.
enum ConnectionEnd: CustomStringConvertible {
  /// The peer has closed its side.
  case peerClosed
  case failed(SystemError)

  var description: String {
    switch self {
    case .peerClosed: return "closed by the guest"
    case .failed(let error): return error.description
    }
  }
}

/// What one recv(2) gave. The last two are also told by `connectionEnded` unless the owner closes before.
enum ReceiveResult {
  case bytes(Int)
  case wouldBlock
  case ended
  case failed(SystemError)
}

/// One connected socket. Loop thread only.
@safe final class Connection {
  private enum State {
    case open, ending, ended
  }

  private let descriptor: Int32
  private let options: TransportOptions
  private unowned(unsafe) let owner: any ConnectionOwner
  private let output = SendQueue()
  private var state = State.open
  private var end = ConnectionEnd.peerClosed
  /// True from the high-water mark until the low one.
  private(set) var isAboveHighWater = false
  /// True while the kernel refuses bytes: the write event is added and nothing else sends.
  private var waitsForWritability = false
  private var readable: Event?
  private var writable: Event?
  private var flushWork: Work?
  private var tcp: TCPPeer?

  /// - Parameters:
  ///   - descriptor: a connected stream socket; the connection's from here on, also when this throws.
  ///   - owner: not retained; outlives the connection or closes it.
  init(
    _ loop: EventLoop, descriptor: Int32, options: TransportOptions, owner: any ConnectionOwner
  ) throws(SystemError) {
    self.descriptor = descriptor
    self.options = options
    unsafe self.owner = owner
    flushWork = Work(on: loop.flushes) { [connection = Unowned(self)] in connection.value.flush() }
    readable = unsafe Event(loop, descriptor: descriptor, [.read, .persist], context: self) { _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: Connection.self).becameReadable()
    }
    writable = unsafe Event(loop, descriptor: descriptor, [.write], context: self) { _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: Connection.self).becameWritable()
    }
    guard posixSetNonBlocking(descriptor) == 0 else {
      throw SystemError(code: posixErrno(), "fcntl on a socket")
    }
    if Connection.isTCP(descriptor) {
      tcp = try TCPPeer(loop, descriptor: descriptor, options: options, owner: self)
    }
    try readable?.add()
  }

  deinit {
    close()
  }

  /// Bytes that wait for the kernel.
  var queuedBytes: Int { output.count }

  /// sendmsg(2) calls made so far.
  var sendCalls: UInt64 { output.calls }

  /// recv(2) into `target`, which is not empty.
  func receive(into target: UnsafeMutableRawBufferPointer) -> ReceiveResult {
    guard state == .open else { return .wouldBlock }
    while true {
      let count = unsafe recv(descriptor, target.baseAddress, target.count, 0)
      if count > 0 { return .bytes(count) }
      if count == 0 {
        endLater(.peerClosed)
        return .ended
      }
      switch posixErrno() {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      case let code:
        let error = SystemError(code: code, "receive from guest")
        endLater(.failed(error))
        return .failed(error)
      }
    }
  }

  /// True when the peer has closed its side, though that may not have been received yet.
  var peerHasLeft: Bool { state != .open || posixPeerHasLeft(descriptor) != 0 }

  /// Puts a packet at the end of what goes out, or ahead of bulk data there (`order`); the buffer is the connection's
  /// now, and goes back to its pool when the kernel has the bytes or the connection is over. What is queued until a flush,
  /// behind each reap and at the end of a turn, leaves in one call.
  func queue(_ buffer: PacketBuffer, _ order: SendOrder = .inTurn) {
    guard state == .open else { return buffer.release() }
    output.append(buffer, order)
    flushWork?.schedule()
  }

  /// `connectionReadable` stops. The end of the connection then shows only in writing, or to keepalive.
  func pauseReading() {
    readable?.remove()
  }

  /// `connectionReadable` goes on, in the next turn if there is something to read.
  func resumeReading() {
    guard state == .open else { return }
    do throws(SystemError) {
      try readable?.add()
    } catch {
      endLater(.failed(error))
    }
  }

  /// Closes at once. What still waits is dropped, its buffers go home, and the owner hears nothing any more.
  func close() {
    guard state != .ended else { return }
    state = .ended
    flushWork?.cancel()
    readable = nil
    writable = nil
    tcp = nil
    _ = CPosix.close(descriptor)
    output.drop()
  }

  private func becameReadable() {
    guard state == .open else { return }
    unsafe owner.connectionReadable(self)
  }

  private func becameWritable() {
    waitsForWritability = false
    flush()
  }

  /// The end of a turn in which something was queued, or writability.
  private func flush() {
    if state == .open && !waitsForWritability { send() }
    guard state != .ending else { return finish() }
    if state == .open { checkWaterMarks() }
  }

  private func send() {
    switch output.send(to: descriptor) {
    case .done: break
    case .full, .again: waitForWritability()
    case .failed(let code): endLater(.failed(SystemError(code: code, "send to guest")))
    }
    if state == .open { tcp?.dataIsOnItsWay() }
  }

  private func waitForWritability() {
    guard state == .open else { return }
    do throws(SystemError) {
      try writable?.add()
      waitsForWritability = true
    } catch {
      endLater(.failed(error))
    }
  }

  private func checkWaterMarks() {
    if !isAboveHighWater && output.count > options.highWater {
      isAboveHighWater = true
      unsafe owner.connectionCrossedHighWater(self)
    } else if isAboveHighWater && output.count <= options.lowWater {
      isAboveHighWater = false
      unsafe owner.connectionCrossedLowWater(self)
    }
  }

  /// Whoever finds the end may be deep inside the owner's own calls: it is told at the end of the turn.
  private func endLater(_ reason: ConnectionEnd) {
    guard state == .open else { return }
    state = .ending
    end = reason
    readable?.remove()
    writable?.remove()
    flushWork?.schedule()
  }

  private func finish() {
    close()
    unsafe owner.connectionEnded(self, end)
  }

  private static func isTCP(_ descriptor: Int32) -> Bool {
    let (result, address) = unsafe ResolvedAddress.filled { unsafe getsockname(descriptor, $0, $1) }
    return result == 0 && address.family != AF_UNIX
  }
}

extension Connection: TCPPeerOwner {
  func peerStalled(_ error: SystemError) {
    endLater(.failed(error))
  }
}
