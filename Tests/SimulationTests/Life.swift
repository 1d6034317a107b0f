// One seed's life: an export with a device, guests that come and go, and a network between them, from the first
// connection until everything is handed back.
import CPosix

@testable import usbredir_evloop

/// What became of a life.
struct Outcome {
  let seed: UInt64
  let trace: UInt64
  let steps: Int
  let failures: [String]
}

/// Loop thread only.
final class Life: ExportOwner {
  private let world: World
  private let network: Network
  private let hardware: Hardware
  private let mood: Mood
  private let calls: BlockingCalls
  private let path: String
  private let waits: Bool
  private let connects: Bool
  private var options: ExportOptions
  private var export: Export?
  private var listener: Int32 = -1
  private var guests: [Guest] = []
  /// Of whom the server has read a hello, in this order.
  private var greeted: Guest?
  private var nextNumber = 0
  private var steps = 0
  private var quiet = 0
  private var seen: UInt64 = 0
  private var tick: Work?
  private var hasIntruder = false
  private var sessions: [WeakSession] = []
  private var pauses: UInt64 = 0

  private struct WeakSession {
    weak var session: Session?
  }

  /// A life may not take longer than this.
  private static let maxSteps = 60_000

  /// Lives one life.
  /// - Parameters:
  ///   - path: of a unix socket that nobody else uses.
  ///   - teller: told every event as a line.
  static func run(
    seed: UInt64, path: String, coverage: Coverage, teller: ((String) -> Void)? = nil
  ) -> Outcome {
    do {
      let world = try World(seed: seed, coverage: coverage)
      world.teller = teller
      let life = try Life(world, path)
      life.live()
      return Outcome(seed: seed, trace: world.trace, steps: life.steps, failures: world.failures)
    } catch {
      return Outcome(seed: seed, trace: 0, steps: 0, failures: ["the life did not begin: \(error)"])
    }
  }

  private init(_ world: World, _ path: String) throws {
    self.world = world
    self.path = path
    mood = Mood(&world.random)
    hardware = Hardware(world, mood)
    network = Network(world, Weather(&world.random))
    calls = try BlockingCalls(world.loop)
    waits = world.random.chance(900)
    connects = world.random.chance(200)
    let address = SocketAddress.unix(path)
    options = ExportOptions(
      device: .virtual(.scripted(ScriptedOptions())),
      transport: connects ? .connect(address) : .listen(address),
      name: "e")
    chooseLimits()
    tick = Work(on: world.loop.reaps) {}
    if connects { try listen(address) }
    hardware.attached = { [life = Unowned(self)] device in life.value.attached(device) }
  }

  deinit {
    if listener >= 0 { close(listener) }
    _ = unsafe unlink(path)
  }

  private func chooseLimits() {
    options.interruptDepth = world.random.pick([nil, 1, 2, 8, 64])
    options.takeover = world.random.chance(300)
    options.helloTimeout = 2
    options.reconnect = 1
    if world.random.chance(300) { options.maxRequests = world.random.pick([1, 4, 16]) }
    if world.random.chance(200) { options.maxRequestBytes = world.random.pick([4_096, 65_536]) }
    let high = world.random.pick([2_048, 16_384, 1 << 20])
    options.transportOptions.highWater = high
    options.transportOptions.lowWater = high / 4
  }

  private func listen(_ address: SocketAddress) throws {
    listener = posixStreamSocket(AF_UNIX)
    _ = unsafe unlink(path)
    let target = try ResolvedAddress.resolve(address).get()[0]
    _ = unsafe target.withPointer { unsafe bind(listener, $0, $1) }
    CPosix.listen(listener, 8)
  }

  // MARK: the life

  private func live() {
    network.begin()
    defer { network.end() }
    begin()
    for _ in 0..<world.random.within(1...4) where world.failures.isEmpty { oneGuest() }
    end()
  }

  private func begin() {
    let log = Log(level: .info) { [life = Unowned(self)] _, text in life.value.logged(text) }
    let export = Export(
      options, source: hardware, waitsForDevice: waits, loop: world.loop, calls: calls, log: log, owner: self)
    self.export = export
    do {
      try export.start()
    } catch {
      world.fail("the export does not start: \(error)")
    }
    if world.random.chance(100) { hardware.unplug() }
  }

