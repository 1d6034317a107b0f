// A whole session on the real libusb: what a guest gets when a mocked device completes, stalls, is cancelled
// and is pulled out, with everything in flight.
import CMockedUsbfs
import CPosix
import Testing

@testable import usbredir_evloop

/// A guest that has a mocked device, interface 1 of which is in setting 1: bulk 82 and 02, interrupt 81 (IN) and
/// 03 (OUT).
private final class MockedGuest {
  let mocked: MockedDevice
  let guest: GuestHarness
  private let bus = unsafe MockedBus.shared

  init(_ limits: SessionLimits = SessionLimits(), isCut: Bool = false) throws {
    mocked = MockedDevice()
    if isCut { mocked.takesShortURBs() }
    guest = try GuestHarness(DeviceUser.tryOpen(mocked).get(), loop: bus.loop, limits: limits)
    #expect(
      exchange(guest.setAlt(1, 1, 1), 3) == ["ep_info", "interface_info", "alt_setting #1 success 1 1"])
    _ = mocked.takeLog()
  }

  /// Sends, and takes so many packets.
  func exchange(_ bytes: [UInt8], _ count: Int) -> [String] {
    guest.send(bytes)
    return take(count)
  }

  /// The next `count` packets.
  func take(_ count: Int) -> [String] {
    guest.wait(forPackets: count - guest.transcript.waiting)
    return guest.take()
  }

  /// Sends, and waits until so many transfers are posted.
  func post(_ bytes: [UInt8], _ count: Int) {
    guest.send(bytes)
    run { self.mocked.posted == count }
    #expect(guest.take() == [])
  }

  func run(until condition: () -> Bool) { bus.run(until: condition) }

  /// Turns in which nothing may come.
  func expectSilence() {
    for _ in 0..<20 { guest.turn() }
    #expect(guest.take() == [])
  }

  /// The guest leaves, and everything is given back.
  func end() {
    let buffers = guest.session?.buffers
    guest.leave()
    run { self.guest.ends.count == 1 }
    #expect(buffers?.inUse == 0)
    #expect(mocked.posted == 0)
    mocked.unplug()
  }
}

extension MockedUsbfsTests {
  struct Sessions {
    /// A bulk OUT answer, without its length.
    private func words(_ endpoint: String, _ ids: [Int], _ end: String) -> [String] {
      ids.map { "bulk \(endpoint) #\($0) \(end)" }
    }

    // MARK: requests

    @Test("B5.1: answers leave in the order of the requests, whatever order the kernel completes them in")
    func outOfOrder() throws {
      let it = try MockedGuest()
      let requests = (1...4).flatMap { it.guest.bulkOut(UInt64($0), [UInt8($0)]) }
      it.post(requests + it.guest.bulkIn(5) + it.guest.bulkIn(6), 6)
      it.mocked.finish(0x02, skip: 3, taken: 1)
      it.mocked.finish(0x02, skip: 1, status: -EPIPE)
      it.mocked.answer(0x82, skip: 1, [6])
      it.expectSilence()
      it.mocked.answer(0x82, [5])
      #expect(it.take(2) == ["bulk 82 #5 success 1 05", "bulk 82 #6 success 1 06"])
      it.mocked.finish(0x02, taken: 1)
      #expect(it.take(2) == ["bulk 02 #1 success 1", "bulk 02 #2 stall 0"])
      it.mocked.finish(0x02, taken: 1)
      #expect(it.take(2) == words("02", [3, 4], "success 1"))
      it.end()
    }

    @Test("B5.1: short reads and zero-length packets, each with what moved")
    func shortReads() throws {
      let it = try MockedGuest()
      it.mocked.answer(0x82, [1, 2, 3])
      it.mocked.answer(0x82, [])
      it.mocked.finish(0x02)
      it.mocked.finish(0x02, taken: 2)
      it.mocked.finish(0x03)
      let words = it.exchange(
        it.guest.bulkIn(1, length: 512) + it.guest.bulkIn(2, length: 512) + it.guest.bulkOut(3, [])
          + it.guest.bulkOut(4, [1, 2, 3, 4]) + it.guest.interruptOut(5, [], on: 0x03), 5)
      #expect(
        words.filter { $0.hasPrefix("bulk 82") } == ["bulk 82 #1 success 3 010203", "bulk 82 #2 success 0"])
      #expect(words.filter { $0.hasPrefix("bulk 02") } == ["bulk 02 #3 success 0", "bulk 02 #4 success 2"])
      #expect(words.filter { $0.hasPrefix("interrupt") } == ["interrupt 03 #5 success 0"])
      it.end()
    }

