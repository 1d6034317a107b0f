// A connection over real sockets: order, batching, water marks, ends, and every buffer home (B4.9, B7.2,
// B7.3).
import CPosix
import Testing

@testable import usbredir_evloop

struct ConnectionTests {
  let loop: EventLoop
  let record = ConnectionRecord()
  let pool = BufferPool(capacity: 4096, keep: 8)

  init() throws {
    loop = try EventLoop()
  }

  private func connect(
    _ descriptor: Int32, _ options: TransportOptions = TransportOptions()
  ) throws -> Connection {
    let connection = try Connection(loop, descriptor: descriptor, options: options, owner: record)
    record.connection = connection
    return connection
  }

  private func queue(_ count: Int, of size: Int, on connection: Connection) {
    var next: UInt8 = 0
    queueCounting(count, of: size, from: pool, on: connection, next: &next)
  }

  @Test func aTurnsPacketsLeaveInOneCall() throws {
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    let connection = try connect(ours)
    queue(SendQueue.piecesPerCall, of: 28, on: connection)
    #expect(connection.queuedBytes == 64 * 28)
    #expect(readAvailable(peer).isEmpty)
    loop.wholeTurn()
    let bytes = readAvailable(peer)
    #expect(bytes.count == 64 * 28)
    #expect(isCounting(bytes))
    #expect(connection.sendCalls == 1)
    #expect(connection.queuedBytes == 0)
    #expect(pool.inUse == 0)
    loop.someTurns()
    #expect(connection.sendCalls == 1)
  }

  @Test func moreThanOneCallsPacketsStillLeaveInTheTurn() throws {
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    let connection = try connect(ours)
    queue(150, of: 8, on: connection)
    loop.wholeTurn()
    #expect(isCounting(readAvailable(peer)))
    #expect(connection.sendCalls == 3)
    #expect(pool.inUse == 0)
  }

