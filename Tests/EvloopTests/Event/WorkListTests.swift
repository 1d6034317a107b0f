// Work runs once a turn, in order, and what it schedules waits for the next one.
import Testing

@testable import usbredir_evloop

struct WorkListTests {
  @Test func runsEachOnceInOrder() {
    let list = WorkList()
    var ran: [Int] = []
    let first = Work(on: list) { ran.append(1) }
    let second = Work(on: list) { ran.append(2) }
    second.schedule()
    first.schedule()
    second.schedule()
    #expect(!list.isEmpty)
    list.run()
    #expect(ran == [2, 1])
    #expect(list.isEmpty)
  }

  @Test func reschedulingWaitsForTheNextRun() {
    let list = WorkList()
    var count = 0
    var again: Work?
    let work = Work(on: list) {
      count += 1
      again?.schedule()
    }
    again = work
    work.schedule()
    list.run()
    #expect(count == 1)
    #expect(!list.isEmpty)
    list.run()
    #expect(count == 2)
  }

  @Test("B7.3: what a piece of work leaves to another list is done before the next piece")
  func othersRunBetween() {
    let list = WorkList()
    let others = WorkList()
    var ran: [Int] = []
    let flush = Work(on: others) { ran.append(0) }
    let works = (1...3).map { number in
      Work(on: list) {
        ran.append(number)
        if number != 2 { flush.schedule() }
      }
    }
    for work in works { work.schedule() }
    flush.schedule()
    list.run(thenEach: others)
    #expect(ran == [1, 0, 2, 3, 0])
    #expect(others.isEmpty)
  }

  @Test func cancelledWorkIsPassedOver() {
    let list = WorkList()
    var ran: [Int] = []
    let first = Work(on: list) { ran.append(1) }
    let second = Work(on: list) { ran.append(2) }
    first.schedule()
    second.schedule()
    first.cancel()
    first.schedule()
    second.cancel()
    list.run()
    #expect(ran == [1])
    #expect(list.isEmpty)
  }
}
