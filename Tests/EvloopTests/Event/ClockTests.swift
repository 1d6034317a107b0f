// A clock that a test moves by hand: timers fire by it and by nothing else.
import CPosix
import Testing

@testable import usbredir_evloop

/// Time that stands still until it is moved.
final class ManualClock: Clock {
  private var time: UInt64

  init(startingAt time: UInt64 = 1_000_000_000) {
    self.time = time
  }

  override var now: UInt64 { time }
  override var isRunning: Bool { false }

  func advance(nanoseconds: UInt64) { time += nanoseconds }
  func advance(milliseconds: UInt64) { time += milliseconds * 1_000_000 }
}

struct ClockTests {
  @Test func theKernelsClockRuns() {
    let clock = Clock()
    let before = monotonicNanoseconds()
    let now = clock.now
    #expect(clock.isRunning)
    #expect((before...monotonicNanoseconds()).contains(now))
  }

  @Test func timersFireInOrderAndOnlyWhenTheyAreAskedTo() throws {
    let clock = ManualClock()
    let loop = try EventLoop(clock: clock)
    var order: [String] = []
    let late = Timer(loop) { order.append("late") }
    let early = Timer(loop) { order.append("early") }
    late.start(milliseconds: 20)
    early.start(milliseconds: 10)
    #expect(loop.timers.nextDeadline == 1_010_000_000)
    clock.advance(milliseconds: 30)
    let tick = Work(on: loop.reaps) {}
    tick.schedule()
    loop.wholeTurn()
    #expect(order.isEmpty, "no timerfd wakes the loop")
    loop.timers.fireDue()
    #expect(order == ["early", "late"])
    #expect(loop.timers.nextDeadline == nil)
  }

  @Test func aTimerFiresBehindItsDeadlineAndNotAtIt() throws {
    let clock = ManualClock()
    let loop = try EventLoop(clock: clock)
    var fired = 0
    var again: () -> Void = {}
    let timer = Timer(loop) { again() }
    again = { [timer = Unowned(timer)] in
      fired += 1
      timer.value.start(milliseconds: 0)
    }
    timer.start(milliseconds: 1)
    clock.advance(milliseconds: 1)
    loop.timers.fireDue()
    #expect(fired == 0)
    clock.advance(nanoseconds: 1)
    loop.timers.fireDue()
    #expect(fired == 1, "started for now by itself it waits for the next call")
    clock.advance(nanoseconds: 1)
    loop.timers.fireDue()
    #expect(fired == 2)
  }

  /// B1.5
  @Test func aSilentGuestHasTheExportAsLongAsTheLoopsClockSays() throws {
    let clock = ManualClock()
    let run = try ExportRun(loop: try EventLoop(clock: clock)) { $0.helloTimeout = 10 }
    let silent = try run.guest(greets: false)
    clock.advance(milliseconds: 9_999)
    let early = try run.guest(greets: false)
    #expect(early.isClosed && run.logged("refused") == 1)
    clock.advance(milliseconds: 1)
    let late = try run.guest()
    #expect(silent.isClosed && late.staysOpen)
    #expect(late.hasDevice())
  }

  /// The timeout of a transfer that waits on a virtual device.
  @Test func aVirtualDeviceTimesOutByTheLoopsClock() throws {
    let clock = ManualClock()
    let loop = try EventLoop(clock: clock)
    let device = ScriptedDevice(loop: loop)
    let user = PatientOwner()
    let transfer = device.makeTransfer(isoPackets: 0)
    transfer.type = .interrupt
    transfer.endpoint = EndpointAddress(rawValue: 0x81)
    transfer.timeout = 5_000
    transfer.owner = user
    device.submit(transfer)
    loop.reaps.run()
    clock.advance(milliseconds: 4_999)
    loop.timers.fireDue()
    loop.reaps.run()
    #expect(user.statuses.isEmpty)
    clock.advance(milliseconds: 2)
    loop.timers.fireDue()
    loop.reaps.run()
    #expect(user.statuses == [.timedOut])
  }

  private final class PatientOwner: TransferOwner {
    var statuses: [TransferStatus] = []
    func completed(_ transfer: Transfer) { statuses.append(transfer.status) }
  }
}