  /// The server tells whose hello it has read.
  private func logged(_ text: String) {
    world.teller?("log: \(text)")
    // `e: guest unix: guest guest 3, capabilities …`
    if text.contains(": refused ") || text.contains(": further warnings") { hasIntruder = true }
    let words = text.split(separator: " ")
    guard words.count > 6, words[3] == "guest", words[4] == "guest", words[6] == "capabilities" else {
      return
    }
    greeted = guests.first { "\($0.number)," == words[5] }
  }

  private func attached(_ device: OpenedDevice) {
    // A guest whose hello was long on its way may have left.
    let attachment = Attachment(greeted, world)
    device.begin(attachment)
    if let session = device.session?.session.value {
      sessions.append(WeakSession(session: session))
      // What its filter denies is never announced.
      if let filter = session.filter, filter.rules.contains(where: { !$0.allow }) { return }
    }
    greeted?.model.attached(attachment)
  }

  // MARK: guests

  private func oneGuest() {
    let manner = world.random.pick(
      [Guest.Manner.valid, .valid, .valid, .slow, .slow, .hostile, .vanishing, .vanishing, .silent])
    guard let guest = connect(manner) else { return }
    guest.live()
    hasIntruder = false
    let limit = steps + 8_000
    while guest.isHere && guest.actionsLeft > 0 && steps < limit && world.failures.isEmpty {
      step()
      if world.random.chance(1) { intrude() }
    }
    if manner == .valid || manner == .slow {
      checkClosed(guest)
      if guest.isHere && world.random.chance(900) { settle(guest) }
    }
    guest.leave()
    for _ in 0..<world.random.pick([0, 3, 100]) { step() }
    guests.removeAll { !$0.isHere }
  }

  private func connect(_ manner: Guest.Manner) -> Guest? {
    let descriptor = connects ? acceptOne() : connectOne()
    guard descriptor >= 0 else { return nil }
    switch manner {
    case .valid: world.saw(.guestValid)
    case .slow: world.saw(.guestSlow)
    case .hostile: world.saw(.guestHostile)
    case .vanishing: world.saw(.guestVanishing)
    case .silent: world.saw(.guestSilent)
    }
    nextNumber += 1
    let guest = Guest(nextNumber, manner, descriptor, world)
    guest.model.hasSmallBudget = options.maxRequests < 64 || options.maxRequestBytes < 1 << 20
    guest.model.runsOutOfMemory = mood.noMemory > 0
    guests.append(guest)
    return guest
  }

  private func connectOne() -> Int32 {
    let descriptor = posixStreamSocket(AF_UNIX)
    guard case .success(let found) = ResolvedAddress.resolve(.unix(path)), let target = found.first else {
      return -1
    }
    let result = unsafe target.withPointer { unsafe CPosix.connect(descriptor, $0, $1) }
    if result == 0 { return descriptor }
    close(descriptor)
    world.fail("nobody listens")
    return -1
  }

  /// The server connects when its time has come.
  private func acceptOne() -> Int32 {
    for _ in 0..<30_000 {
      let descriptor = posixAccept(listener, nil, nil)
      if descriptor >= 0 {
        world.saw(.serverConnected)
        return descriptor
      }
      step()
    }
    // Over a line that stands still a guest's end may come late.
    world.expect(network.forecast.paused > 0, "the server does not connect")
    return -1
  }

  /// A second guest while the first one has the export.
  private func intrude() {
    guard !connects, let other = connect(world.random.pick([.valid, .silent, .vanishing])) else { return }
    hasIntruder = true
    world.saw(options.takeover ? .guestTookOver : .guestRefused)
    other.live()
  }

  /// A guest that does nothing wrong keeps its connection.
  private func checkClosed(_ guest: Guest) {
    guard guest.isClosed, !hasIntruder, !network.hasReset, waits, guest.model.refusals < 40 else { return }
    world.fail("guest \(guest.number) lost its connection")
  }

