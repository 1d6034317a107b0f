// The loop: waits for any of the guests, lets them receive, and writes what they queued in one call each at
// the end of the turn.
import CLoad
import Glibc

/// One run's guests. One thread.
final class Engine {
  let workload: Workload
  private let poller: Int32
  /// What `attend` was called with, until it has spoken; its events have a token that no guest has.
  private var attended: Int32?
  private static let attendedToken = UInt32.max
  private var guests: [Guest?] = []
  private var freeSlots: [Int] = []
  /// Slots whose events may still lie in this turn's batch.
  private var retiredSlots: [Int] = []
  private var unflushed: [Guest] = []
  private var events = [loadEvent](repeating: loadEvent(), count: 128)
  /// Times that epoll returned.
  private(set) var wakeups: UInt64 = 0
  /// recv(2) and send(2) calls.
  var receives: UInt64 = 0
  var sends: UInt64 = 0

  init(_ workload: Workload) throws {
    self.workload = workload
    poller = loadPoller()
    guard poller >= 0 else { throw LoadError.system("epoll_create") }
  }

  deinit {
    close(poller)
  }

  /// Begins to connect.
  func connect(_ address: Address, _ capabilities: Capabilities) throws -> Guest {
    var target = address.resolved
    let descriptor = loadConnect(&target)
    guard descriptor >= 0 else { throw LoadError.system("connect to \(address)") }
    let slot = freeSlots.popLast() ?? guests.count
    if slot == guests.count { guests.append(nil) }
    let guest = Guest(self, slot: slot, address: address, descriptor: descriptor, capabilities)
    guests[slot] = guest
    guest.watch(isNew: true)
    return guest
  }

  /// Tells the workload, once, when a descriptor ends or has something to read.
  func attend(_ descriptor: Int32) throws {
    guard loadWatch(poller, descriptor, Self.attendedToken, 1, 0, 1) == 0 else {
      throw LoadError.system("--attended: standard input has to be a pipe, a socket or a terminal")
    }
    attended = descriptor
  }

  private func attendedSpoke() {
    guard let descriptor = attended else { return }
    attended = nil
    loadUnwatch(poller, descriptor)
    workload.toldToEnd(at: loadClock())
  }

  /// Runs until the workload is finished.
  func run() throws {
    try workload.start(self)
    while !workload.isFinished { try turn() }
    for guest in guests { guest?.leave() }
  }

  func turn() throws {
    flush()
    freeSlots += retiredSlots
    retiredSlots.removeAll(keepingCapacity: true)
    let count = loadWait(poller, &events, Int32(events.count), untilDeadline())
    guard count >= 0 else { throw LoadError.system("epoll") }
    wakeups += 1
    for index in 0..<Int(count) {
      let event = events[index]
      if event.token == Self.attendedToken { attendedSpoke() }
      guard event.token != Self.attendedToken, let guest = guests[Int(event.token)] else { continue }
      if event.isWritable != 0 { guest.becameWritable() }
      if event.isReadable != 0 { guest.receive() }
    }
    if let deadline = workload.deadline, loadClock() >= deadline {
      workload.deadline = nil
      workload.tick(self, at: loadClock())
    }
  }

  private func untilDeadline() -> Int64 {
    guard let deadline = workload.deadline else { return -1 }
    let now = loadClock()
    return deadline > now ? Int64(deadline - now) : 0
  }

  /// The guest has something to send.
  func schedule(_ guest: Guest) {
    unflushed.append(guest)
  }

  private func flush() {
    var index = 0
    while index < unflushed.count {
      unflushed[index].flush()
      index += 1
    }
    unflushed.removeAll(keepingCapacity: true)
  }

  func watch(_ guest: Guest, reads: Bool, writes: Bool, isNew: Bool) -> Bool {
    loadWatch(
      poller, guest.descriptor, UInt32(guest.slot), reads ? 1 : 0, writes ? 1 : 0, isNew ? 1 : 0) == 0
  }

  /// The guest is about to close its descriptor. Its slot is used again no earlier than in the next turn.
  func forget(_ guest: Guest) {
    loadUnwatch(poller, guest.descriptor)
    guests[guest.slot] = nil
    retiredSlots.append(guest.slot)
  }
}
