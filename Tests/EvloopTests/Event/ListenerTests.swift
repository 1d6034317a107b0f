// Listening and connecting, TCP and unix (B7.1), and the errors that an operator meets.
import CPosix
import Testing

@testable import usbredir_evloop

/// Keeps what listeners and connectors tell; closes what they hand over.
final class SocketRecord: ListenerOwner, ConnectorOwner {
  var peers: [String] = []
  var connected: [String] = []
  var errors: [String] = []

  var outcomes: Int { connected.count + errors.count }

  func accepted(_ listener: Listener, _ descriptor: Int32, from peer: String) {
    peers.append(peer)
    close(descriptor)
  }

  func acceptFailed(_ listener: Listener, _ error: SystemError) { errors.append(error.description) }

  func connected(_ connector: Connector, _ descriptor: Int32, to peer: String) {
    connected.append(peer)
    close(descriptor)
  }

  func connectFailed(_ connector: Connector, _ error: SystemError) { errors.append(error.description) }
}

struct ListenerTests {
  @Test(arguments: ["127.0.0.1:0", "[::1]:0", "localhost:0"])
  func guestsComeOverTCP(_ text: String) throws {
    let loop = try EventLoop()
    let record = SocketRecord()
    let listener = try Listener(loop, try SocketAddress(parsing: text), owner: record)
    guard case .host(let host, let port) = listener.boundAddress else {
      return #expect(Bool(false), "no TCP address")
    }
    #expect(port != 0)
    let connector = Connector(
      loop, to: listener.boundAddress, calls: try BlockingCalls(loop), owner: record)
    connector.start()
    #expect(loop.turns { record.peers.count == 1 && record.outcomes == 1 })
    #expect(record.connected == [listener.boundAddress.description])
    #expect(record.peers[0].hasPrefix(host.contains(":") ? "[" + host + "]:" : host + ":"))
  }

  @Test func aTakenPortSaysWhatToDo() throws {
    let loop = try EventLoop()
    let record = SocketRecord()
    // Not the address of everybody else, who might be given the port as soon as it is free.
    let first = try Listener(loop, try SocketAddress(parsing: "127.0.0.2:0"), owner: record)
    let address = first.boundAddress
    let error = #expect(throws: SystemError.self) { try Listener(loop, address, owner: record) }
    #expect(error?.code == EADDRINUSE)
    #expect(
      error?.description == "bind " + address.description
        + ": Address already in use; choose another address or stop what listens there")
    first.close()
    _ = try Listener(loop, address, owner: record)
  }

  @Test func anAddressOfNobodySaysSo() throws {
    let loop = try EventLoop()
    let error = #expect(throws: SystemError.self) {
      try Listener(loop, .host("192.0.2.1", port: 4000), owner: SocketRecord())
    }
    #expect(
      error?.description
        == "bind 192.0.2.1:4000: Cannot assign requested address; no interface has this address")
  }

  @Test func manyGuestsAtOnceAllCome() throws {
    let loop = try EventLoop()
    let record = SocketRecord()
    let path = socketPath("many")
    let listener = try Listener(loop, .unix(path), owner: record)
    let address = try ResolvedAddress.resolve(listener.boundAddress).get()[0]
    for _ in 0..<12 {
      let guest = posixStreamSocket(AF_UNIX)
      #expect(unsafe address.withPointer { unsafe connect(guest, $0, $1) } == 0)
      close(guest)
    }
    #expect(loop.turns { record.peers.count == 12 })
    #expect(record.peers.allSatisfy { $0 == "unix" })
  }

  @Test func whatWasAcceptedIsNonBlockingAndCloseOnExec() throws {
    final class Flags: ListenerOwner {
      var result: Int?
      func accepted(_ listener: Listener, _ descriptor: Int32, from peer: String) {
        var byte: UInt8 = 0
        result = unsafe recv(descriptor, &byte, 1, 0)
        #expect(posixErrno() == EAGAIN)
        close(descriptor)
      }
      func acceptFailed(_ listener: Listener, _ error: SystemError) {}
    }
    let loop = try EventLoop()
    let flags = Flags()
    let listener = try Listener(loop, try SocketAddress(parsing: "0"), owner: flags)
    let address = try ResolvedAddress.resolve(listener.boundAddress).get()[0]
    let guest = posixStreamSocket(AF_INET)
    defer { close(guest) }
    _ = unsafe address.withPointer { unsafe connect(guest, $0, $1) }
    #expect(loop.turns { flags.result != nil })
    #expect(flags.result == -1)
  }
}

