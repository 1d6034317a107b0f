// The engine of isochronous OUT endpoints (B6.3), every state of its diagram.
import Testing

@testable import usbredir_evloop

struct IsoOutPipeTests {
  @Test("starts when half of the buffer is full, and posts every further full transfer at once")
  func prefill() {
    let user = IsoOutPipeUser(packets: 2, depth: 4)
    user.pipe.start()
    #expect(user.put(1...3) == 3)
    #expect(user.posted == [] && user.pipe.state == .filling)
    user.put(4...4)
    #expect(user.posted == ["0102", "0304"] && user.pipe.state == .running)
    user.put(5...5)
    #expect(user.posted.count == 2)
    user.put(6...6)
    #expect(user.posted == ["0102", "0304", "0506"])
    #expect(user.take() == [])
  }

  @Test(
    "half is one transfer at least, and rounded up", arguments: [(1, 1), (2, 1), (3, 2), (5, 3), (16, 8)])
  func half(depth: Int, half: Int) {
    let user = IsoOutPipeUser(packets: 1, depth: depth)
    user.pipe.start()
    user.put(1...UInt8(half))
    #expect(user.device.posted.count == half)
    if half > 1 {
      let less = IsoOutPipeUser(packets: 1, depth: depth)
      less.pipe.start()
      less.put(1...UInt8(half - 1))
      #expect(less.device.posted.isEmpty)
    }
  }

  @Test("packets stand one behind the other, each with its own length")
  func lengths() {
    let user = IsoOutPipeUser(packets: 3, depth: 1)
    user.pipe.start()
    for data in [[1, 2, 3], [], [4, 5, 6, 7, 8, 9, 10, 11]] as [[UInt8]] {
      let isTaken = user.pipe.put(data.span)
      #expect(isTaken)
    }
    #expect(user.posted == ["0102030405060708090a0b"])
    #expect(user.device.posted[0].packets.map { $0.length } == [3, 0, 8])
    #expect(user.device.posted[0].length == 11)
  }

  @Test("a transfer that is used again has only the new packets")
  func reuse() {
    let user = IsoOutPipeUser(packets: 2, depth: 2)
    user.pipe.start()
    user.put(1...4)
    user.device.complete(0)
    user.put(5...6)
    #expect(user.posted == ["0304", "0506"])
    #expect(user.device.posted[1].packets.map { $0.length } == [1, 1])
  }

  @Test("B1.8: a transfer that there was no memory for gets some when it is used again")
  func memoryAgain() throws {
    let user = IsoOutPipeUser(packets: 2, depth: 2)
    user.pipe.start()
    user.put(1...2)
    let transfer = try #require(user.device.posted.first)
    user.device.complete(0)
    transfer.buffer?.release()
    transfer.buffer = nil
    user.put(3...3)
    try #require(transfer.buffer != nil)
    user.put(4...4)
    #expect(user.posted == ["0304"])
  }

  @Test("underrun: fills half of the buffer again")
  func underrun() {
    let user = IsoOutPipeUser(packets: 1, depth: 4)
    user.pipe.start()
    user.put(1...2)
    user.device.complete(0)
    #expect(user.take() == [])
    user.device.complete(0)
    #expect(user.take() == ["dry"] && user.pipe.state == .filling)
    user.put(3...3)
    #expect(user.posted == [])
    user.put(4...4)
    #expect(user.posted == ["03", "04"])
  }

  @Test("a transfer that was begun before an underrun keeps its packets")
  func underrunInTheMiddle() {
    let user = IsoOutPipeUser(packets: 2, depth: 2)
    user.pipe.start()
    user.put(1...3)
    user.device.complete(0)
    #expect(user.take() == ["dry"])
    user.put(4...4)
    #expect(user.posted == ["0304"])
  }

  @Test("overrun: drops down to half")
  func overrun() {
    let user = IsoOutPipeUser(packets: 1, depth: 4)
    user.pipe.start()
    #expect(user.put(1...9) == 4)
    user.device.complete(0)
    #expect(user.put(10...12) == 0, "three are posted, more than half")
    user.device.complete(0)
    #expect(user.put(13...14) == 2)
    #expect(user.posted == ["03", "04", "0d", "0e"])
  }

  @Test("packets before the start, and behind the stop, are dropped")
  func notStarted() {
    let user = IsoOutPipeUser(packets: 1, depth: 2)
    #expect(user.put(1...2) == 0)
    user.pipe.start()
    user.put(3...3)
    user.pipe.stop()
    #expect(user.put(4...5) == 0)
    user.device.completeCancelled()
    #expect(user.take() == ["cancel", "ended stopped"])
    #expect(user.pipe.isIdle && user.pipe.posted == 0)
  }

  @Test("stop while filling ends at once; what was gathered is forgotten")
  func stopWhileFilling() {
    let user = IsoOutPipeUser(packets: 2, depth: 4)
    user.pipe.start()
    user.put(1...3)
    #expect(user.pipe.stop())
    #expect(user.take() == ["ended stopped"])
    #expect(!user.pipe.stop())
    user.pipe.start()
    user.put(7...10)
    #expect(user.posted == ["0708", "090a"])
  }