  /// Everything that is still to come comes, and both sides agree.
  private func settle(_ guest: Guest) {
    hardware.calmDown()
    network.clearUp()
    guest.finish()
    let limit = steps + 6_000
    while guest.isHere && steps < limit && world.failures.isEmpty {
      step()
      if guest.missing == nil && quiet >= 3 { break }
    }
    checkClosed(guest)
    if guest.isHere && world.failures.isEmpty { compare(guest) }
    hardware.mood = mood
    hardware.goOn()
    network.weather = network.forecast
  }

  private func compare(_ guest: Guest) {
    if let text = guest.missing, !hasIntruder {
      return world.fail("guest \(guest.number) waits in vain: \(text)")
    }
    guard let current = guest.model.current,
      let device = hardware.open.first(where: { $0.attachment === current }), let attached = device.session
    else { return }
    world.saw(.guestSettled)
    guest.model.compare(attached)
    let dropped = attached.session.value.counters.droppedIsoPackets
    world.expect(
      guest.model.isoMissed <= dropped,
      "B6.4: \(guest.model.isoMissed) isochronous packets are missing, \(dropped) were counted")
  }

  // MARK: a step

  private func step() {
    steps += 1
    guard steps < Life.maxSteps else { return world.fail("this life does not end") }
    tick?.schedule()
    world.loop.turn()
    world.loop.finishTurn()
    for guest in guests { guest.turn() }
    check()
    if world.random.chance(hardware.mood.unplugs) && world.random.chance(100) { hardware.unplug() }
    quiet = world.progress == seen ? quiet + 1 : 0
    seen = world.progress
    if quiet >= 3, let next = world.nextTime {
      world.advance(to: next)
    } else {
      world.advance(to: world.now + UInt64(world.random.below(20_000)))
    }
  }

  private func check() {
    for device in hardware.open {
      guard let attached = device.session, attached.isAttached else { continue }
      checkBudget(attached)
      for stream in attached.streams {
        if let stream { check(stream, attached) }
      }
    }
  }

  private func checkBudget(_ attached: AttachedDevice) {
    let session = attached.session.value
    let most = options.maxRequests + session.limits.maxBadPackets + 1
    world.expect(attached.budget.count <= most, "B1.8: \(attached.budget.count) requests are held")
    world.expect(
      attached.budget.bytes <= 2 * options.maxRequestBytes + 64,
      "B1.8: requests hold \(attached.budget.bytes) bytes")
    guard let connection = session.connection else { return }
    if connection.isAboveHighWater { world.coverage.count(.aboveHighWater) }
  }

  private func check(_ stream: Stream, _ attached: AttachedDevice) {
    guard let pipe = stream.input else { return }
    let name = pipe.parameters.endpoint.description
    let isAbove = attached.session.value.connection?.isAboveHighWater ?? false
    if pipe.parameters.type == .bulk {
      world.expect(
        !isAbove || pipe.state != .receiving, "B4.9: \(name) receives while the guest does not read")
    }
    world.expect(
      pipe.waiting <= InterruptPipe.highWater + pipe.parameters.depth,
      "B4.9: \(pipe.waiting) reports of \(name) wait")
    if pipe.state == .receiving && pipe.posted == 0 && mood.fail == 0 && mood.noMemory == 0
      && mood.refuse == 0
    {
      world.fail("B4.2: nothing is posted on \(name)")
    }
    if pipe.pauses > 0 && pipe.state == .pausing { world.coverage.count(.pausedStream) }
  }

  // MARK: the end

  func export(_ export: Export, ended reason: SessionEnd) {}
  func export(_ export: Export, failed reason: String) { world.fail("the export failed: \(reason)") }

  private func end() {
    if world.random.chance(500) {
      for guest in guests { guest.leave() }
    }
    world.saw(.serverStopped)
    export?.stop("the life is over")
    var left = 3_000
    while left > 0, export?.isIdle != true || !hardware.open.isEmpty {
      step()
      left -= 1
    }
    world.expect(export?.isIdle ?? false, "the export does not come to rest")
    world.expect(hardware.open.isEmpty, "\(hardware.open.count) devices are not closed")
    for guest in guests { guest.leave() }
    guests = []
    greeted = nil
    export = nil
    world.end()
    world.expect(calls.running == 0, "calls are still running")
    world.expect(!sessions.contains { $0.session != nil }, "a session is still in memory")
    world.expect(world.loop.timers.nextDeadline == nil, "a timer is still running")
  }
}
