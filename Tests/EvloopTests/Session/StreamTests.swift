// Interrupt receiving and buffered bulk receiving as a guest sees them (B4, B5.2).
import Testing

@testable import usbredir_evloop

struct StreamTests {
  private let ended = ["interrupt 81 #0 stall 0", "interrupt_status 81 #0 stall"]

  @Test("B4.1–B4.4: start, reports of all lengths, ids from 0")
  func reports() throws {
    let guest = try GuestHarness()
    #expect(guest.exchange(guest.start(7)) == ["interrupt_status 81 #7 success"])
    for report in [[1, 2], [], [1, 2, 3, 4, 5, 6, 7, 8]] as [[UInt8]] {
      guest.scripted.report(.interruptIn, report)
    }
    guest.settle()
    #expect(
      guest.take() == [
        "interrupt 81 #0 success 2 0102", "interrupt 81 #1 success 0",
        "interrupt 81 #2 success 8 0102030405060708",
      ])
    #expect(
      guest.scripted.record == [String](repeating: "submit 81 8", count: 7),
      "depth 4, and one for each report")
    #expect(guest.session?.counters.reports == 3)
  }

  @Test("a report reaches the socket in the turn in which the device gives it")
  func sameTurn() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1))
    guest.scripted.report(.interruptIn, [1])
    guest.turn()
    #expect(guest.take() == ["interrupt 81 #0 success 1 01"])
  }

  @Test("B4.1: start while receiving is success and changes nothing")
  func startAgain() throws {
    let guest = try GuestHarness()
    guest.scripted.report(.interruptIn, [1])
    guest.exchange(guest.start(1))
    #expect(guest.exchange(guest.start(2)) == ["interrupt_status 81 #2 success"])
    guest.scripted.report(.interruptIn, [2])
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #1 success 1 02"])
  }

  @Test("B4.1, B4.6: start where nothing can be received ends the stream, packet first; inval never goes out")
  func wrongEndpoint() throws {
    let guest = try GuestHarness()
    for endpoint in [0x82, 0x85, 0x80, 0x91] as [UInt8] {
      let name = Hex.text(UInt32(endpoint), digits: 2)
      #expect(
        guest.exchange(guest.start(1, on: endpoint))
          == ["interrupt \(name) #0 stall 0", "interrupt_status \(name) #0 stall"])
    }
    #expect(guest.exchange(guest.start(1, on: 0x01)) == [], "an OUT endpoint has no legal answer")
    #expect(guest.session?.counters.badPackets == 5)
  }

  @Test("B4.1: a first post for which others left no memory is tried again")
  func firstPostFindsNoMemory() throws {
    let guest = try GuestHarness()
    for _ in 0..<4 { guest.scripted.fail(.interruptIn, .noMemory) }
    #expect(guest.exchange(guest.start(1)) == ["interrupt_status 81 #1 success"])
    guest.scripted.report(.interruptIn, [1])
    guest.wait(forPackets: 1)
    #expect(guest.take() == ["interrupt 81 #0 success 1 01"])
  }

  @Test("B4.1: a first post that fails ends it")
  func firstPostFails() throws {
    let guest = try GuestHarness()
    for _ in 0..<4 { guest.scripted.fail(.interruptIn, .refused) }
    #expect(guest.exchange(guest.start(1)) == ["interrupt_status 81 #1 success"] + ended)
    guest.scripted.report(.interruptIn, [1])
    #expect(
      guest.exchange(guest.start(2)) == ["interrupt_status 81 #2 success", "interrupt 81 #0 success 1 01"])
  }

  @Test("B4.8: stop cancels in reverse and forwards what has data, then success")
  func stop() throws {
    let guest = try GuestHarness()
    guest.scripted.report(.interruptIn, [1])
    guest.exchange(guest.start(1))
    guest.scripted.record = []
    guest.scripted.fillCancelled(.interruptIn, [2])
    #expect(
      guest.exchange(guest.stop(2)) == ["interrupt 81 #1 success 1 02", "interrupt_status 81 #2 success"])
    #expect(guest.scripted.record == [String](repeating: "cancel 81", count: 4))
    #expect(guest.exchange(guest.stop(3)) == ["interrupt_status 81 #3 success"])
    #expect(guest.exchange(guest.stop(4, on: 0x85)) == ["interrupt_status 85 #4 success"])
  }

  @Test("B4.8, B3.6: more than 4 transfers are cancelled off the loop")
  func stopMany() throws {
    var limits = SessionLimits()
    limits.interruptDepth = 5
    let guest = try GuestHarness(limits: limits)
    guest.exchange(guest.start(1))
    #expect(guest.exchange(guest.stop(2)) == ["interrupt_status 81 #2 success"])
    #expect(guest.scripted.record.last == "perform cancel 81")
    guest.scripted.report(.interruptIn, [1])
    #expect(
      guest.exchange(guest.start(3)) == ["interrupt_status 81 #3 success", "interrupt 81 #0 success 1 01"])
  }

  @Test(
    "B4.8: start right behind stop works and loses nothing; every one is answered in order",
    arguments: [4, 5, 64])
  func startBehindStop(depth: Int) throws {
    var limits = SessionLimits()
    limits.interruptDepth = depth
    let guest = try GuestHarness(limits: limits)
    guest.exchange(guest.start(1))
    guest.scripted.fillCancelled(.interruptIn, [1])
    guest.scripted.report(.interruptIn, [2])
    #expect(
      guest.exchange(guest.stop(2), guest.start(3)) == [
        "interrupt 81 #0 success 1 01", "interrupt_status 81 #2 success", "interrupt_status 81 #3 success",
        "interrupt 81 #0 success 1 02",
      ])
    let answers = guest.exchange(guest.stop(4), guest.start(5), guest.stop(6), guest.start(7), guest.stop(8))
    #expect(answers == (4...8).map { "interrupt_status 81 #\($0) success" })
    guest.scripted.report(.interruptIn, [3])
    guest.settle()
    #expect(guest.take() == [])
  }

  @Test("B4.8: many start/stop cycles with reports in between lose none")
  func cycles() throws {
    let guest = try GuestHarness()
    guest.counts = true
    for cycle in 0..<200 {
      guest.send(guest.start(UInt64(2 * cycle)))
      for part in 0..<3 { guest.scripted.report(.interruptIn, [UInt8(cycle), UInt8(part)]) }
      if cycle % 3 == 0 { guest.turn() }
      guest.send(guest.stop(UInt64(2 * cycle + 1)))
      if cycle % 5 == 0 { guest.turn() }
    }
    guest.exchange(guest.start(1000))
    #expect(
      guest.transcript.reports == (0..<200).flatMap { cycle in (0..<3).map { [UInt8(cycle), UInt8($0)] } })
  }

  @Test("B4.5: a stall is recovered from: ids from 0 again, all stalls of a queue once")
  func stall() throws {
    let guest = try GuestHarness()
    guest.scripted.report(.interruptIn, [1])
    guest.exchange(guest.start(1))
    guest.scripted.record = []
    guest.scripted.stall(.interruptIn)
    guest.scripted.report(.interruptIn, [2])
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #0 success 1 02"])
    #expect(guest.scripted.record.filter { $0 == "perform clear-halt 81" }.count == 1)
  }

  @Test("B4.5, B4.6: more than 8 recoveries end it, packet first, then the status")
  func tooManyStalls() throws {
    let guest = try GuestHarness()
    for _ in 0..<9 { guest.scripted.stall(.interruptIn) }
    #expect(guest.exchange(guest.start(1)) == ["interrupt_status 81 #1 success"] + ended)
    #expect(guest.scripted.record.filter { $0 == "perform clear-halt 81" }.count == 8)
    #expect(guest.log.contains { $0.contains("receiving on 0x81 ended: the endpoint stalls") })
    #expect(
      guest.exchange(guest.clearHalt(2, 0x81), guest.start(3)).suffix(1) == ["interrupt_status 81 #3 success"]
    )
    guest.scripted.report(.interruptIn, [5])
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #0 success 1 05"])
  }

  @Test("B4.5: a halt that cannot be cleared ends it")
  func clearFails() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1))
    guest.scripted.fail(.clearHalt, .failed)
    guest.scripted.stall(.interruptIn)
    guest.settle()
    #expect(guest.take() == ended)
  }

  @Test("B4.7: an error is one packet with its status, the first is posted again at once, the next later")
  func errors() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1))
    guest.scripted.fail(.interruptIn, .failed)
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #0 ioerror 0"])
    for status in [TransferStatus.overflow, .timedOut] { guest.scripted.fail(.interruptIn, status) }
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #1 babble 0", "interrupt 81 #2 timeout 0"])
    guest.scripted.report(.interruptIn, [1])
    guest.wait(forPackets: 1)
    #expect(guest.take() == ["interrupt 81 #3 success 1 01"])
    #expect(guest.session?.counters.streamErrors == 3)
  }

  @Test("B4.7: more than 16 errors in a row end it")
  func tooManyErrors() throws {
    let guest = try GuestHarness()
    for _ in 0..<17 { guest.scripted.fail(.interruptIn, .failed) }
    guest.send(guest.start(1))
    guest.wait(forPackets: 1 + 17 + 2)
    guest.settle()
    #expect(
      guest.take().suffix(3)
        == ["interrupt 81 #16 ioerror 0", "interrupt 81 #0 stall 0", "interrupt_status 81 #0 stall"])
  }

  @Test("B4.7: a restart during the pause after an error receives when the pause is over")
  func restartDuringPause() throws {
    let loop = try EventLoop()
    var limits = SessionLimits()
    limits.interruptDepth = 1
    let guest = try GuestHarness(loop: loop, limits: limits)
    guest.exchange(guest.start(1))
    for _ in 0..<2 { guest.scripted.fail(.interruptIn, .failed) }
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #0 ioerror 0", "interrupt 81 #1 ioerror 0"])
    #expect(guest.exchange(guest.stop(2), guest.start(3)).count == 2)
    guest.scripted.report(.interruptIn, [1])
    guest.wait(forPackets: 1)
    #expect(guest.take() == ["interrupt 81 #0 success 1 01"])
  }

  @Test("B4.9: a guest that does not read loses nothing: 5000 reports over a small socket")
  func slowGuest() throws {
    let guest = try GuestHarness(sendBuffer: 4096)
    guest.exchange(guest.start(1))
    guest.counts = true
    guest.reads = false
    for number in 0..<5000 { guest.scripted.report(.interruptIn, [UInt8(number & 255), UInt8(number >> 8)]) }
    guest.settle()
    let pending = guest.scripted.pending(.interruptIn)
    #expect(pending > 4000, "completed transfers stay un-posted")
    #expect(guest.session?.counters.pauses == 1)
    let posted = guest.scripted.record.filter { $0 == "submit 81 8" }.count
    #expect(posted == 5000 - pending, "no transfer is posted while it pauses")
    guest.reads = true
    guest.settle()
    #expect(guest.transcript.reports.count == 5000)
    #expect(guest.transcript.ids == (0..<5000).map { UInt64($0) })
    #expect(guest.transcript.reports == (0..<5000).map { [UInt8($0 & 255), UInt8($0 >> 8)] })
  }

  @Test("B4.9: a stop while the guest does not read is answered behind what waits")
  func stopWhilePaused() throws {
    let guest = try GuestHarness(sendBuffer: 4096)
    guest.exchange(guest.start(1))
    guest.reads = false
    for number in 0..<1000 { guest.scripted.report(.interruptIn, [UInt8(number & 255)]) }
    guest.settle()
    guest.send(guest.stop(2) + guest.start(3))
    guest.settle()
    guest.reads = true
    guest.settle()
    let words = guest.take()
    #expect(words.filter { $0.hasPrefix("interrupt ") }.count == 1000)
    #expect(words.filter { $0.hasPrefix("interrupt_status") }.count == 2)
    #expect(guest.scripted.pending(.interruptIn) == 0)
  }

  @Test("B4.9: the other high-water mark, bytes of the whole queue, pauses buffered bulk and reading")
  func queueHighWater() throws {
    var transport = TransportOptions()
    transport.highWater = 100_000
    transport.lowWater = 20_000
    let guest = try GuestHarness(sendBuffer: 4096, transport: transport)
    guest.exchange(guest.startBulk(1, bytes: 16384, transfers: 4))
    guest.counts = true
    guest.reads = false
    for number in 0..<40 { guest.scripted.report(.bulkIn, [UInt8](repeating: UInt8(number), count: 16384)) }
    guest.settle()
    #expect(guest.scripted.pending(.bulkIn) > 20)
    guest.send(guest.encode(.getConfiguration, id: 9))
    guest.settle()
    guest.reads = true
    guest.settle()
    #expect(guest.transcript.reports.map { $0[0] } == (0..<40).map { UInt8($0) })
    #expect(guest.take().suffix(1) == ["configuration #9 success 1"])
  }

  @Test("B4.9: interrupt packets do not wait for bulk data, and bulk data above the mark does not pause them")
  func reportsAheadOfBulk() throws {
    var transport = TransportOptions()
    transport.highWater = 100_000
    transport.lowWater = 20_000
    let guest = try GuestHarness(sendBuffer: 4096, transport: transport)
    guest.exchange(guest.start(1))
    guest.counts = true
    guest.reads = false
    for number in 0..<20 {
      guest.scripted.report(.bulkIn, [UInt8](repeating: UInt8(number), count: 16384))
      guest.send(guest.bulkIn(UInt64(10 + number), length: 16384))
    }
    guest.settle()
    for number in 100..<200 { guest.scripted.report(.interruptIn, [UInt8(number)]) }
    guest.settle()
    #expect(guest.scripted.pending(.interruptIn) == 0)
    guest.counts = false
    guest.reads = true
    guest.settle()
    let words = guest.take()
    let reports = words.filter { $0.hasPrefix("interrupt ") }
    #expect(reports == (0..<100).map { "interrupt 81 #\($0) success 1 " + Hex.text([UInt8(100 + $0)].span) })
    let bulk = words.filter { $0.hasPrefix("bulk 82") }
    // Of the bulk answers the one that the kernel has begun to take comes before.
    #expect(words.firstIndex { $0.hasPrefix("interrupt ") } ?? 99 <= 2)
    #expect(bulk.map { $0.dropFirst(9).prefix(2) } == (10..<30).map { "\($0)" })
  }

  @Test("B5.2: buffered bulk receiving")
  func bufferedBulk() throws {
    let guest = try GuestHarness()
    #expect(guest.exchange(guest.startBulk(1, bytes: 128, transfers: 2)) == ["bulk_status 82 #1 success"])
    #expect(guest.scripted.record == ["submit 82 128", "submit 82 128"])
    guest.scripted.report(.bulkIn, [1, 2, 3])
    guest.scripted.report(.bulkIn, [])
    guest.settle()
    #expect(guest.take() == ["buffered_bulk 82 #0 success 3 010203", "buffered_bulk 82 #1 success 0"])
    guest.scripted.fillCancelled(.bulkIn, [4])
    #expect(
      guest.exchange(guest.stopBulk(2)) == ["buffered_bulk 82 #2 success 1 04", "bulk_status 82 #2 success"])
    #expect(guest.exchange(guest.stopBulk(3)) == ["bulk_status 82 #3 success"])
    for _ in 0..<9 { guest.scripted.stall(.bulkIn) }
    #expect(
      guest.exchange(guest.startBulk(4)) == [
        "bulk_status 82 #4 success", "buffered_bulk 82 #0 success 0", "bulk_status 82 #0 stall",
      ])
  }

  @Test("B5.2: what cannot be received like that is ended")
  func wrongBulk() throws {
    var limits = SessionLimits()
    limits.maxTransfer = 1 << 16
    limits.maxRequestBytes = 1 << 17
    let guest = try GuestHarness(limits: limits)
    let ended = ["buffered_bulk 82 #0 success 0", "bulk_status 82 #0 stall"]
    for (bytes, transfers) in [(0, 2), (65, 2), (32, 2), (64, 0), (64, 17), (1 << 16, 3)] as [(UInt32, UInt8)]
    {
      #expect(guest.exchange(guest.startBulk(1, bytes: bytes, transfers: transfers)) == ended)
    }
    #expect(guest.exchange(guest.startBulk(1, on: 0x81, bytes: 8)).last == "bulk_status 81 #0 stall")
    #expect(guest.scripted.record == [])
    #expect(guest.exchange(guest.startBulk(1, bytes: 1 << 16, transfers: 2)) == ["bulk_status 82 #1 success"])
  }

  @Test("B5.2: so is what is over a limit that the reader sees, and what comes without a device")
  func bulkOverTheLimit() throws {
    let guest = try GuestHarness()
    let ended = ["buffered_bulk 82 #0 success 0", "bulk_status 82 #0 stall"]
    #expect(guest.exchange(guest.startBulk(1, bytes: 9 << 20, transfers: 1)) == ended)
    #expect(
      guest.exchange(guest.startBulk(2, on: 0x02, bytes: 9 << 20)) == [],
      "an OUT endpoint has no legal answer")
    #expect(guest.session?.counters.badPackets == 2)
    guest.scripted.unplug()
    guest.settle()
    _ = guest.take()
    #expect(guest.exchange(guest.startBulk(3, bytes: 9 << 20, transfers: 1)) == ended)
  }

  @Test(
    "B4.1: a start that cannot be changes nothing where a stream is", arguments: [65, 9 << 20, 0, 1 << 20])
  func badStartWhileReceiving(bytes: UInt32) throws {
    var limits = SessionLimits()
    limits.maxRequestBytes = 1 << 20
    let guest = try GuestHarness(limits: limits)
    guest.exchange(guest.startBulk(1, bytes: 64, transfers: 2))
    #expect(guest.exchange(guest.startBulk(2, bytes: bytes, transfers: 2)) == ["bulk_status 82 #2 success"])
    #expect(guest.session?.counters.badPackets == 1)
    guest.scripted.report(.bulkIn, [1])
    guest.settle()
    #expect(guest.take() == ["buffered_bulk 82 #0 success 1 01"], "both sides know that it goes on")
  }

  @Test("B4.9: a stream that begins while the guest does not read posts nothing until it does")
  func startAboveHighWater() throws {
    var transport = TransportOptions()
    transport.highWater = 2_000
    transport.lowWater = 500
    let guest = try GuestHarness(sendBuffer: 4096, transport: transport)
    guest.exchange(guest.start(1))
    guest.reads = false
    for _ in 0..<1000 { guest.scripted.report(.interruptIn, [1]) }
    guest.settle()
    #expect(guest.session?.isAboveHighWater == true)
    // As an operation does that ends in the meantime.
    guest.session?.attached?.start(
      PipeParameters(endpoint: .bulkIn, type: .bulk, transferLength: 64, depth: 2), id: 2)
    guest.settle()
    #expect(!guest.scripted.record.contains("submit 82 64"))
    guest.reads = true
    guest.settle()
    #expect(guest.scripted.record.contains("submit 82 64"))
  }

  @Test("B4.1: a second start of another kind changes nothing, and nothing is left behind")
  func otherParameters() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.startBulk(1, bytes: 64, transfers: 2))
    #expect(guest.exchange(guest.startBulk(2, bytes: 128, transfers: 3)) == ["bulk_status 82 #2 success"])
    #expect(guest.scripted.record == ["submit 82 64", "submit 82 64"])
    guest.scripted.report(.bulkIn, [1])
    guest.settle()
    #expect(guest.take() == ["buffered_bulk 82 #0 success 1 01"])
    guest.exchange(guest.stopBulk(3))
    guest.scripted.record = []
    guest.exchange(guest.startBulk(4, bytes: 128, transfers: 3))
    #expect(guest.scripted.record == ["submit 82 128", "submit 82 128", "submit 82 128"])
    guest.leave()
    guest.settle()
    #expect(guest.ends.count == 1)
  }

  @Test("B4.6: a start of another kind right behind a stop cannot be had: it ends, the stop is answered")
  func otherParametersBehindStop() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.startBulk(1, bytes: 64, transfers: 2))
    #expect(
      guest.exchange(guest.stopBulk(2), guest.startBulk(3, bytes: 128, transfers: 2)) == [
        "buffered_bulk 82 #0 success 0", "bulk_status 82 #0 stall", "bulk_status 82 #2 success",
      ])
    #expect(guest.exchange(guest.startBulk(4, bytes: 128, transfers: 2)) == ["bulk_status 82 #4 success"])
  }

  @Test("B4.2: depth by the option", arguments: [1, 64])
  func depth(depth: Int) throws {
    var limits = SessionLimits()
    limits.interruptDepth = depth
    let guest = try GuestHarness(limits: limits)
    guest.exchange(guest.start(1))
    #expect(guest.scripted.record == [String](repeating: "submit 81 8", count: depth))
  }
}