  @Test("stop cancels last posted first; start right behind it takes effect when all is back")
  func startBehindStop() {
    let user = IsoOutPipeUser(packets: 1, depth: 3)
    user.pipe.start()
    user.put(1...3)
    let order = user.device.posted.map { ObjectIdentifier($0) }
    user.pipe.stop()
    #expect(user.device.cancels.map { ObjectIdentifier($0) } == order.reversed())
    user.pipe.start()
    #expect(user.pipe.isStarted)
    user.device.completeCancelled()
    #expect(user.take() == ["cancel", "ended stopped"])
    #expect(user.pipe.state == .filling)
    user.put(8...9)
    #expect(user.posted == ["08", "09"])
  }

  @Test("an error of a packet or of a transfer is told, and it goes on")
  func errors() {
    let user = IsoOutPipeUser(packets: 2, depth: 4)
    user.pipe.start()
    user.put(1...6)
    user.device.complete(0, packets: [(.completed, []), (.failed, [])])
    user.device.complete(0, .failed)
    #expect(user.take() == ["failed failed", "failed failed"])
    #expect(user.pipe.state == .running)
  }

  @Test("too many transfers that fail in a row end it; a good one forgives")
  func tooManyErrors() {
    let user = IsoOutPipeUser(packets: 1, depth: 2)
    user.pipe.start()
    func fail(_ count: Int) {
      for _ in 0..<count {
        user.put(1...1)
        user.device.complete(0, .failed)
      }
    }
    fail(InterruptPipe.maxErrors)
    #expect(user.pipe.isStarted)
    user.put(1...1)
    user.device.complete(0)
    _ = user.take()
    fail(InterruptPipe.maxErrors)
    #expect(user.pipe.isStarted)
    _ = user.take()
    fail(1)
    #expect(user.take() == ["ended failed(usbredir_evloop.TransferStatus.failed)"])
    #expect(user.pipe.isIdle)
  }

  @Test("a stall: cancel, clear halt, fill again; packets meanwhile are dropped")
  func stall() {
    let user = IsoOutPipeUser(packets: 1, depth: 4)
    user.pipe.start()
    user.put(1...3)
    user.device.complete(0, .stalled)
    #expect(user.take() == ["cancel"])
    #expect(user.put(4...5) == 0)
    user.device.completeCancelled()
    #expect(user.take() == ["clear halt"])
    user.pipe.haltCleared(true)
    #expect(user.pipe.state == .filling && user.pipe.isStarted)
    user.put(6...7)
    #expect(user.posted == ["06", "07"])
  }

  @Test("a stall that cannot be cleared ends it, and so do too many of them", arguments: [true, false])
  func stallsForEver(clears: Bool) {
    let user = IsoOutPipeUser(packets: 1, depth: 1)
    user.pipe.start()
    var stalls = 0
    while user.pipe.isStarted && stalls < 100 {
      user.put(1...1)
      user.device.complete(0, .stalled)
      stalls += 1
      user.pipe.haltCleared(clears)
    }
    #expect(stalls == (clears ? InterruptPipe.maxRecoveries + 1 : 1))
    #expect(user.take().last == "ended stalled")
  }

  @Test("stop while the halt is being cleared ends when that is done")
  func stopWhileClearing() {
    let user = IsoOutPipeUser(packets: 1, depth: 1)
    user.pipe.start()
    user.put(1...1)
    user.device.complete(0, .stalled)
    user.pipe.stop()
    #expect(user.take() == ["clear halt"])
    user.pipe.haltCleared(true)
    #expect(user.take() == ["ended stopped"])
  }

  @Test("the device refuses every transfer: ended", arguments: [TransferStatus.refused, .noMemory])
  func refused(status: TransferStatus) {
    let user = IsoOutPipeUser(packets: 1, depth: 4)
    user.pipe.start()
    user.put(1...2)
    user.device.complete(0, status)
    #expect(user.take() == ["failed \(status)"], "what was lost is told")
    user.device.complete(0, status)
    #expect(user.take().count == 1)
    #expect(user.pipe.isIdle)
  }

  @Test("unplug: ends when all is back")
  func unplug() {
    let user = IsoOutPipeUser(packets: 1, depth: 4)
    user.pipe.start()
    user.put(1...3)
    user.device.complete(0, .deviceGone)
    #expect(user.take() == [])
    user.pipe.deviceGone()
    user.device.complete(0, .deviceGone)
    user.device.complete(0, .deviceGone)
    #expect(user.take() == ["ended gone"])
    user.pipe.start()
    #expect(!user.pipe.isStarted)
  }

  @Test("unplug with nothing posted ends it at once")
  func unplugWhileFilling() {
    let user = IsoOutPipeUser(packets: 1, depth: 4)
    user.pipe.start()
    user.pipe.deviceGone()
    #expect(user.take() == ["ended gone"])
  }
}