    @Test(
      "B5.1: lengths over 65535 in both directions, whatever libusb makes of them", arguments: [false, true])
    func longRequests(isCut: Bool) throws {
      let it = try MockedGuest(isCut: isCut)
      let data = [UInt8](repeating: 0xa5, count: 70_000)
      let pieces = isCut ? [16384, 16384, 16384, 16384, 4464] : [70_000]
      for piece in pieces {
        it.mocked.answer(0x82, Array(data.prefix(piece)))
        it.mocked.finish(0x02, taken: Int32(piece))
      }
      let words = it.exchange(it.guest.bulkIn(1, length: 70_000) + it.guest.bulkOut(2, data), 2)
      #expect(Set(words.map { $0.prefix(24) }) == ["bulk 82 #1 success 70000", "bulk 02 #2 success 70000"])
      #expect(words.contains { $0.count == "bulk 82 #1 success 70000 ".count + 140_000 })
      it.end()
    }

    @Test(
      "B3.2, B5.1: a failure on each type is the request's answer; behind a clear halt the next one works",
      arguments: [(-EPIPE, "stall"), (-EOVERFLOW, "babble"), (-EPROTO, "ioerror")] as [(Int32, String)])
    func failures(_ status: Int32, _ word: String) throws {
      let it = try MockedGuest()
      let guest = it.guest
      it.mocked.finish(0, status: status)
      #expect(it.exchange(guest.controlIn(1, 6, value: 0x100, length: 18), 1) == ["control #1 \(word) 0"])
      it.mocked.answer(0, [18, 1])
      #expect(it.exchange(guest.controlIn(2, 6, value: 0x100, length: 2), 1) == ["control #2 success 2 1201"])
      let requests: [(UInt8, [UInt8], String, String)] = [
        (0x82, guest.bulkIn(3), "bulk 82 #3", "success 1 07"),
        (0x02, guest.bulkOut(3, [1]), "bulk 02 #3", "success 1"),
        (0x03, guest.interruptOut(3, [1], on: 0x03), "interrupt 03 #3", "success 1"),
      ]
      for (endpoint, request, name, success) in requests {
        it.mocked.finish(endpoint, status: status)
        #expect(it.exchange(request, 1) == ["\(name) \(word) 0"])
        _ = it.mocked.takeLog()
        #expect(it.exchange(guest.clearHalt(4, UInt16(endpoint)), 1) == ["control #4 success 0"])
        #expect(it.mocked.takeLog() == ["clear halt \(Hex.text(UInt32(endpoint), digits: 2))"])
        if endpoint & 0x80 != 0 {
          it.mocked.answer(endpoint, [7])
        } else {
          it.mocked.finish(endpoint, taken: 1)
        }
        #expect(it.exchange(request, 1) == ["\(name) \(success)"])
      }
      it.end()
    }

    @Test("B3.2: clearing a halt cancels what is posted there, youngest first, and nothing else")
    func clearHaltCancels() throws {
      let it = try MockedGuest()
      it.post((1...6).flatMap { it.guest.bulkOut($0, [1]) } + it.guest.bulkIn(7), 7)
      _ = it.mocked.takeLog()
      let answers = it.exchange(it.guest.clearHalt(8, 0x02), 7)
      #expect(answers == words("02", Array(1...6), "cancelled 0") + ["control #8 success 0"])
      #expect(it.mocked.takeLog() == [String](repeating: "discard 02", count: 6) + ["clear halt 02"])
      #expect(it.mocked.posted == 1)
      it.end()
    }

    @Test("B1.8: without usbfs memory a request waits for the next completion, alone it fails")
    func noMemory() throws {
      let it = try MockedGuest()
      it.mocked.fail(mockedSubmit, ENOMEM)
      #expect(it.exchange(it.guest.bulkIn(1), 1) == ["bulk 82 #1 ioerror 0"])
      it.post(it.guest.bulkIn(2), 1)
      it.mocked.fail(mockedSubmit, ENOMEM, count: 2)
      it.guest.send(it.guest.bulkOut(3, [3]) + it.guest.bulkOut(4, [4]))
      it.expectSilence()
      #expect(it.mocked.posted == 1)
      it.mocked.answer(0x82, [2])
      it.mocked.finish(0x02, taken: 1)
      it.mocked.finish(0x02, taken: 1)
      #expect(it.take(3) == ["bulk 82 #2 success 1 02"] + words("02", [3, 4], "success 1"))
      it.end()
    }

