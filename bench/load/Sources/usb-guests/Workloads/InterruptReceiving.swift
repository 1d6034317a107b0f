// Reports from an interrupt IN endpoint: how long each took from being ready in the device to being received
// here, and whether all came.

/// Which payloads have a stamp.
enum Payload: String, CaseIterable {
  case stamped, any
}

/// Receives reports on every guest.
final class InterruptReceiving: Activity {
  private enum State {
    case idle, receiving, stopping
  }

  private let wanted: UInt8?
  private let isStamped: Bool
  private let limit: UInt64?
  private var received: UInt64 = 0
  private var endpoints: [UInt8]
  private var states: [State]
  private(set) var streams: [ReportStream]
  private var latency = Latencies()
  /// Streams that ended by themselves.
  private var ended: UInt64 = 0

  /// - Parameters:
  ///   - endpoint: nil: the first interrupt IN endpoint of each device.
  ///   - limit: packets that are enough, if they come before the time is up.
  init(guests: Int, endpoint: UInt8? = nil, _ payload: Payload = .stamped, limit: UInt64? = nil) {
    self.limit = limit
    wanted = endpoint
    isStamped = payload == .stamped
    endpoints = Array(repeating: 0, count: guests)
    states = Array(repeating: .idle, count: guests)
    streams = Array(repeating: ReportStream(), count: guests)
  }

  override func objection(to guest: Guest) -> String? {
    missing(wanted, .interrupt, isIn: true, guest)
  }

  override func begin(_ guest: Guest, at now: UInt64) {
    guard let endpoint = wanted ?? guest.endpoint(.interrupt, isIn: true)?.address else { return }
    endpoints[guest.number] = endpoint
    states[guest.number] = .receiving
    guest.startReceiving(endpoint)
  }

  override func interrupt(_ guest: Guest, _ packet: InterruptPacket, at now: UInt64) {
    guard packet.endpoint == endpoints[guest.number] else { return }
    received += 1
    if let age = streams[guest.number].take(packet, isStamped: isStamped, at: now) { latency.record(age) }
  }

  override func receivingStatus(_ guest: Guest, endpoint: UInt8, status: UInt8, at now: UInt64) {
    guard endpoint == endpoints[guest.number] else { return }
    if status != Status.success { ended += 1 }
    if status != Status.success || states[guest.number] == .stopping { states[guest.number] = .idle }
  }

  override func stop(_ guest: Guest) {
    guard states[guest.number] == .receiving else { return }
    states[guest.number] = .stopping
    guest.stopReceiving(endpoints[guest.number])
  }

  override func isIdle(_ guest: Guest) -> Bool { states[guest.number] == .idle }

  override var isDone: Bool { received >= limit ?? .max }

  override func reset() {
    received = 0
    for index in streams.indices { streams[index].reset() }
    latency.reset()
  }

  override func rates(over seconds: Double) -> [String: Double] {
    ["reportsPerSecond": Double(streams.reduce(0) { $0 + $1.count }) / seconds]
  }

  override func add(to report: inout Report) {
    for stream in streams { stream.add(to: &report) }
    if ended > 0 { report.failures.append("\(ended) streams of reports ended by themselves") }
    report.add("report", latency)
  }

  /// What no run may have that loses nothing.
  var faults: [String] { streams.compactMap(\.fault) }
}

/// Why a guest's device lacks an endpoint: the one that is wanted, or any of the kind.
func missing(_ wanted: UInt8?, _ type: EndpointType, isIn: Bool, _ guest: Guest) -> String? {
  let kind = "\(type) \(isIn ? "IN" : "OUT") endpoint"
  guard let wanted else {
    return guest.endpoint(type, isIn: isIn) == nil ? "the device has no \(kind)" : nil
  }
  let isThere = guest.endpoints.contains {
    $0.address == wanted && $0.type == type.rawValue && (wanted & 0x80 != 0) == isIn
  }
  return isThere ? nil : "the device has no \(kind) \(String(wanted, radix: 16))"
}
