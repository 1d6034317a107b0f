// An event loop whose turns never wait and whose time passes as the input says, and what the targets with sockets
// share.
import CPosix

/// A millisecond for each turn, and what `pass` adds.
private final class FuzzClock: Clock {
  var time: UInt64 = 1_000_000_000
  override var now: UInt64 { time }
  override var isRunning: Bool { false }
}

final class FuzzLoop {
  let loop: EventLoop
  /// Takes every line and forgets it: the lines are made, and nothing is printed.
  let log = Log(level: .debug) { _, line in
    check(!line.isEmpty, "a line without a word")
    if FuzzLoop.isVerbose { say(line) }
  }
  /// FUZZ_VERBOSE tells what happens, to understand a finding.
  private static let isVerbose = unsafe getenv("FUZZ_VERBOSE") != nil
  /// Set by whoever saw something happen; `settle` goes on until nothing does.
  var isBusy = false
  private let clock = FuzzClock()
  private var tick: Work?

  init() {
    do throws(SystemError) {
      loop = try EventLoop(clock: clock)
    } catch {
      preconditionFailure("no loop")
    }
    tick = Work(on: loop.reaps) {}
  }

  deinit {
    tick?.cancel()
  }

  func turn() {
    clock.time += 1_000_000
    loop.timers.fireDue()
    tick?.schedule()
    loop.turn()
    loop.finishTurn()
  }

  func pass(milliseconds: UInt64) {
    clock.time += milliseconds * 1_000_000
  }

  /// Turns until `isDone`, at least `most` and so long that every thread has had its turn.
  func run(_ most: Int, until isDone: () -> Bool) {
    let end = monotonicNanoseconds() + 10_000_000_000
    var turns = 0
    while !isDone(), turns < most || monotonicNanoseconds() < end {
      turn()
      turns += 1
      if turns > 200 { usleep(100) }
    }
  }

  /// Turns until three in a row brought nothing.
  func settle() {
    var quiet = 0
    var left = 2000
    while quiet < 3, left > 0 {
      isBusy = false
      let isDue = !loop.reaps.isEmpty || !loop.flushes.isEmpty
      turn()
      quiet = isDue || isBusy ? 0 : quiet + 1
      left -= 1
    }
  }
}

/// The other end of a connection: reads with a `PacketReader`, writes what the target says.
final class FuzzPeer: PacketReceiver {
  let isPaused = false
  /// The descriptor for the side under test.
  let theirs: Int32
  /// False for a peer that does not read.
  var reads = true
  let reader: PacketReader
  /// Bytes that came in.
  private(set) var received = 0
  private var ours: Int32
  var onPacket: (PacketHeader, PacketType, Span<UInt8>, Span<UInt8>) -> Void = { _, _, _, _ in }
  private var piece = [UInt8](repeating: 0, count: 16 << 10)

  init(_ role: Role, _ capabilities: Capabilities, smallBuffer: Bool) {
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    check(unsafe socketpair(AF_UNIX, type, 0, &ends) == 0, "no socket pair")
    (ours, theirs) = (ends[0], ends[1])
    _ = (posixSetNonBlocking(ours), posixSetNonBlocking(theirs))
    if smallBuffer {
      var size: Int32 = 4096
      _ = unsafe setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &size, 4)
    }
    reader = PacketReader(role: role, capabilities: capabilities, limits: PacketLimits(maxTransfer: 64 << 20))
  }

  deinit {
    hangUp()
  }

  /// Sends what fits, turning meanwhile; what is behind does not arrive when the other side has stopped reading.
  func send(_ bytes: [UInt8], _ turns: FuzzLoop) {
    var sent = 0
    var left = 200
    while sent < bytes.count, left > 0, ours >= 0 {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe CPosix.send(ours, $0.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        sent += count
      } else if count < 0, posixErrno() != EAGAIN {
        return
      } else {
        turns.turn()
        receive()
      }
      left -= 1
    }
    // What follows would not be framed.
    if sent < bytes.count { hangUp() }
  }

  func receive() {
    guard reads, ours >= 0 else { return }
    while true {
      let count = unsafe piece.withUnsafeMutableBytes { unsafe recv(ours, $0.baseAddress, $0.count, 0) }
      guard count > 0 else { return }
      received += count
      var rest = piece[..<count]
      while !rest.isEmpty {
        unsafe reader.withFree { free in
          let count = min(rest.count, free.count)
          unsafe free.copyBytes(from: rest.prefix(count))
          rest = rest.dropFirst(count)
          return count
        }
        reader.drain(self)
      }
    }
  }

  func hangUp() {
    guard ours >= 0 else { return }
    close(ours)
    ours = -1
  }

  // MARK: PacketReceiver

  func receive(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>) {
    guard let type = header.type else { return check(false, "a packet without type") }
    onPacket(header, type, typeHeader, data)
  }

  func rejected(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ fault: PacketFault) {
    check(false, "a peer refuses: " + fault.description)
  }

  func broken(_ fault: PacketFault) {
    check(false, "a peer gives up: " + fault.description)
  }
}

func helloBytes(_ capabilities: Capabilities) -> [UInt8] {
  let buffer = BufferPool(capacity: 68, keep: 0).take()
  buffer.finishHello(version: "fuzz", offering: capabilities)
  return buffer.withBytes { span in span.indices.map { span[$0] } }
}

/// A whole packet; `length` may lie.
func packetBytes(
  _ type: UInt32, id: UInt64, _ body: [UInt8], length: UInt32? = nil, _ capabilities: Capabilities
) -> [UInt8] {
  var bytes: [UInt8] = []
  for value in [type, length ?? UInt32(body.count), UInt32(truncatingIfNeeded: id)] {
    bytes.append(word: UInt16(value & 0xffff))
    bytes.append(word: UInt16(value >> 16))
  }
  if capabilities.contains(.ids64) {
    for shift in [32, 40, 48, 56] as [UInt64] { bytes.append(UInt8(truncatingIfNeeded: id >> shift)) }
  }
  return bytes + body
}

func packetBytes<Header: TypeHeader>(
  _ header: Header, id: UInt64, _ data: [UInt8] = [], _ capabilities: Capabilities
) -> [UInt8] {
  let buffer = BufferPool(capacity: max(data.count, PacketBuffer.controlCapacity), keep: 0).take()
  buffer.copy(data.span)
  buffer.finish(header, id: id, capabilities)
  return buffer.withBytes { span in span.indices.map { span[$0] } }
}

extension [UInt8] {
  mutating func append(word: UInt16) {
    append(UInt8(word & 0xff))
    append(UInt8(word >> 8))
  }
}
