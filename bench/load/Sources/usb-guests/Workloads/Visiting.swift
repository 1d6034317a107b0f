// Guests that come and go: one at a time at each address, again and again.
//
//     away ──connect──▶ coming ──device_connect──▶ staying ──time is up──▶ away
//                          └──── leaves early, or is refused ───────────────▲
import CLoad

/// How guests behave.
struct VisitShape {
  /// How a visit ends.
  enum Leaving: CaseIterable {
    /// close(2).
    case close
    /// With a reset of the connection.
    case reset
    /// With the first bytes of a packet that never comes to its end.
    case halfPacket
    /// At any time after connect(2), with a device or without.
    case early
  }

  /// Nanoseconds with a device.
  var stay: ClosedRange<UInt64> = 0...0
  var leavings: [Leaving] = [.close]
  /// Starts interrupt receiving, if the device has an endpoint for it.
  var receives = false
  /// Visits at each address; nil: until the time is up.
  var visits: UInt64?
  var seed: UInt64 = 1
}

/// Visits every address until the time is up, and then once more to see that it still serves.
final class Visiting: Workload {
  private struct Lane {
    var guest: Guest?
    var visits: UInt64 = 0
    var leaving = VisitShape.Leaving.close
    /// When to leave, or to come again.
    var due: UInt64?
    var isLast = false
    var isDone = false
    var stream = ReportStream()
    var endpoint: UInt8 = 0
  }

  private static let retryAfter: UInt64 = 2_000_000

  private let addresses: [Address]
  private let capabilities: Capabilities
  private let shape: VisitShape
  private let timing: Timing
  private var lanes: [Lane]
  private var random: SplitMix64
  private var began: UInt64 = 0
  private var end: UInt64 = 0
  private var usageBefore: Usage?
  private var seconds = 0.0
  private var latency = Latencies()
  private var visits: UInt64 = 0
  private var attached: UInt64 = 0
  private var refused: UInt64 = 0
  private var reports: UInt64 = 0
  private(set) var usage: Usage?

  init(_ addresses: [Address], _ capabilities: Capabilities, _ timing: Timing, _ shape: VisitShape) {
    self.addresses = addresses
    self.capabilities = capabilities
    self.timing = timing
    self.shape = shape
    lanes = Array(repeating: Lane(), count: addresses.count)
    random = SplitMix64(state: shape.seed)
  }

  func report(_ scenario: String) -> Report {
    var report = Report(scenario)
    report.connections = addresses.count
    report.seconds = seconds
    report.generator = usage
    report.failures = failures
    report.counts = ["visits": visits, "attached": attached, "refused": refused, "reports": reports]
    if seconds > 0 { report.rates["visitsPerSecond"] = Double(visits) / seconds }
    report.add("connect", latency)
    if refused > 0 { report.failures.append("\(refused) guests were refused") }
    return report
  }

  override func start(_ engine: Engine) throws {
    usageBefore = Usage(engine)
    began = monotonic()
    end = began + UInt64(timing.duration * 1e9)
    for number in lanes.indices { come(number, engine) }
    arm()
  }

  // MARK: coming

  private func come(_ number: Int, _ engine: Engine) {
    let now = monotonic()
    lanes[number].isLast = now >= end || lanes[number].visits >= shape.visits ?? .max
    lanes[number].leaving =
      lanes[number].isLast ? .close : shape.leavings.randomElement(using: &random) ?? .close
    lanes[number].due =
      lanes[number].leaving == .early ? now + .random(in: 0...2_000_000, using: &random) : nil
    lanes[number].stream = ReportStream()
    do {
      let guest = try engine.connect(addresses[number], capabilities)
      guest.number = number
      lanes[number].guest = guest
    } catch {
      fail("\(error)")
      isFinished = true
    }
  }

  override func deviceConnected(_ guest: Guest, at now: UInt64) {
    let number = guest.number
    if !lanes[number].isLast { latency.record(from: guest.born, to: now) }
    attached += 1
    if shape.receives, let endpoint = guest.endpoint(.interrupt, isIn: true) {
      lanes[number].endpoint = endpoint.address
      guest.startReceiving(endpoint.address)
    }
    if lanes[number].leaving != .early {
      lanes[number].due = now + (lanes[number].isLast ? 0 : .random(in: shape.stay, using: &random))
    }
    // Rather now than a turn later, where nobody wants to stay.
    if let due = lanes[number].due, due <= now { leave(number, guest) } else { arm() }
  }

  override func interrupt(_ guest: Guest, _ packet: InterruptPacket, at now: UInt64) {
    guard packet.endpoint == lanes[guest.number].endpoint else { return }
    reports += 1
    lanes[guest.number].stream.ids.observe(packet.id)
  }

  /// The usb-host closed; guests that nobody refuses never see that.
  override func ended(_ guest: Guest, _ reason: String, at now: UInt64) {
    let number = guest.number
    lanes[number].guest = nil
    if guest.hadDevice {
      fail("\(guest.address): \(reason), with a device")
    } else {
      refused += 1
    }
    lanes[number].due = now + Visiting.retryAfter
    arm()
  }

  // MARK: going

  private func leave(_ number: Int, _ guest: Guest) {
    check(lanes[number].stream, guest)
    if lanes[number].leaving == .halfPacket {
      guest.queueRaw([103, 0, 0, 0, 68, 0])
      guest.flush()
    }
    guest.leave(withReset: lanes[number].leaving == .reset)
    lanes[number].guest = nil
    if lanes[number].isLast {
      lanes[number].isDone = true
      lanes[number].due = nil
      checkDone(guest.engine)
    } else {
      visits += 1
      lanes[number].visits += 1
      come(number, guest.engine)
    }
    arm()
  }

  private func check(_ stream: ReportStream, _ guest: Guest) {
    if let fault = stream.fault { fail("\(guest.address): \(fault)") }
  }

  private func checkDone(_ engine: Engine) {
    guard lanes.allSatisfy(\.isDone) else { return }
    seconds = Double(monotonic() - began) / 1e9
    if let usageBefore { usage = Usage(engine) - usageBefore }
    isFinished = true
  }

  override func tick(_ engine: Engine, at now: UInt64) {
    for number in lanes.indices {
      guard let due = lanes[number].due, due <= now else { continue }
      if let guest = lanes[number].guest {
        leave(number, guest)
      } else {
        come(number, engine)
      }
    }
    if now >= end + UInt64(timing.patience * 1e9) {
      for (lane, address) in zip(lanes, addresses) where !lane.isDone {
        fail("\(address): serves nobody any more")
      }
      isFinished = true
    }
    arm()
  }

  private func arm() {
    deadline = lanes.reduce(end + UInt64(timing.patience * 1e9)) { min($0, $1.due ?? .max) }
  }
}

/// A generator whose numbers are the same every time.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
