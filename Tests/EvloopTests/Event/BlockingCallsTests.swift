// Calls that sleep: on a thread of their own, their results on the loop's (B3.6).
import CPosix
import Testing

@testable import usbredir_evloop

struct BlockingCallsTests {
  @Test func worksElsewhereAndReturnsToTheLoop() throws {
    let loop = try EventLoop()
    let calls = try BlockingCalls(loop)
    let here = pthread_self()
    var worker: pthread_t?
    var returned: pthread_t?
    calls.run({ pthread_self() }) { thread in
      worker = thread
      returned = pthread_self()
    }
    #expect(calls.running == 1)
    #expect(returned == nil)
    #expect(loop.turns { returned != nil })
    #expect(returned == here)
    #expect(worker != here)
    #expect(calls.running == 0)
  }

  /// A pipe of its own holds a call back, so that the order is certain.
  @Test func resultsComeInTheOrderOfCompletion() throws {
    let loop = try EventLoop()
    let calls = try BlockingCalls(loop)
    let (ours, peer) = try unixPair()
    defer { _ = (close(ours), close(peer)) }
    var order: [String] = []
    calls.run({
      var ready = pollfd(fd: ours, events: Int16(POLLIN), revents: 0)
      return unsafe poll(&ready, 1, 60_000)
    }) { order.append($0 == 1 ? "slow" : "never woken") }
    calls.run({}) {
      order.append("fast")
      _ = unsafe write(peer, "x", 1)
    }
    #expect(loop.turns { order.count == 2 })
    #expect(order == ["fast", "slow"])
  }

  @Test func manyAtOnceAllReturn() throws {
    let loop = try EventLoop()
    let calls = try BlockingCalls(loop)
    var sum = 0
    for number in 1...100 { calls.run({ number }) { sum += $0 } }
    #expect(loop.turns { calls.running == 0 })
    #expect(sum == 5050)
  }

  @Test func signalsStayOnTheLoopThread() throws {
    let loop = try EventLoop()
    let calls = try BlockingCalls(loop)
    var blocked: Bool?
    let before = blocksTerminate()
    calls.run({
      var mask = sigset_t()
      unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
      return unsafe sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGINT) == 1
    }) { blocked = $0 }
    #expect(loop.turns { blocked != nil })
    #expect(blocked == true)
    #expect(blocksTerminate() == before)
  }

  private func blocksTerminate() -> Bool {
    var mask = sigset_t()
    unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
    return unsafe sigismember(&mask, SIGTERM) == 1
  }

  @Test func drainRunsWhatIsLeftAndWhatThatStarts() throws {
    let calls = try BlockingCalls(try EventLoop())
    var order: [Int] = []
    calls.run({ 1 }) { first in
      order.append(first)
      calls.run({ 2 }) { order.append($0) }
    }
    calls.drain()
    #expect(order == [1, 2])
    #expect(calls.running == 0)
  }

  @Test func freeingWaitsForTheWorkerAndTellsNobody() throws {
    final class Witness {}
    let loop = try EventLoop()
    var told = false
    var calls: BlockingCalls? = try BlockingCalls(loop)
    var witness: Witness? = Witness()
    weak let observed = witness
    calls?.run({ [witness] in witness.map { ObjectIdentifier($0) } }) { _ in told = true }
    witness = nil
    calls = nil
    #expect(observed == nil)
    loop.someTurns()
    #expect(!told)
  }
}