  @Test func aTurnsCallsAreBounded() throws {
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    try setSocketOption(ours, SOL_SOCKET, SO_SNDBUF, 4 << 20)
    let connection = try connect(ours)
    let count = SendQueue.piecesPerCall * SendQueue.callsPerTurn + 10
    queue(count, of: 1, on: connection)
    loop.wholeTurn()
    #expect(connection.queuedBytes == 10)
    var bytes: [UInt8] = []
    #expect(
      loop.turns {
        bytes += readAvailable(peer)
        return bytes.count == count
      })
    #expect(isCounting(bytes))
    #expect(pool.inUse == 0)
  }

  @Test(arguments: [1, 7, 100, 4096])
  func aSlowReaderGetsEveryByteInOrder(_ size: Int) throws {
    let (ours, peer) = try tcpPair(receiveBuffer: 4096)
    defer { close(peer) }
    try setSocketOption(ours, SOL_SOCKET, SO_SNDBUF, 4096)
    let connection = try connect(ours)
    var next: UInt8 = 0
    var bytes: [UInt8] = []
    // Tiny pieces cost the kernel a buffer each: fewer of them fill it just as well.
    let total = min(300_000, 10_000 * size) / size * size
    var queued = 0
    #expect(
      loop.turns {
        while queued < total && connection.queuedBytes < total / 5 {
          queueCounting(1, of: size, from: pool, on: connection, next: &next)
          queued += size
        }
        bytes += readAvailable(peer, limit: 3_001)
        return bytes.count == total
      })
    #expect(isCounting(bytes))
    #expect(connection.queuedBytes == 0)
    #expect(pool.inUse == 0)
  }

  @Test func waterMarksAreToldOncePerCrossing() throws {
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    try setSocketOption(ours, SOL_SOCKET, SO_SNDBUF, 4096)
    var options = TransportOptions()
    options.highWater = 64 * 1024
    options.lowWater = 16 * 1024
    let connection = try connect(ours, options)
    for round in 1...2 {
      for _ in 0..<10 {
        queue(4, of: 4096, on: connection)
        loop.wholeTurn()
      }
      #expect(record.high == round)
      #expect(record.low == round - 1)
      #expect(connection.queuedBytes > options.highWater)
      var toldEarly = false
      #expect(
        loop.turns {
          if record.low == round && connection.queuedBytes > options.lowWater { toldEarly = true }
          _ = readAvailable(peer, limit: 5000)
          return connection.queuedBytes == 0
        })
      #expect(!toldEarly)
      #expect(record.high == round)
      #expect(record.low == round)
    }
    #expect(pool.inUse == 0)
  }

  @Test func whatTheKernelTakesAtOnceCrossesNothing() throws {
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    var options = TransportOptions()
    options.highWater = 1000
    options.lowWater = 100
    let connection = try connect(ours, options)
    queue(10, of: 1000, on: connection)
    #expect(connection.queuedBytes == 10_000)
    loop.someTurns()
    #expect(connection.queuedBytes == 0)
    #expect(record.high == 0 && record.low == 0)
  }

  @Test func whileTheKernelRefusesNothingIsTried() throws {
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    let connection = try connect(ours)
    queue(200, of: 4096, on: connection)
    loop.someTurns()
    let calls = connection.sendCalls
    #expect(connection.queuedBytes > 0)
    for _ in 0..<5 {
      queue(1, of: 10, on: connection)
      loop.wholeTurn()
    }
    #expect(connection.sendCalls == calls)
    connection.close()
    #expect(pool.inUse == 0)
  }

  @Test func theBytesBeforeTheEndAreReceived() throws {
    let (ours, peer) = try unixPair()
    _ = try connect(ours)
    #expect(unsafe write(peer, "hello", 5) == 5)
    close(peer)
    #expect(loop.turns { !record.ends.isEmpty })
    #expect(record.received == Array("hello".utf8))
    #expect(record.results == ["ended"])
    #expect(record.ends == ["closed by the guest"])
    loop.someTurns()
    #expect(record.ends.count == 1)
  }

  @Test func aResetIsAnError() throws {
    let (ours, peer) = try tcpPair()
    let connection = try connect(ours)
    queue(1, of: 4, on: connection)
    loop.wholeTurn()
    // Unread bytes turn the close into a reset.
    close(peer)
    #expect(loop.turns { !record.ends.isEmpty })
    #expect(record.ends == ["receive from guest: Connection reset by peer"])
    #expect(record.results == record.ends)
  }

  @Test func aFailedSendIsToldFromTheLoopAndOnce() throws {
    let (ours, peer) = try unixPair()
    let connection = try connect(ours)
    connection.pauseReading()
    close(peer)
    queue(3, of: 100, on: connection)
    #expect(record.ends.isEmpty)
    loop.wholeTurn()
    #expect(record.ends == ["send to guest: Broken pipe"])
    #expect(pool.inUse == 0)
    queue(1, of: 100, on: connection)
    connection.resumeReading()
    loop.someTurns()
    #expect(record.ends.count == 1)
    #expect(record.readableCalls == 0)
    #expect(pool.inUse == 0)
  }

  @Test func afterCloseNothingIsToldAndEveryBufferIsHome() throws {
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    let connection = try connect(ours)
    queue(200, of: 4096, on: connection)
    loop.wholeTurn()
    #expect(unsafe write(peer, "x", 1) == 1)
    connection.close()
    connection.close()
    #expect(pool.inUse == 0)
    #expect(connection.queuedBytes == 0)
    loop.someTurns()
    #expect(record.readableCalls == 0)
    #expect(record.ends.isEmpty)
    #expect(record.high == 0)
    _ = readAvailable(peer)
    var byte: UInt8 = 0
    #expect(unsafe recv(peer, &byte, 1, 0) == 0)
  }

  @Test func itMayBeClosedAndFreedInItsOwnCallback() throws {
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    _ = try connect(ours)
    record.onReadable = { [record = Unowned(record)] in
      record.value.connection?.close()
      record.value.connection = nil
    }
    #expect(unsafe write(peer, "x", 1) == 1)
    #expect(loop.turns { record.connection == nil })
    loop.someTurns()
    #expect(record.readableCalls == 1)
  }

  /// A buffer that comes home may lead anywhere: to more packets, and to the end of the connection.
  @Test func whoHearsOfABufferMayQueueOrClose() throws {
    final class Reaction: BufferPoolOwner {
      var returned = 0
      var react: (Int) -> Void = { _ in }
      func bufferReturned(to pool: BufferPool) {
        returned += 1
        react(returned)
      }
    }
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    let connection = try connect(ours)
    let reaction = Reaction()
    unsafe pool.owner = reaction
    reaction.react = { [record, pool] returned in
      if returned == 2 {
        var next: UInt8 = 0
        if let connection = record.connection {
          queueCounting(1, of: 10, from: pool, on: connection, next: &next)
        }
      }
      if returned == 4 { record.connection?.close() }
    }
    queue(6, of: 10, on: connection)
    loop.someTurns()
    #expect(reaction.returned == 7)
    #expect(pool.inUse == 0)
    #expect(record.ends.isEmpty)
    #expect(readAvailable(peer).count == 60)
    unsafe pool.owner = nil
    reaction.react = { _ in }
  }

  @Test func pausedItReadsNothing() throws {
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    let connection = try connect(ours)
    connection.pauseReading()
    #expect(unsafe write(peer, "abc", 3) == 3)
    loop.someTurns()
    #expect(record.readableCalls == 0)
    connection.resumeReading()
    #expect(loop.turns { record.received.count == 3 })
  }

  @Test func anUnreadByteIsToldAgain() throws {
    let (ours, peer) = try unixPair()
    defer { close(peer) }
    _ = try connect(ours)
    record.onReadable = {}
    #expect(unsafe write(peer, "a", 1) == 1)
    #expect(loop.turns { record.readableCalls > 2 })
  }

  @Test func aBadDescriptorIsAnError() throws {
    let error = #expect(throws: SystemError.self) { try connect(-1) }
    #expect(error?.code == EBADF)
  }
}

