// A run with a fixed set of guests: all get their device, the activities begin, warm up, are measured for a
// time, and are brought to an end in good order, so that everything that was in flight is counted.
//
//     connecting ──all attached──▶ warming ──▶ measuring ──time is up, told, or all done──▶ stopping ──idle──▶ finished

/// How long things take; seconds.
struct Timing {
  var warmUp = 0.5
  var duration = 5.0
  /// Measures until it is told to end, not for `duration`.
  var isAttended = false
  /// For connecting and for stopping.
  var patience = 10.0
}

/// Runs activities on one guest for each address.
final class TimedWorkload: Workload {
  private enum Phase {
    case connecting, warming, measuring, stopping, finished
  }

  let activities: [Activity]
  /// Called when the warm-up is over.
  var begins: () -> Void = {}
  private let addresses: [Address]
  private let capabilities: Capabilities
  private let timing: Timing
  private var guests: [Guest] = []
  private var phase = Phase.connecting
  private var attached = 0
  private var phaseEnd: UInt64 = 0
  private var measuredSince: UInt64 = 0
  private var seconds = 0.0
  private var rates: [String: Double] = [:]
  private var usageBefore: Usage?
  private var usage: Usage?

  init(_ addresses: [Address], _ capabilities: Capabilities, _ timing: Timing, _ activities: [Activity]) {
    self.addresses = addresses
    self.capabilities = capabilities
    self.timing = timing
    self.activities = activities
  }

  /// What was found; after the run.
  func report(_ scenario: String) -> Report {
    var report = Report(scenario)
    report.connections = guests.count
    report.seconds = seconds
    report.rates = rates
    report.generator = usage
    report.failures = failures
    for activity in activities { activity.add(to: &report) }
    return report
  }

  // MARK: phases

  override func start(_ engine: Engine) throws {
    for (number, address) in addresses.enumerated() {
      let guest = try engine.connect(address, capabilities)
      guest.number = number
      guests.append(guest)
    }
    enter(.connecting, for: timing.patience)
  }

  override func deviceConnected(_ guest: Guest, at now: UInt64) {
    for activity in activities {
      if let objection = activity.objection(to: guest) { return giveUp("\(guest.address): \(objection)") }
    }
    attached += 1
    guard attached == guests.count else { return }
    if timing.warmUp > 0 { enter(.warming, for: timing.warmUp) } else { measure(at: now) }
    for guest in guests {
      for activity in activities { activity.begin(guest, at: now) }
    }
    arm()
  }

  private func enter(_ phase: Phase, for seconds: Double?) {
    self.phase = phase
    phaseEnd = seconds.map { monotonic() + UInt64($0 * 1e9) } ?? .max
    arm()
  }

  private func arm() {
    let next = activities.reduce(phaseEnd) { min($0, $1.deadline ?? .max) }
    deadline = next == .max ? nil : next
  }

  override func tick(_ engine: Engine, at now: UInt64) {
    for activity in activities {
      if let due = activity.deadline, due <= now { activity.tick(at: now) }
    }
    if now >= phaseEnd { phaseEnded(at: now) } else { checkDone(at: now) }
    if !isFinished { arm() }
  }

  private func phaseEnded(at now: UInt64) {
    switch phase {
    case .connecting: giveUp("\(guests.count - attached) of \(guests.count) guests got no device")
    case .warming: measure(at: now)
    case .measuring: stop(at: now)
    case .stopping:
      giveUp("transfers do not end: \(guests.filter { !isIdle($0) }.map(\.address.description))")
    case .finished: break
    }
  }

  private func measure(at now: UInt64) {
    for activity in activities { activity.reset() }
    usageBefore = guests.first.map { Usage($0.engine) }
    measuredSince = now
    enter(.measuring, for: timing.isAttended ? nil : timing.duration)
    begins()
  }

  override func toldToEnd(at now: UInt64) {
    switch phase {
    case .connecting, .warming: giveUp("told to end before anything was measured")
    case .measuring: stop(at: now)
    case .stopping, .finished: break
    }
  }

  private func stop(at now: UInt64) {
    seconds = Double(now - measuredSince) / 1e9
    if seconds > 0 { for activity in activities { rates.merge(activity.rates(over: seconds)) { $1 } } }
    if let usageBefore, let engine = guests.first?.engine { usage = Usage(engine) - usageBefore }
    enter(.stopping, for: timing.patience)
    for guest in guests {
      for activity in activities { activity.stop(guest) }
    }
    checkIdle()
  }

  /// Looked at after whatever may have ended the last transfer, or the last one that was wanted.
  private func checkIdle() {
    guard phase == .stopping, guests.allSatisfy(isIdle) else { return }
    phase = .finished
    isFinished = true
  }

  private func isIdle(_ guest: Guest) -> Bool { activities.allSatisfy { $0.isIdle(guest) } }

  private func checkDone(at now: UInt64) {
    if phase == .measuring, activities.contains(where: \.isDone) { stop(at: now) }
  }

  private func giveUp(_ line: String) {
    fail(line)
    isFinished = true
  }

  override func ended(_ guest: Guest, _ reason: String, at now: UInt64) {
    giveUp("\(guest.address): \(reason)")
  }

  // MARK: packets

  override func interrupt(_ guest: Guest, _ packet: InterruptPacket, at now: UInt64) {
    for activity in activities { activity.interrupt(guest, packet, at: now) }
    moved(at: now)
  }

  override func bulk(_ guest: Guest, _ packet: BulkPacket, at now: UInt64) {
    for activity in activities { activity.bulk(guest, packet, at: now) }
    moved(at: now)
  }

  override func receivingStatus(_ guest: Guest, endpoint: UInt8, status: UInt8, at now: UInt64) {
    for activity in activities {
      activity.receivingStatus(guest, endpoint: endpoint, status: status, at: now)
    }
    moved(at: now)
  }

  @inline(__always)
  private func moved(at now: UInt64) {
    if phase == .stopping { checkIdle() }
    if phase == .measuring { checkDone(at: now) }
  }
}
