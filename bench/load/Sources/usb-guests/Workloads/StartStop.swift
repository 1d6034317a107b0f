// Start and stop of interrupt receiving, again and again: what a guest's driver pays for opening and closing
// a device file.

/// Cycles of start and stop on every guest.
final class StartStop: Activity {
  private enum State {
    case idle, starting, started, stopping
  }

  private let wanted: UInt8?
  private let isStamped: Bool
  /// Cycles on each guest; nil: until the time is up.
  private let limit: UInt64?
  /// Waits for a report between start and stop.
  private let wantsReport: Bool
  private var endpoints: [UInt8]
  private var states: [State]
  private var streams: [ReportStream]
  private var since: [UInt64]
  private var cycleSince: [UInt64]
  private var done: [UInt64]
  /// False while it warms up.
  private var isCounting = false
  private var isStopping = false
  private var cycles: UInt64 = 0
  private var refused: UInt64 = 0
  private var start = Latencies()
  private var firstReport = Latencies()
  private var stop = Latencies()
  private var cycle = Latencies()

  init(guests: Int, endpoint: UInt8? = nil, _ payload: Payload = .stamped, cycles: UInt64?, wantsReport: Bool)
  {
    wanted = endpoint
    isStamped = payload == .stamped
    limit = cycles
    self.wantsReport = wantsReport
    endpoints = Array(repeating: 0, count: guests)
    states = Array(repeating: .idle, count: guests)
    streams = Array(repeating: ReportStream(), count: guests)
    since = Array(repeating: 0, count: guests)
    cycleSince = since
    done = since
  }

  override func objection(to guest: Guest) -> String? { missing(wanted, .interrupt, isIn: true, guest) }

  override func begin(_ guest: Guest, at now: UInt64) {
    guard let endpoint = wanted ?? guest.endpoint(.interrupt, isIn: true)?.address else { return }
    endpoints[guest.number] = endpoint
    startCycle(guest, at: now)
  }

  private func startCycle(_ guest: Guest, at now: UInt64) {
    let number = guest.number
    states[number] = .starting
    since[number] = now
    cycleSince[number] = now
    streams[number].restarted()
    guest.startReceiving(endpoints[number])
  }

  override func receivingStatus(_ guest: Guest, endpoint: UInt8, status: UInt8, at now: UInt64) {
    let number = guest.number
    guard endpoint == endpoints[number] else { return }
    if status != Status.success { refused += 1 }
    switch states[number] {
    case .starting:
      start.record(from: since[number], to: now)
      states[number] = .started
      since[number] = now
      if !wantsReport || status != Status.success { stopReceiving(guest, at: now) }
    case .stopping: cycleEnded(guest, at: now)
    case .idle, .started: break
    }
  }

  override func interrupt(_ guest: Guest, _ packet: InterruptPacket, at now: UInt64) {
    let number = guest.number
    guard packet.endpoint == endpoints[number] else { return }
    _ = streams[number].take(packet, isStamped: isStamped, at: now)
    guard wantsReport, states[number] == .started, packet.status == Status.success else { return }
    firstReport.record(from: since[number], to: now)
    stopReceiving(guest, at: now)
  }

  private func stopReceiving(_ guest: Guest, at now: UInt64) {
    states[guest.number] = .stopping
    since[guest.number] = now
    guest.stopReceiving(endpoints[guest.number])
  }

  private func cycleEnded(_ guest: Guest, at now: UInt64) {
    let number = guest.number
    stop.record(from: since[number], to: now)
    cycle.record(from: cycleSince[number], to: now)
    cycles += 1
    done[number] += 1
    if isStopping || isCounting && done[number] >= limit ?? .max {
      states[number] = .idle
    } else {
      startCycle(guest, at: now)
    }
  }

  override func stop(_ guest: Guest) {
    isStopping = true
    // No report may ever come.
    if states[guest.number] == .started { stopReceiving(guest, at: monotonic()) }
  }

  override func isIdle(_ guest: Guest) -> Bool { states[guest.number] == .idle }

  override var isDone: Bool { states.allSatisfy { $0 == .idle } }

  override func reset() {
    isCounting = true
    for index in streams.indices {
      streams[index].reset()
      done[index] = 0
    }
    start.reset()
    firstReport.reset()
    stop.reset()
    cycle.reset()
    cycles = 0
  }

  override func rates(over seconds: Double) -> [String: Double] {
    ["cyclesPerSecond": Double(cycles) / seconds]
  }

  override func add(to report: inout Report) {
    for stream in streams { stream.add(to: &report) }
    report.counts["cycles"] = cycles
    report.add("start", start)
    report.add("firstReport", firstReport)
    report.add("stop", stop)
    report.add("cycle", cycle)
    if refused > 0 { report.failures.append("\(refused) starts or stops without success") }
  }

  /// What no run may have that loses nothing.
  var faults: [String] { streams.compactMap(\.fault) }
}
