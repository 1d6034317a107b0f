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

  @Test("a stamp is written as it is read", arguments: [8, 16, 64])
  func stamps(_ size: Int) throws {
    var data = [UInt8](repeating: 0, count: size)
    let now: UInt64 = 0x1234_5678_9abc_def0
    data.withUnsafeMutableBytes { Stamp(sequence: 0x0102_0304, time: now).write(to: $0) }
    #expect(Array(data.prefix(8)) == [0x04, 0x03, 0xf0, 0xde, 0xbc, 0x9a, 0x78, 0x56])
    let stamp = try #require(data.withUnsafeBytes { Stamp($0) })
    #expect(stamp.isWhole == (size > 8))
    #expect(stamp.sequence == (size > 8 ? 0x0102_0304 : 0x0304))
    #expect(stamp.age(at: now + 1000) == 1000)
    #expect(stamp.age(at: now - 1000) == 0, "clocks of two processors differ")
    #expect(stamp.age(at: now + 1 << 40) == 1 << 40)
    #expect([UInt8](repeating: 0, count: 7).withUnsafeBytes { Stamp($0) } == nil)
  }

  @Test("short numbers: the nearest one to what has to come")
  func short() {
    var tracker = SequenceTracker()
    for number in [65534, 65535, 65536, 65538, 65537, 131_070] as [UInt64] {
      var data = [UInt8](repeating: 0, count: 8)
      data.withUnsafeMutableBytes { Stamp(sequence: number, time: 0).write(to: $0) }
      if number == 131_070 { for skipped in 65539..<131_070 as Range<UInt64> { tracker.observe(skipped) } }
      if let stamp = data.withUnsafeBytes({ Stamp($0) }) { tracker.observe(stamp) }
    }
    #expect(tracker.next == 131_071)
    #expect(tracker.missing == 0)
    #expect(tracker.outOfOrder == 1)
  }
}