/// TCP's own options and the rule about paused guests.
struct TCPPeerTests {
  private let tcp = Int32(IPPROTO_TCP)

  @Test func theOptionsAreSet() throws {
    let (ours, peer) = try tcpPair()
    defer { close(peer) }
    let record = ConnectionRecord()
    let connection = try Connection(
      try EventLoop(), descriptor: ours, options: TransportOptions(), owner: record)
    #expect(socketOption(ours, tcp, TCP_NODELAY) != 0)
    #expect(socketOption(ours, SOL_SOCKET, SO_KEEPALIVE) != 0)
    #expect(socketOption(ours, tcp, TCP_KEEPIDLE) == 10)
    #expect(socketOption(ours, tcp, TCP_KEEPINTVL) == 5)
    #expect(socketOption(ours, tcp, TCP_KEEPCNT) == 3)
    #expect(socketOption(ours, tcp, TCP_USER_TIMEOUT) == 25_000)
    #expect(socketOption(ours, tcp, TCP_NOTSENT_LOWAT) == 16_384)
    connection.close()
  }

  @Test func zerosLeaveTheKernelsOwn() throws {
    let (ours, peer) = try tcpPair()
    defer { close(peer) }
    let before = socketOption(ours, tcp, TCP_NOTSENT_LOWAT)
    var options = TransportOptions()
    options.keepaliveIdle = 0
    options.userTimeout = 0
    options.notSentLowWater = 0
    let connection = try Connection(
      try EventLoop(), descriptor: ours, options: options, owner: ConnectionRecord())
    #expect(socketOption(ours, tcp, TCP_NODELAY) != 0)
    #expect(socketOption(ours, SOL_SOCKET, SO_KEEPALIVE) == 0)
    #expect(socketOption(ours, tcp, TCP_USER_TIMEOUT) == 0)
    #expect(socketOption(ours, tcp, TCP_NOTSENT_LOWAT) == before)
    connection.close()
  }

  /// B7.2, the case with bytes queued here, and the one where the kernel holds all that waits (`extra` small). The looks
  /// at the guest go by the test's clock: the kernel's timeout stays far away, however slow the machine is.
  @Test(arguments: [400_000, 12_000])
  func aPausedGuestLosesTheUserTimeoutUntilItReads(_ extra: Int) throws {
    let clock = ManualClock()
    let loop = try EventLoop(clock: clock)
    let tick = Work(on: loop.reaps) {}
    func looks(until condition: () -> Bool) -> Bool {
      let deadline = monotonicNanoseconds() + 60_000_000_000
      while !condition() && monotonicNanoseconds() < deadline {
        usleep(1000)
        clock.advance(milliseconds: 10_000)
        loop.timers.fireDue()
        tick.schedule()
        loop.wholeTurn()
      }
      return condition()
    }
    let (ours, peer) = try tcpPair(receiveBuffer: 4096)
    defer { close(peer) }
    var options = TransportOptions()
    options.notSentLowWater = 64 * 1024
    let record = ConnectionRecord()
    let pool = BufferPool(capacity: 1000, keep: 8)
    let connection = try Connection(loop, descriptor: ours, options: options, owner: record)
    var next: UInt8 = 0
    queueCounting(extra / 1000, of: 1000, from: pool, on: connection, next: &next)
    loop.wholeTurn()
    #expect((connection.queuedBytes > 0) == (extra > 100_000))
    #expect(looks { socketOption(ours, tcp, TCP_USER_TIMEOUT) == 0 })
    var bytes: [UInt8] = []
    #expect(
      looks {
        bytes += readAvailable(peer, limit: 100_000)
        return bytes.count == extra
      })
    #expect(isCounting(bytes))
    #expect(looks { socketOption(ours, tcp, TCP_USER_TIMEOUT) == 25_000 })
    #expect(record.ends.isEmpty)
    #expect(pool.inUse == 0)
    connection.close()
  }
}
