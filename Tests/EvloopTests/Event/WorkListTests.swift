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
