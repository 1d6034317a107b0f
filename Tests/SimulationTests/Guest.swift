// A guest of a simulated life: its socket, how fast it reads, and what it does.
import CPosix

@testable import usbredir_evloop

/// Loop thread only.
final class Guest {
  enum Manner: CaseIterable {
    case valid
    /// Reads little, and at times nothing.
    case slow
    /// Sends what it should not.
    case hostile
    /// Is gone at any moment.
    case vanishing
    /// Says nothing.
    case silent
  }

  let number: Int
  let manner: Manner
  let model: GuestModel
  private(set) var descriptor: Int32
  /// The server closed the connection.
  private(set) var isClosed = false
  /// Nothing more is begun.
  private(set) var isFinishing = false
  private(set) var actionsLeft: Int
  let world: World
  var reader: WireReader
  private var outbox: [UInt8] = []
  private var outboxStart = 0
  private var readsFrom: UInt64 = 0
  private var readSize: Int
  var lastID: UInt64 = 0
  var packets = 0
  var isoSerial: UInt32 = 0

  init(_ number: Int, _ manner: Manner, _ descriptor: Int32, _ world: World) {
    self.number = number
    self.manner = manner
    self.descriptor = descriptor
    self.world = world
    model = GuestModel(world)
    model.isHostile = manner == .hostile
    actionsLeft = world.random.within(1...60)
    readSize = manner == .slow ? world.random.pick([1, 7, 100]) : 1 << 16
    let capabilities = world.random.chance(700) ? UInt32(0xff) : UInt32(world.random.below(256))
    reader = WireReader(offering: capabilities)
    if manner != .silent { outbox = Wire.hello(capabilities, name: "guest \(number)") }
    offered = capabilities
    world.saw(.guestConnected, UInt64(number))
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }

  /// What its hello offers.
  let offered: UInt32

  var isHere: Bool { descriptor >= 0 && !isClosed }

  /// Everything is said, and everything has come.
  var missing: String? {
    if outboxStart < outbox.count { return "\(outbox.count - outboxStart) bytes are not taken" }
    return model.missing
  }

  // MARK: sending

  func queue(_ bytes: [UInt8]) {
    packets += 1
    outbox += bytes
  }

  func packet(_ type: UInt32, _ id: UInt64, _ body: [UInt8]) {
    queue(Wire.packet(type, id: id, body, wide: reader.has(Wire.ids64Bit)))
  }

  func newID() -> UInt64 {
    lastID += 1
    return lastID
  }

  private func send() {
    while descriptor >= 0 && outboxStart < outbox.count {
      let left = outbox.count - outboxStart
      let count =
        manner == .valid && world.random.chance(700) ? left : min(left, 1 + world.random.skewed(left))
      let sent = unsafe outbox.withUnsafeBytes {
        unsafe CPosix.send(
          descriptor, $0.baseAddress?.advanced(by: outboxStart), count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      guard sent > 0 else { break }
      outboxStart += sent
      if world.random.chance(300) { break }
    }
    if outboxStart == outbox.count {
      outbox.removeAll(keepingCapacity: true)
      outboxStart = 0
    }
  }

  // MARK: receiving

  /// Takes its turn: sends what it has to send and reads what it likes to.
  func turn() {
    guard isHere else { return }
    send()
    guard world.now >= readsFrom else { return }
    if !isFinishing && manner == .slow && world.random.chance(30) {
      let pause = UInt64(world.random.pick([1_000_000, 300_000_000, 30_000_000_000]))
      readsFrom = world.now + pause
      world.after(pause) {}
      world.saw(.guestReadingPaused)
      return
    }
    receive(isFinishing ? 1 << 20 : readSize)
  }

  private func receive(_ count: Int) {
    var bytes = [UInt8](repeating: 0, count: min(count, 1 << 16))
    var left = count
    while left > 0 && isHere {
      let got = unsafe bytes.withUnsafeMutableBytes {
        unsafe read(descriptor, $0.baseAddress, min(left, $0.count))
      }
      if got < 0 && posixErrno() == EAGAIN { return }
      guard got > 0 else {
        isClosed = true
        return world.saw(.guestEndedByServer, UInt64(number))
      }
      left -= got
      reader.append(bytes[..<got])
      take()
    }
  }

  private func take() {
    while let packet = reader.next() {
      model.acknowledges = reader.has(Wire.ackBit)
      model.received(packet)
      if packet.type == Wire.deviceDisconnect && reader.has(Wire.ackBit) { acknowledgeLater() }
    }
    if let fault = reader.fault { world.fail("guest \(number): \(fault)") }
  }

  private func acknowledgeLater() {
    model.owesAcknowledgement = true
    world.after(UInt64(world.random.pick([0, 1_000_000, 500_000_000]))) { [weak self] in
      guard let self, isHere else { return }
      model.owesAcknowledgement = false
      world.saw(.askAcknowledge)
      packet(Wire.disconnectAck, 0, [])
    }
  }

  // MARK: its life

  /// Its next action comes by itself, until there are none left.
  func live() {
    let pause = model.isConnected ? world.random.pick([1_000, 50_000, 1_000_000, 20_000_000]) : 50_000_000
    world.after(UInt64(1 + world.random.below(pause))) { [weak self] in
      guard let self, isHere, !isFinishing else { return }
      guard actionsLeft > 0 else { return }
      // Who waits for a device has more patience.
      if model.isConnected || manner == .hostile || world.random.chance(100) { actionsLeft -= 1 }
      act()
      if manner == .vanishing && world.random.chance(60) { leave() }
      live()
    }
  }

  /// Begins nothing more, and reads everything.
  func finish() {
    isFinishing = true
    readsFrom = 0
    // By now every cancel is answered: this is the last question.
    if model.hasHello && manner != .hostile && manner != .silent {
      ask(Wire.getConfiguration, Wire.configurationStatus, [], isOperation: false)
    }
  }

  /// Closes its end; what was not read resets the connection.
  func leave() {
    guard descriptor >= 0 else { return }
    world.saw(world.random.chance(500) ? .guestLeft : .guestLeftUnread)
    close(descriptor)
    descriptor = -1
  }
}