    // MARK: cancels

    @Test("B5.4: a cancel is answered at once, its completion is swallowed, and the id is free again at once")
    func cancel() throws {
      let it = try MockedGuest()
      it.post((1...3).flatMap { it.guest.bulkOut($0, [UInt8($0)]) }, 3)
      _ = it.mocked.takeLog()
      #expect(it.exchange(it.guest.cancel(2) + it.guest.bulkOut(2, [9]), 1) == ["bulk 02 #2 cancelled 0"])
      it.run { it.mocked.posted == 3 }
      #expect(it.mocked.takeLog() == ["discard 02", "submit 02 type 3 length 1 09"])
      it.expectSilence()
      for _ in 0..<3 { it.mocked.finish(0x02, taken: 1) }
      #expect(it.take(3) == words("02", [1, 3, 2], "success 1"))
      it.end()
    }

    @Test(
      "B5.4: the answer is `cancelled` also for what had completed by then, or got data while it was killed"
    )
    func cancelRaces() throws {
      let it = try MockedGuest()
      it.post((1...3).flatMap { it.guest.bulkIn($0, length: 512) }, 3)
      it.mocked.answer(0x82, skip: 1, [2])
      it.mocked.dataWhileDiscarded(0x82, [3])
      #expect(
        it.exchange(it.guest.cancel(2) + it.guest.cancel(3), 2) == words("82", [2, 3], "cancelled 0"))
      it.mocked.answer(0x82, [1])
      #expect(it.take(1) == ["bulk 82 #1 success 1 01"])
      it.expectSilence()
      it.end()
    }

    @Test(
      "B5.4: a cancel that the kernel refuses, the transfer being on its way back, has its answer as well"
    )
    func cancelRefused() throws {
      let it = try MockedGuest()
      it.post(it.guest.bulkIn(1) + it.guest.bulkIn(2), 2)
      it.mocked.fail(mockedDiscard, EINVAL)
      #expect(it.exchange(it.guest.cancel(1), 1) == ["bulk 82 #1 cancelled 0"])
      it.mocked.answer(0x82, [1])
      it.mocked.answer(0x82, [2])
      #expect(it.take(1) == ["bulk 82 #2 success 1 02"])
      it.expectSilence()
      it.end()
    }

    @Test("B5.4: sixteen in flight are cancelled, one answer each, and their ids are used again")
    func cancelMany() throws {
      let it = try MockedGuest()
      let ids = Array(1...16 as ClosedRange<UInt64>)
      for _ in 0..<3 {
        it.post(ids.flatMap { it.guest.bulkIn($0, length: 512) }, 16)
        let answers = it.exchange(ids.reversed().flatMap { it.guest.cancel($0) }, 16)
        #expect(answers == words("82", ids.reversed().map(Int.init), "cancelled 0"))
        it.run { it.guest.session?.attached?.budget.count == 0 }
      }
      #expect(it.mocked.posted == 0)
      it.end()
    }

    @Test("B5.4, B2.6: what was cancelled and comes back with the unplug has no second answer")
    func cancelThenUnplug() throws {
      let it = try MockedGuest()
      it.post((1...3).flatMap { it.guest.bulkIn($0) }, 3)
      it.mocked.fail(mockedDiscard, EINVAL)
      #expect(it.exchange(it.guest.cancel(2), 1) == ["bulk 82 #2 cancelled 0"])
      it.mocked.unplug()
      #expect(it.take(3) == ["device_disconnect"] + words("82", [1, 3], "ioerror 0"))
      #expect(it.exchange(it.guest.cancel(1), 0) == [])
      it.expectSilence()
      it.end()
    }

    // MARK: bulk streams

    @Test("B5.3, B5.1: streams are allocated, used in any order, and freed")
    func bulkStreams() throws {
      let it = try MockedGuest()
      let guest = it.guest
      let slots: UInt32 = 1 << 18 | 1 << 2
      let allocate = guest.encode(AllocBulkStreamsHeader(endpoints: slots, streams: 4), id: 1)
      #expect(it.exchange(allocate, 1) == ["bulk_streams #1 success 4 of 40004"])
      #expect(it.mocked.takeLog() == ["allocate streams 4 of 02 82"])
      it.post(guest.bulkIn(2, stream: 1) + guest.bulkIn(3, stream: 4) + guest.bulkIn(4, stream: 1), 3)
      #expect(it.mocked.takeLog() == [1, 4, 1].map { "submit 82 type 3 length 64 stream \($0)" })
      it.mocked.answer(0x82, skip: 2, [4])
      it.mocked.answer(0x82, skip: 1, [3])
      #expect(it.take(1) == ["bulk 82 #3 success 1 03"])
      it.mocked.answer(0x82, [2])
      #expect(it.take(2) == ["bulk 82 #2 success 1 02", "bulk 82 #4 success 1 04"])
      let free = guest.encode(FreeBulkStreamsHeader(endpoints: slots), id: 5)
      #expect(it.exchange(free, 1) == ["bulk_streams #5 success 0 of 40004"])
      #expect(it.mocked.takeLog() == ["free streams of 02 82"])
      #expect(it.exchange(free, 1) == ["bulk_streams #5 success 0 of 40004"])
      #expect(it.mocked.takeLog() == [], "there is nothing to free any more")
      it.end()
    }

    @Test("B5.3: fewer streams than asked for are none; what is posted is cancelled first")
    func fewerStreams() throws {
      let it = try MockedGuest()
      it.mocked.hasStreams(3)
      it.post(it.guest.bulkIn(1), 1)
      _ = it.mocked.takeLog()
      let allocate = it.guest.encode(AllocBulkStreamsHeader(endpoints: 1 << 18, streams: 4), id: 2)
      #expect(
        it.exchange(allocate, 2) == ["bulk 82 #1 cancelled 0", "bulk_streams #2 ioerror 4 of 40000"])
      #expect(it.mocked.takeLog() == ["discard 82", "allocate streams 4 of 82", "free streams of 82"])
      it.end()
    }

    // MARK: buffered bulk

    @Test("B5.2: buffered bulk receiving: posted, forwarded in order, posted again, stopped without loss")
    func bufferedBulk() throws {
      let it = try MockedGuest()
      let guest = it.guest
      let start = guest.startBulk(1, bytes: 1024, transfers: 4)
      #expect(it.exchange(start, 1) == ["bulk_status 82 #1 success"])
      #expect(it.mocked.takeLog() == [String](repeating: "submit 82 type 3 length 1024", count: 4))
      it.mocked.answer(0x82, [1])
      it.mocked.answer(0x82, [])
      it.mocked.answer(0x82, [2, 3])
      #expect(
        it.take(3) == [
          "buffered_bulk 82 #0 success 1 01", "buffered_bulk 82 #1 success 0",
          "buffered_bulk 82 #2 success 2 0203",
        ])
      #expect(it.mocked.posted == 4)
      _ = it.mocked.takeLog()
      it.mocked.dataWhileDiscarded(0x82, [9])
      #expect(
        it.exchange(guest.stopBulk(2), 2) == [
          "buffered_bulk 82 #3 success 1 09", "bulk_status 82 #2 success",
        ])
      #expect(it.mocked.takeLog() == [String](repeating: "discard 82", count: 4))
      #expect(it.exchange(start, 1) == ["bulk_status 82 #1 success"])
      it.mocked.answer(0x82, [5])
      #expect(it.take(1) == ["buffered_bulk 82 #0 success 1 05"])
      it.end()
    }

    @Test("B4.5, B5.2: a stall is cleared and receiving goes on from id 0; one that never ends, ends it")
    func bufferedBulkStalls() throws {
      let it = try MockedGuest()
      #expect(
        it.exchange(it.guest.startBulk(1, bytes: 512, transfers: 3), 1) == ["bulk_status 82 #1 success"])
      it.mocked.answer(0x82, [1])
      #expect(it.take(1) == ["buffered_bulk 82 #0 success 1 01"])
      _ = it.mocked.takeLog()
      it.mocked.finish(0x82, status: -EPIPE)
      it.mocked.answer(0x82, skip: 2, [2])
      #expect(it.take(1) == ["buffered_bulk 82 #0 success 1 02"])
      let log = it.mocked.takeLog()
      #expect(log.prefix(3) == ["discard 82", "discard 82", "clear halt 82"])
      // All stalls of one queue count once.
      for _ in 0..<3 * (InterruptPipe.maxRecoveries + 1) { it.mocked.finish(0x82, status: -EPIPE) }
      #expect(it.take(2) == ["buffered_bulk 82 #0 success 0", "bulk_status 82 #0 stall"])
      it.end()
    }

    // MARK: interrupt streams

    @Test("B4.5, B4.7: an interrupt stream survives a stall and a babble, and reports of any length pass")
    func interruptStream() throws {
      let it = try MockedGuest()
      #expect(it.exchange(it.guest.start(1), 1) == ["interrupt_status 81 #1 success"])
      let depth = it.mocked.posted
      it.mocked.answer(0x81, [1, 2, 3, 4, 5, 6, 7, 8])
      it.mocked.answer(0x81, [9])
      it.mocked.answer(0x81, [])
      it.mocked.finish(0x81, status: -EOVERFLOW)
      #expect(
        it.take(4) == [
          "interrupt 81 #0 success 8 0102030405060708", "interrupt 81 #1 success 1 09",
          "interrupt 81 #2 success 0",
          "interrupt 81 #3 babble 0",
        ])
      it.run { it.mocked.posted == depth }
      _ = it.mocked.takeLog()
      it.mocked.dataWhileDiscarded(0x81, [7])
      it.mocked.finish(0x81, status: -EPIPE)
      #expect(it.take(1) == ["interrupt 81 #4 success 1 07"], "B4.8: what was killed with data in it")
      it.run { it.mocked.posted == depth }
      it.mocked.answer(0x81, [8])
      #expect(it.take(1) == ["interrupt 81 #0 success 1 08"])
      #expect(it.mocked.takeLog().contains("clear halt 81"))
      it.end()
    }

    // MARK: unplug

    @Test(
      "B2.6: unplug with everything in flight: device_disconnect, then ioerror per endpoint in request order"
    )
    func unplug() throws {
      let it = try MockedGuest()
      let guest = it.guest
      #expect(
        it.exchange(guest.start(1) + guest.startBulk(2, bytes: 512, transfers: 4), 2)
          == ["interrupt_status 81 #1 success", "bulk_status 82 #2 success"])
      let streams = it.mocked.posted
      let ids = Array(10...25)
      let requests = ids.flatMap { id in
        guest.bulkOut(UInt64(id), [1]) + guest.interruptOut(UInt64(id + 100), [2], on: 0x03)
      }
      it.post(
        requests + guest.controlIn(300, 6, length: 8) + guest.controlIn(301, 6, length: 8), streams + 34)
      it.mocked.unplug()
      let words = it.take(35)
      #expect(words.first == "device_disconnect")
      #expect(words.filter { $0.hasPrefix("bulk 02") } == self.words("02", ids, "ioerror 0"))
      #expect(
        words.filter { $0.hasPrefix("interrupt 03") } == ids.map { "interrupt 03 #\($0 + 100) ioerror 0" })
      #expect(
        words.filter { $0.hasPrefix("control") } == ["control #300 ioerror 0", "control #301 ioerror 0"])
      #expect(words.count == 35, "the streams end silently")
      it.expectSilence()
      it.end()
    }

    @Test("B2.6: bulk IN many deep, an unplug that some completions were ahead of")
    func unplugBehindData() throws {
      let it = try MockedGuest()
      it.post((1...12).flatMap { it.guest.bulkIn($0, length: 512) }, 12)
      it.mocked.answer(0x82, [1])
      it.mocked.answer(0x82, skip: 1, [3])
      it.mocked.unplug()
      let words = it.take(13)
      // What the kernel had before may be told or not; nothing may follow the disconnect but ioerror.
      let gone = try #require(words.firstIndex(of: "device_disconnect"))
      #expect(gone <= 1)
      #expect(words.prefix(gone).allSatisfy { $0 == "bulk 82 #1 success 1 01" })
      let rest = words.dropFirst(gone + 1)
      #expect(rest.map { $0.split(separator: " ")[2] } == ((gone + 1)...12).map { "#\($0)" })
      it.end()
    }

    @Test("B2.6, B2.8: an unplug while an operation cancels what is in flight")
    func unplugDuringAnOperation() throws {
      let it = try MockedGuest()
      it.post((1...8).flatMap { it.guest.bulkOut($0, [1]) }, 8)
      it.mocked.hold(mockedSetInterface)
      it.guest.send(it.guest.setAlt(9, 1, 0))
      it.run { it.mocked.isHolding }
      it.mocked.unplug()
      it.mocked.letGo()
      let words = it.take(10)
      #expect(words.prefix(8) == self.words("02", Array(1...8), "cancelled 0")[...])
      #expect(words.suffix(2) == ["device_disconnect", "alt_setting #9 ioerror 1 1"])
      it.end()
    }
  }
}
