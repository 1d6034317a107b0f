// Requests that wait for their answers, found by their ids. Ids count up, and an endpoint's answers come in
// order, so a ring is enough.

/// When each request was sent.
struct InFlight {
  private var times: [UInt64]
  private let mask: UInt64
  private(set) var nextID: UInt64
  private(set) var count = 0

  /// - Parameters:
  ///   - depth: no more requests wait at a time.
  ///   - first: the first id.
  init(depth: Int, first: UInt64 = 0) {
    var size = 4
    while size < depth * 2 { size *= 2 }
    times = Array(repeating: 0, count: size)
    mask = UInt64(size - 1)
    nextID = first
  }

  /// The id of a request that is sent now.
  @inline(__always)
  mutating func send(at now: UInt64) -> UInt64 {
    let id = nextID
    times[Int(id & mask)] = now
    nextID += 1
    count += 1
    return id
  }

  /// When a request was sent that is answered now; nil for an id that nobody waits for.
  @inline(__always)
  mutating func answer(_ id: UInt64) -> UInt64? {
    guard id < nextID, nextID - id <= UInt64(times.count) else { return nil }
    let time = times[Int(id & mask)]
    guard time != 0 else { return nil }
    times[Int(id & mask)] = 0
    count -= 1
    return time
  }
}