struct UnixListenerTests {
  private func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

  @Test func theFileGoesWithTheListener() throws {
    let path = socketPath("file")
    let listener = try Listener(try EventLoop(), .unix(path), owner: SocketRecord())
    #expect(exists(path))
    #expect(listener.boundAddress == .unix(path))
    listener.close()
    #expect(!exists(path))
  }

  @Test func aStaleFileIsReplaced() throws {
    let path = socketPath("stale")
    let dead = posixStreamSocket(AF_UNIX)
    let address = try ResolvedAddress.resolve(.unix(path)).get()[0]
    #expect(unsafe address.withPointer { unsafe bind(dead, $0, $1) } == 0)
    close(dead)
    #expect(exists(path))
    let loop = try EventLoop()
    let record = SocketRecord()
    let listener = try Listener(loop, .unix(path), owner: record)
    let connector = Connector(loop, to: .unix(path), calls: try BlockingCalls(loop), owner: record)
    connector.start()
    #expect(loop.turns { !record.peers.isEmpty && !record.connected.isEmpty })
    listener.close()
  }

  @Test func aFileInUseIsKept() throws {
    let path = socketPath("used")
    let loop = try EventLoop()
    let record = SocketRecord()
    let first = try Listener(loop, .unix(path), owner: record)
    let error = #expect(throws: SystemError.self) { try Listener(loop, .unix(path), owner: record) }
    #expect(
      error?.description == "bind unix:" + path
        + ": Address already in use; choose another path or stop what listens there")
    #expect(exists(path))
    first.close()
  }

  @Test func whatIsNoSocketIsKept() throws {
    let path = socketPath("plain")
    close(unsafe posixOpen(path, O_CREAT | O_WRONLY, 0o600))
    defer { _ = unsafe unlink(path) }
    let error = #expect(throws: SystemError.self) {
      try Listener(try EventLoop(), .unix(path), owner: SocketRecord())
    }
    #expect(
      error?.description == "bind unix:" + path
        + ": Address already in use; the file is no socket; choose another path")
    #expect(exists(path))
  }

  @Test func somebodyElsesFileIsKept() throws {
    let path = socketPath("replaced")
    let loop = try EventLoop()
    let old = try Listener(loop, .unix(path), owner: SocketRecord())
    #expect(unsafe unlink(path) == 0)
    let new = try Listener(loop, .unix(path), owner: SocketRecord())
    old.close()
    #expect(exists(path))
    new.close()
    #expect(!exists(path))
  }

  @Test func aMissingDirectorySaysSo() throws {
    let path = socketPath("none") + "/socket"
    let error = #expect(throws: SystemError.self) {
      try Listener(try EventLoop(), .unix(path), owner: SocketRecord())
    }
    #expect(
      error?.description == "bind unix:" + path + ": No such file or directory; make the directory first")
  }
}

struct ConnectorTests {
  /// A port on which nobody listens: bound, and not listening.
  private func deadPort() throws -> (descriptor: Int32, address: SocketAddress) {
    let descriptor = posixStreamSocket(AF_INET)
    let loopback = try ResolvedAddress.resolve(.host("127.0.0.1", port: 0)).get()[0]
    _ = unsafe loopback.withPointer { unsafe bind(descriptor, $0, $1) }
    let (_, bound) = unsafe ResolvedAddress.filled { unsafe getsockname(descriptor, $0, $1) }
    return (descriptor, bound.socketAddress)
  }

