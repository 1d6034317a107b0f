// The loop's turn, events on descriptors, timers and signals.
import CPosix
import Testing

@testable import usbredir_evloop

struct EventLoopTests {
  /// Counts what an event tells, and ends the event after `limit` of them.
  final class Counter {
    var count = 0
    var limit = Int.max
    var event: Event?

    func watch(_ loop: EventLoop, _ descriptor: Int32, _ interest: Event.Interest) throws(SystemError) {
      event = unsafe Event(loop, descriptor: descriptor, interest, context: self) { _, _, context in
        guard let context = unsafe context else { return }
        unsafe recover(context, as: Counter.self).told()
      }
      try event?.add()
    }

    private func told() {
      count += 1
      if count >= limit { event = nil }
    }
  }

  @Test func aTurnReapsBeforeItFlushes() throws {
    let loop = try EventLoop()
    var order: [String] = []
    let flush = Work(on: loop.flushes) {
      order.append("flush")
      loop.stop()
    }
    let reap = Work(on: loop.reaps) {
      order.append("reap")
      flush.schedule()
    }
    let timer = Timer(loop) {
      order.append("callback")
      reap.schedule()
    }
    timer.start(milliseconds: 1)
    loop.run()
    #expect(order == ["callback", "reap", "flush"])
  }

  @Test func aTurnDoesNotWaitWhileWorkIsDue() throws {
    let loop = try EventLoop()
    var turns = 0
    var again: () -> Void = {}
    let work = Work(on: loop.reaps) { again() }
    again = {
      turns += 1
      if turns == 3 { loop.stop() } else { work.schedule() }
    }
    work.schedule()
    loop.run()
    again = {}
    #expect(turns == 3)
  }

  @Test(.timeLimit(.minutes(1))) func aTurnEndsWhileADescriptorStaysReady() throws {
    let loop = try EventLoop()
    var ends: (Int32, Int32) = (-1, -1)
    let made = unsafe withUnsafeMutableBytes(of: &ends) {
      unsafe posixPipe($0.assumingMemoryBound(to: Int32.self).baseAddress, 1)
    }
    try #require(made == 0)
    defer {
      close(ends.0)
      close(ends.1)
    }
    let counter = Counter()
    try counter.watch(loop, ends.1, [.write, .persist])
    let work = Work(on: loop.reaps) {}
    work.schedule()
    loop.turn()
    #expect(counter.count == 1)
    counter.event = nil
  }

  @Test func stopBeforeRunIsKept() throws {
    let loop = try EventLoop()
    loop.stop()
    loop.run()
  }

  @Test func anEventMayEndItselfInItsCallback() throws {
    let loop = try EventLoop()
    let (ours, peer) = try unixPair()
    defer { _ = (close(ours), close(peer)) }
    let counter = Counter()
    counter.limit = 3
    try counter.watch(loop, ours, [.read, .persist])
    #expect(unsafe write(peer, "x", 1) == 1)
    #expect(loop.turns { counter.event == nil })
    loop.someTurns()
    #expect(counter.count == 3)
  }

  @Test func withoutPersistAnEventIsToldOnce() throws {
    let loop = try EventLoop()
    let (ours, peer) = try unixPair()
    defer { _ = (close(ours), close(peer)) }
    let counter = Counter()
    try counter.watch(loop, ours, [.write])
    loop.someTurns()
    #expect(counter.count == 1)
  }

  /// epoll(7) refuses regular files, which a mocked usbfs is made of.
  @Test func aRegularFileIsRefusedUnlessPolled() throws {
    let file = unsafe posixOpen("/etc/passwd", O_RDONLY, 0)
    defer { close(file) }
    let error = #expect(throws: SystemError.self) {
      try Counter().watch(try EventLoop(), file, [.read])
    }
    #expect(error?.code == EPERM)
    #expect(error?.operation == "watch descriptor " + String(file))
    let loop = try EventLoop(pollFiles: true)
    let counter = Counter()
    try counter.watch(loop, file, [.read])
    #expect(loop.turns { counter.count == 1 })
  }

  @Test func signalsArriveOnTheLoop() throws {
    let loop = try EventLoop()
    var count = 0
    let signal = try SignalEvent(loop, signal: SIGUSR2) { count += 1 }
    kill(getpid(), SIGUSR2)
    #expect(loop.turns { count == 1 })
    kill(getpid(), SIGUSR2)
    #expect(loop.turns { count == 2 })
    withExtendedLifetime(signal) {}
  }
}

struct TimerTests {
  /// The kernel's coarse clock has steps of 4 ms: these would all be one.
  @Test func firesInOrderBelowAMillisecond() throws {
    let loop = try EventLoop()
    var order: [Int] = []
    let timers = (0..<8).map { number in Timer(loop) { order.append(number) } }
    // Each counts from its own start: once more, should all the starts take longer than lies between two of them.
    var begin: UInt64
    repeat {
      begin = monotonicNanoseconds()
      for number in [5, 2, 7, 0, 4, 1, 6, 3] {
        timers[number].start(nanoseconds: 20_000_000 + UInt64(number) * 500_000)
      }
    } while monotonicNanoseconds() - begin > 400_000
    #expect(loop.turns { order.count == 8 })
    #expect(order == [0, 1, 2, 3, 4, 5, 6, 7])
  }

  @Test func startingAgainMovesIt() throws {
    let loop = try EventLoop()
    var order: [String] = []
    let moved = Timer(loop) { order.append("moved") }
    let other = Timer(loop) { order.append("other") }
    moved.start(milliseconds: 1)
    other.start(milliseconds: 10)
    moved.start(milliseconds: 20)
    #expect(loop.turns { order.count == 2 })
    #expect(order == ["other", "moved"])
    #expect(!moved.isRunning)
  }

  @Test func anEarlierOneWakesEarlier() throws {
    let loop = try EventLoop()
    var fired = false
    let late = Timer(loop) {}
    late.start(milliseconds: 1_000_000)
    let early = Timer(loop) { fired = true }
    early.start(milliseconds: 1)
    #expect(loop.turns { fired })
    #expect(late.isRunning)
  }

  @Test func stoppedOrFreedItIsSilent() throws {
    let loop = try EventLoop()
    var fired: [String] = []
    let stopped = Timer(loop) { fired.append("stopped") }
    stopped.start(milliseconds: 1)
    stopped.stop()
    var freed: Timer? = Timer(loop) { fired.append("freed") }
    freed?.start(milliseconds: 1)
    freed = nil
    let last = Timer(loop) { fired.append("last") }
    last.start(milliseconds: 10)
    #expect(loop.turns { !fired.isEmpty })
    #expect(fired == ["last"])
  }

  @Test func whatItStopsAndStartsWhileFiring() throws {
    let loop = try EventLoop()
    var fired = 0
    var again: () -> Void = {}
    let victim = Timer(loop) { fired += 100 }
    let timer = Timer(loop) { again() }
    again = { [timer = Unowned(timer), victim = Unowned(victim)] in
      fired += 1
      victim.value.stop()
      if fired < 3 { timer.value.start(milliseconds: 0) }
    }
    timer.start(milliseconds: 1)
    victim.start(milliseconds: 1)
    #expect(loop.turns { fired >= 3 })
    loop.someTurns()
    #expect(fired == 3)
  }
}
