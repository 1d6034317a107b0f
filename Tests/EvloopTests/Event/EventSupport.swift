// What the tests of Event share: turns with a bound, sockets, and an owner that keeps a record.
import CPosix

@testable import usbredir_evloop

extension EventLoop {
  /// Turns until `condition` holds, at most some seconds; returns whether it does.
  func turns(until condition: () -> Bool) -> Bool {
    let deadline = monotonicNanoseconds() + 60_000_000_000
    var again: () -> Void = {}
    let tick = Timer(self) { again() }
    again = { [tick = Unowned(tick)] in tick.value.start(milliseconds: 5) }
    again()
    while !condition() && monotonicNanoseconds() < deadline { wholeTurn() }
    return condition()
  }

  /// One turn as `run` makes it.
  func wholeTurn() {
    turn()
    finishTurn()
  }

  /// A few turns, for what must not happen.
  func someTurns() {
    var left = 10
    _ = turns {
      left -= 1
      return left < 0
    }
  }
}

/// A connected pair of stream sockets, non-blocking. The test closes what it does not give to a connection.
func unixPair() throws -> (ours: Int32, peer: Int32) {
  var ends: [Int32] = [-1, -1]
  let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
  guard unsafe socketpair(AF_UNIX, type, 0, &ends) == 0 else {
    throw SystemError(code: posixErrno(), "socketpair")
  }
  _ = (posixSetNonBlocking(ends[0]), posixSetNonBlocking(ends[1]))
  return (ends[0], ends[1])
}

/// The same over TCP on the loopback.
func tcpPair(receiveBuffer: Int32? = nil) throws -> (ours: Int32, peer: Int32) {
  let listener = posixStreamSocket(AF_INET)
  defer { close(listener) }
  let loopback = try ResolvedAddress.resolve(.host("127.0.0.1", port: 0)).get()[0]
  _ = unsafe loopback.withPointer { unsafe bind(listener, $0, $1) }
  listen(listener, 1)
  let (_, bound) = unsafe ResolvedAddress.filled { unsafe getsockname(listener, $0, $1) }
  let peer = posixStreamSocket(AF_INET)
  if let receiveBuffer { try setSocketOption(peer, SOL_SOCKET, SO_RCVBUF, receiveBuffer) }
  _ = unsafe bound.withPointer { unsafe connect(peer, $0, $1) }
  var ready = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
  _ = unsafe poll(&ready, 1, 60_000)
  let ours = posixAccept(listener, nil, nil)
  guard ours >= 0 else { throw SystemError(code: posixErrno(), "accept") }
  return (ours, peer)
}

/// Ends a connection for good. close(2) alone would not while a program that another test starts has a copy of the
/// descriptor, which it has until its exec(2).
func hangUp(_ descriptor: Int32) {
  guard descriptor >= 0 else { return }
  shutdown(descriptor, Int32(SHUT_RDWR))
  close(descriptor)
}

/// What can be read from `descriptor` now, at most `limit` bytes.
func readAvailable(_ descriptor: Int32, limit: Int = 1 << 20) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: limit)
  var count = 0
  while count < limit {
    let got = unsafe bytes.withUnsafeMutableBytes {
      unsafe recv(descriptor, $0.baseAddress?.advanced(by: count), limit - count, 0)
    }
    if got <= 0 { break }
    count += got
  }
  return Array(bytes.prefix(count))
}

func socketOption(_ descriptor: Int32, _ level: Int32, _ option: Int32) -> Int32 {
  var value: Int32 = -1
  var length = socklen_t(MemoryLayout<Int32>.size)
  _ = unsafe getsockopt(descriptor, level, option, &value, &length)
  return value
}

/// A path for a unix socket that no other test uses.
func socketPath(_ name: String) -> String {
  "/tmp/usbredir-evloop-test-" + String(getpid()) + "-" + name
}

/// Keeps what a connection tells, and reads what comes.
final class ConnectionRecord: ConnectionOwner {
  var connection: Connection?
  var received: [UInt8] = []
  var results: [String] = []
  var ends: [String] = []
  var high = 0
  var low = 0
  var readableCalls = 0
  /// Instead of reading.
  var onReadable: (() -> Void)?

  func connectionReadable(_ connection: Connection) {
    readableCalls += 1
    if let onReadable { return onReadable() }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let result = unsafe bytes.withUnsafeMutableBytes { unsafe connection.receive(into: $0) }
    switch result {
    case .bytes(let count): received += bytes.prefix(count)
    case .wouldBlock: results.append("would block")
    case .ended: results.append("ended")
    case .failed(let error): results.append(error.description)
    }
  }

  func connectionEnded(_ connection: Connection, _ reason: ConnectionEnd) { ends.append(reason.description) }
  func connectionCrossedHighWater(_ connection: Connection) { high += 1 }
  func connectionCrossedLowWater(_ connection: Connection) { low += 1 }
}

/// Queues `count` packets of `size` bytes each; together they are one run of counting bytes.
func queueCounting(
  _ count: Int, of size: Int, from pool: BufferPool, on connection: Connection, next: inout UInt8
) {
  for _ in 0..<count {
    var value = next
    let buffer = pool.take()
    buffer.fill(size) { span in
      for offset in 0..<size {
        span.put(value, at: offset)
        value &+= 1
      }
    }
    next = value
    connection.queue(buffer)
  }
}

func isCounting(_ bytes: [UInt8]) -> Bool {
  for (index, byte) in bytes.enumerated() where byte != UInt8(truncatingIfNeeded: index) { return false }
  return true
}