  @Test func refusedIsToldFromTheLoopAndMayBeTriedAgain() throws {
    let (descriptor, address) = try deadPort()
    defer { close(descriptor) }
    let loop = try EventLoop()
    let record = SocketRecord()
    let connector = Connector(loop, to: address, calls: try BlockingCalls(loop), owner: record)
    let refused = "connect " + address.description + ": Connection refused; nobody listens there"
    connector.start()
    connector.start()
    #expect(record.errors.isEmpty)
    #expect(loop.turns { record.outcomes == 1 })
    connector.start()
    #expect(loop.turns { record.outcomes == 2 })
    #expect(record.errors == [refused, refused])
  }

  @Test func aMissingUnixSocketIsToldFromTheLoop() throws {
    let loop = try EventLoop()
    let record = SocketRecord()
    let path = socketPath("missing")
    let connector = Connector(loop, to: .unix(path), calls: try BlockingCalls(loop), owner: record)
    connector.start()
    #expect(record.errors.isEmpty)
    #expect(loop.turns { record.outcomes == 1 })
    #expect(record.errors == ["connect unix:" + path + ": No such file or directory; nobody listens there"])
  }

  @Test func namesResolveOffTheLoop() throws {
    let loop = try EventLoop()
    let calls = try BlockingCalls(loop)
    let record = SocketRecord()
    let listener = try Listener(loop, try SocketAddress(parsing: "127.0.0.1:0"), owner: record)
    guard case .host(_, let port) = listener.boundAddress else { return }
    let connector = Connector(loop, to: .host("localhost", port: port), calls: calls, owner: record)
    connector.start()
    #expect(calls.running == 1)
    #expect(loop.turns { record.outcomes == 1 })
    #expect(record.connected == [listener.boundAddress.description])
  }

  @Test func cancelledItIsSilent() throws {
    let (descriptor, address) = try deadPort()
    defer { close(descriptor) }
    let loop = try EventLoop()
    let calls = try BlockingCalls(loop)
    let record = SocketRecord()
    let literal = Connector(loop, to: address, calls: calls, owner: record)
    literal.start()
    literal.cancel()
    let name = Connector(loop, to: .host("localhost", port: 1), calls: calls, owner: record)
    name.start()
    name.cancel()
    #expect(loop.turns { calls.running == 0 })
    loop.someTurns()
    #expect(record.outcomes == 0)
  }

  @Test func aCancelledResolverDoesNotAnswerTheNextStart() throws {
    let loop = try EventLoop()
    let calls = try BlockingCalls(loop)
    let record = SocketRecord()
    let connector = Connector(loop, to: .host("localhost", port: 1), calls: calls, owner: record)
    connector.start()
    connector.cancel()
    connector.start()
    #expect(loop.turns { calls.running == 0 && record.outcomes == 1 })
    loop.someTurns()
    #expect(record.outcomes == 1)
  }

  /// Freed while its name resolves: the answer finds nobody to tell, and no freed memory either.
  @Test func freedWhileResolvingItIsSilent() throws {
    let loop = try EventLoop()
    let calls = try BlockingCalls(loop)
    let record = SocketRecord()
    var connector: Connector? = Connector(
      loop, to: .host("localhost", port: 1), calls: calls, owner: record)
    connector?.start()
    connector?.cancel()
    connector = nil
    #expect(loop.turns { calls.running == 0 })
    loop.someTurns()
    #expect(record.outcomes == 0)
  }

  /// A full backlog takes no more connections and answers nothing.
  @Test func anAddressThatDoesNotAnswerTimesOut() throws {
    let (descriptor, address) = try deadPort()
    defer { close(descriptor) }
    listen(descriptor, 0)
    let resolved = try ResolvedAddress.resolve(address).get()[0]
    let fillers = (0..<4).map { _ in posixStreamSocket(AF_INET) }
    for filler in fillers { _ = unsafe resolved.withPointer { unsafe connect(filler, $0, $1) } }
    defer { for filler in fillers { close(filler) } }
    let loop = try EventLoop()
    let record = SocketRecord()
    let connector = Connector(
      loop, to: address, calls: try BlockingCalls(loop), timeout: 50, owner: record)
    connector.start()
    #expect(loop.turns { record.outcomes == 1 })
    #expect(record.errors == ["connect " + address.description + ": Connection timed out"])
  }
}
