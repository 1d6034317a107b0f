// Numbers that are missing, come twice or late are told apart.
import Testing

@testable import usb_guests

struct SequenceTests {
  private func track(_ numbers: [UInt64], expecting first: UInt64? = nil) -> SequenceTracker {
    var tracker = SequenceTracker(expecting: first)
    for number in numbers { tracker.observe(number) }
    return tracker
  }

  @Test("a stream may begin anywhere; then every number has to come")
  func complete() {
    let tracker = track(Array(1000..<2000))
    #expect(tracker.missing == 0 && tracker.gaps == 0 && tracker.duplicates == 0 && tracker.outOfOrder == 0)
    #expect(tracker.next == 2000)
  }

  @Test("numbers left out are missing")
  func missing() {
    let tracker = track([5, 6, 9, 10, 12])
    #expect(tracker.missing == 3)
    #expect(tracker.gaps == 2)
  }

  @Test("one that comes late is out of order, not missing")
  func late() {
    let tracker = track([0, 2, 3, 1, 4])
    #expect(tracker.missing == 0)
    #expect(tracker.outOfOrder == 1)
    #expect(tracker.duplicates == 0)
  }

  @Test("one that comes twice is a duplicate, in order or late")
  func twice() {
    #expect(track([0, 1, 1, 2]).duplicates == 1)
    let late = track([0, 2, 1, 1])
    #expect(late.duplicates == 1 && late.outOfOrder == 1)
  }

  @Test("a first number that is known has to be it")
  func first() {
    #expect(track([0, 1], expecting: 0).missing == 0)
    #expect(track([2, 3], expecting: 0).missing == 2)
  }

  @Test("a gap far longer than the window is counted in full")
  func long() {
    let tracker = track([0, 1_000_000, 3, 999_999])
    #expect(tracker.missing == 999_998)
    #expect(tracker.duplicates == 1, "what is older than the window cannot be told from a repetition")
    #expect(tracker.outOfOrder == 1)
  }

  @Test("a new count goes on from the same number")
  func restart() {
    var tracker = track([0, 5])
    tracker.restart()
    #expect(tracker.missing == 0)
    tracker.observe(7)
    #expect(tracker.missing == 1)
  }
}
