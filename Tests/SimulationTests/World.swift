// What everything in a simulated life shares: its chance, its time, what is to happen when, what happened so far, and
// what must not have happened.
@testable import usbredir_evloop

/// Time that passes when the life says so.
final class SimulatedClock: Clock {
  private var time: UInt64 = 1_000_000_000

  override var now: UInt64 { time }
  override var isRunning: Bool { false }

  func advance(to later: UInt64) {
    precondition(later >= time)
    time = later
  }
}

/// One life's world. Loop thread only.
final class World {
  let seed: UInt64
  let clock = SimulatedClock()
  let loop: EventLoop
  let coverage: Coverage
  var random: Random
  /// Everything that happened, folded together: two runs of a seed have the same.
  private(set) var trace: UInt64 = 0xcbf2_9ce4_8422_2325
  /// Things that happened; what does not grow means that all is quiet.
  private(set) var progress: UInt64 = 0
  private(set) var failures: [String] = []
  /// Told every event as a line, for whoever looks for the reason of a failure.
  var teller: ((String) -> Void)?
  private var agenda: [Appointment] = []
  private var appointments: UInt64 = 0

  private struct Appointment {
    let time: UInt64
    let number: UInt64
    let action: () -> Void

    func isBefore(_ other: Appointment) -> Bool { (time, number) < (other.time, other.number) }
  }

  init(seed: UInt64, coverage: Coverage) throws {
    self.seed = seed
    self.coverage = coverage
    random = Random(seed: seed)
    loop = try EventLoop(clock: clock)
  }

  var now: UInt64 { clock.now }

  // MARK: what happened

  /// Something happened: it counts, and it is part of the trace.
  func saw(_ kind: Coverage.Kind, _ first: UInt64 = 0, _ second: UInt64 = 0) {
    coverage.count(kind)
    progress += 1
    for value in [UInt64(kind.rawValue), first, second, clock.now] {
      trace = (trace ^ value) &* 0x0000_0100_0000_01b3
    }
    teller?("\(now / 1000 - 1_000_000) µs  \(kind) \(first) \(second)")
  }

  /// A rule was broken. The first ones tell enough.
  func fail(_ text: @autoclosure () -> String) {
    progress += 1
    guard failures.count < 8 else { return }
    failures.append("\(now / 1000 - 1_000_000) µs: \(text())")
    teller?("FAILED \(failures.last ?? "")")
  }

  func expect(_ holds: Bool, _ text: @autoclosure () -> String) {
    if !holds { fail(text()) }
  }

  // MARK: what will happen

  /// Does `action` when so much time has passed.
  func after(_ nanoseconds: UInt64, _ action: @escaping () -> Void) {
    appointments += 1
    agenda.append(Appointment(time: clock.now + nanoseconds, number: appointments, action: action))
    var child = agenda.count - 1
    while child > 0, agenda[child].isBefore(agenda[(child - 1) / 2]) {
      agenda.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// The next thing that happens by itself, of the world's or a timer; nil when nothing will.
  var nextTime: UInt64? {
    let timer = loop.timers.nextDeadline.map { $0 + 1 }
    guard let first = agenda.first?.time else { return timer }
    return min(first, timer ?? first)
  }

  /// Moves time and does what is due.
  func advance(to time: UInt64) {
    clock.advance(to: max(time, clock.now))
    while let next = agenda.first, next.time <= clock.now {
      removeFirst()
      next.action()
    }
    loop.timers.fireDue()
  }

  /// Forgets what would have happened: closures keep alive what they speak of.
  func end() {
    agenda = []
  }

  private func removeFirst() {
    let last = agenda.removeLast()
    guard !agenda.isEmpty else { return }
    agenda[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < agenda.count {
        if agenda[child].isBefore(agenda[least]) { least = child }
      }
      if least == parent { return }
      agenda.swapAt(least, parent)
      parent = least
    }
  }
}
