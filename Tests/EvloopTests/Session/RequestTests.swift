// Bulk and interrupt OUT requests: one answer each, in order, within the budgets, cancelled on demand (B1.8,
// B4.10, B5.1, B5.4).
import Testing

@testable import usbredir_evloop

struct RequestTests {
  @Test("B5.1: bulk IN and OUT, many in flight, answers in order with what moved")
  func bulk() throws {
    let guest = try GuestHarness()
    for report in [[1, 2], [], [3]] as [[UInt8]] { guest.scripted.report(.bulkIn, report) }
    let answers = guest.exchange(
      guest.bulkIn(1), guest.bulkIn(2), guest.bulkOut(3, [7, 8]), guest.bulkIn(4, length: 0),
      guest.bulkOut(5, []))
    #expect(
      answers.filter { $0.hasPrefix("bulk 82") } == [
        "bulk 82 #1 success 2 0102", "bulk 82 #2 success 0", "bulk 82 #4 babble 0",
      ])
    #expect(answers.filter { $0.hasPrefix("bulk 02") } == ["bulk 02 #3 success 2", "bulk 02 #5 success 0"])
    #expect(guest.session?.buffers.inUse == 0)
  }

  @Test("B5.1, B1.4: more than 65535 bytes in one request, both ways, where both sides have 32-bit lengths")
  func longBulk() throws {
    let data = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 11) }
    let guest = try GuestHarness()
    guest.scripted.report(.bulkIn, data)
    let answers = guest.exchange(guest.bulkIn(1, length: 100_000), guest.bulkOut(2, data))
    #expect(
      Set(answers) == ["bulk 82 #1 success 100000 " + Hex.text(data.span), "bulk 02 #2 success 100000"])
    #expect(guest.scripted.record.last == "submit 02 " + Hex.text(data.span))
  }

  @Test("B1.4: with 16-bit lengths the header is the short one and 65535 bytes are the most")
  func shortHeader() throws {
    let guest = try GuestHarness(capabilities: Capabilities.all.subtracting(.bulkLength32))
    let data = [UInt8](repeating: 3, count: 65535)
    guest.scripted.report(.bulkIn, data)
    #expect(guest.bulkOut(2, [1]).count == 16 + 8 + 1)
    let answers = guest.exchange(guest.bulkIn(1, length: 65535), guest.bulkOut(2, data))
    #expect(Set(answers) == ["bulk 82 #1 success 65535 " + Hex.text(data.span), "bulk 02 #2 success 65535"])
  }

  @Test("B1.8: max-transfer is the longest transfer, both ways")
  func longestTransfer() throws {
    var limits = SessionLimits()
    limits.maxTransfer = 4096
    let guest = try GuestHarness(limits: limits)
    guest.scripted.report(.bulkIn, [1])
    let data = [UInt8](repeating: 1, count: 4097)
    let answers = guest.exchange(
      guest.bulkIn(1, length: 4096), guest.bulkIn(2, length: 4097), guest.bulkOut(3, Array(data.dropLast())),
      guest.bulkOut(4, data))
    #expect(
      Set(answers) == [
        "bulk 82 #1 success 1 01", "bulk 82 #2 inval 0", "bulk 02 #3 success 4096", "bulk 02 #4 inval 0",
      ])
  }

  @Test("B4.10: interrupt OUT: in order, any length, status and length in the answer")
  func interruptOut() throws {
    let guest = try GuestHarness()
    let long = [UInt8](repeating: 5, count: 65535)
    #expect(
      guest.exchange(guest.interruptOut(1, [1]), guest.interruptOut(2, long), guest.interruptOut(3, []))
        == ["interrupt 01 #1 success 1", "interrupt 01 #2 success 65535", "interrupt 01 #3 success 0"])
    guest.scripted.fail(.interruptOut, .stalled)
    #expect(
      guest.exchange(guest.interruptOut(4, [1]), guest.interruptOut(5, [2]))
        == ["interrupt 01 #4 stall 0", "interrupt 01 #5 stall 0"])
    #expect(guest.exchange(guest.interruptOut(6, [1], on: 0x81)) == [], "no legal answer")
    #expect(guest.session?.counters.badPackets == 1)
  }

  @Test("B5.1: answers leave in the order of the requests, whatever order they complete in")
  func outOfOrder() throws {
    for order in [[2, 1, 0], [1, 1, 0], [2, 0, 0]] {
      let (guest, device) = try manual()
      guest.exchange(guest.bulkOut(1, [1]), guest.bulkOut(2, [2]), guest.bulkOut(3, [3]), guest.bulkIn(4))
      device.complete(3, .completed, [9])
      for index in order {
        device.complete(index, index == 0 ? .completed : .stalled)
        guest.settle()
      }
      let words = guest.take()
      #expect(words.first == "bulk 82 #4 success 1 09", "another endpoint is another line")
      #expect(words.dropFirst().map { $0.prefix(10) } == ["bulk 02 #1", "bulk 02 #2", "bulk 02 #3"])
      close(guest, device)
    }
  }

  @Test("B5.1: bulk streams do not wait for each other, requests on one stream do")
  func streams() throws {
    let (guest, device) = try manual()
    let streams: [(UInt64, UInt32)] = [(1, 1), (2, 2), (3, 1), (4, 0), (5, 0), (6, 3)]
    guest.exchange(streams.flatMap { guest.bulkIn($0, stream: $1) })
    for index in [5, 4, 2, 1] { device.complete(index, .completed, [1]) }
    guest.settle()
    #expect(guest.take().map { $0.prefix(10) } == ["bulk 82 #6", "bulk 82 #2"])
    device.complete(0, .completed, [1])
    guest.settle()
    #expect(guest.take().map { $0.prefix(10) } == ["bulk 82 #1", "bulk 82 #3"])
    device.complete(0, .completed, [1])
    guest.settle()
    #expect(guest.take().map { $0.prefix(10) } == ["bulk 82 #4", "bulk 82 #5"])
    close(guest, device)
  }

  @Test("B5.1, B1.7: refusals wait for their turn")
  func refusalsInTurn() throws {
    var limits = SessionLimits()
    limits.maxTransfer = 1 << 16
    let guest = try GuestHarness(limits: limits)
    guest.scripted.hold(.bulkOut)
    // The length lies: data and length field differ.
    let wrong = packet(
      BulkPacketHeader(endpoint: 2, status: .success, length: 9, streamID: 0), id: 2, data: [1], .all)
    let huge = guest.bulkOut(3, [UInt8](repeating: 0, count: 1 << 16 + 1))
    #expect(guest.exchange(guest.bulkOut(1, [1]), wrong, huge, guest.bulkOut(4, [4])) == [])
    guest.scripted.release(.bulkOut)
    guest.settle()
    #expect(
      guest.take() == [
        "bulk 02 #1 success 1", "bulk 02 #2 inval 0", "bulk 02 #3 inval 0", "bulk 02 #4 success 1",
      ])
    #expect(guest.session?.counters.badPackets == 2)
  }

  @Test("B1.7, B3.1: a control packet whose length lies is refused in its turn")
  func badControl() throws {
    let guest = try GuestHarness()
    guest.scripted.hold(.controlOut)
    let header = ControlPacketHeader(
      endpoint: 0, request: 9, requestType: 0x21, status: .success, value: 1, index: 2, length: 5)
    #expect(guest.exchange(guest.controlIn(1, 8, length: 1), guest.encode(header, id: 2, [1])) == [])
    guest.scripted.release(.controlOut)
    guest.settle()
    #expect(guest.take() == ["control #1 success 1 01", "control #2 inval 0"])
  }

  @Test("B1.7, B1.8: an oversized payload is skipped without being kept", arguments: [true, false])
  func oversized(isOut: Bool) throws {
    var limits = SessionLimits()
    limits.maxTransfer = 1 << 16
    let guest = try GuestHarness(limits: limits)
    let size = 1 << 20
    let header = BulkPacketHeader(
      endpoint: isOut ? 2 : 0x82, status: .success, length: UInt32(size), streamID: 0)
    let long =
      isOut
      ? packet(header, id: 2, data: [UInt8](repeating: 1, count: size), .all) : packet(header, id: 2, .all)
    #expect(guest.exchange(long) == ["bulk \(isOut ? "02" : "82") #2 inval 0"])
    #expect(guest.exchange(guest.bulkOut(3, [1])) == ["bulk 02 #3 success 1"])
    #expect(guest.session?.buffers.inUse == 0)
  }

  @Test("B1.7: endpoints that are not there, or of another type")
  func unknownEndpoints() throws {
    let guest = try GuestHarness()
    let answers = guest.exchange(
      guest.bulkOut(1, [1], on: 0x05), guest.bulkIn(2, on: 0x85), guest.bulkIn(3, on: 0x81),
      guest.bulkOut(4, [1], on: 0x00),
      guest.bulkIn(5, on: 0x92), guest.interruptOut(6, [1], on: 0x02))
    #expect(
      answers == [
        // Answers of interrupt endpoints go ahead (B4.9).
        "interrupt 02 #6 inval 0",
        "bulk 05 #1 inval 0", "bulk 85 #2 inval 0", "bulk 81 #3 inval 0", "bulk 00 #4 inval 0",
        "bulk 92 #5 inval 0",
      ])
    #expect(guest.scripted.record == [])
  }

  @Test("B5.4: cancel is answered at once, its completion swallowed, and the id may be used again")
  func cancel() throws {
    let (guest, device) = try manual()
    guest.exchange(guest.bulkOut(1, [1]), guest.bulkOut(2, [2]), guest.bulkOut(3, [3]))
    #expect(guest.exchange(guest.cancel(2)) == ["bulk 02 #2 cancelled 0"])
    guest.exchange(guest.bulkOut(2, [4]))
    #expect(device.posted.count == 4)
    device.complete(1, .completed)
    device.complete(0, .completed)
    device.complete(0, .completed)
    device.complete(0, .completed)
    guest.settle()
    #expect(guest.take() == ["bulk 02 #1 success 1", "bulk 02 #3 success 1", "bulk 02 #2 success 1"])
    #expect(guest.exchange(guest.cancel(2), guest.cancel(77)) == [])
    #expect(guest.session?.counters.latePackets == 2)
    close(guest, device)
  }

  @Test(
    "B5.4: cancelling one lets those behind it go, and the same id twice cancels the older, then the younger")
  func cancelFirst() throws {
    let (guest, device) = try manual()
    guest.exchange(guest.bulkOut(1, [1]), guest.bulkOut(1, [2]), guest.bulkOut(3, [3]))
    device.complete(2, .completed)
    #expect(guest.exchange(guest.cancel(1)) == ["bulk 02 #1 cancelled 0"])
    #expect(guest.exchange(guest.cancel(1)) == ["bulk 02 #1 cancelled 0", "bulk 02 #3 success 1"])
    #expect(guest.exchange(guest.cancel(1)) == [])
    device.completeCancelled()
    guest.settle()
    #expect(guest.take() == [])
    #expect(guest.session?.buffers.inUse == 0)
    close(guest, device)
  }

  @Test("B5.4: one that is done and only waits for its turn is cancelled as well, with one answer")
  func cancelDone() throws {
    let (guest, device) = try manual()
    guest.exchange(guest.bulkIn(1), guest.bulkIn(2))
    device.complete(1, .completed, [1])
    #expect(guest.exchange(guest.cancel(2)) == ["bulk 82 #2 cancelled 0"])
    device.complete(0, .completed, [2])
    guest.settle()
    #expect(guest.take() == ["bulk 82 #1 success 1 02"])
    close(guest, device)
  }

  @Test("B1.8: over the number of requests, or their bytes, one is refused in its turn")
  func budgets() throws {
    var limits = SessionLimits()
    limits.maxRequests = 3
    limits.maxRequestBytes = 1 << 20
    let guest = try GuestHarness(limits: limits)
    guest.exchange(guest.bulkIn(1), guest.bulkIn(2), guest.bulkIn(3), guest.bulkIn(4))
    for _ in 0..<4 { guest.scripted.report(.bulkIn, [1]) }
    guest.settle()
    #expect(
      guest.take() == [
        "bulk 82 #1 success 1 01", "bulk 82 #2 success 1 01", "bulk 82 #3 success 1 01", "bulk 82 #4 inval 0",
      ])
    guest.exchange(guest.bulkIn(5))
    guest.exchange(guest.bulkIn(6, length: 600_000))
    #expect(guest.exchange(guest.bulkIn(7, length: 600_000)) == [])
    guest.scripted.report(.bulkIn, [2])
    guest.settle()
    #expect(guest.take() == ["bulk 82 #6 success 1 02", "bulk 82 #7 inval 0"])
  }

  @Test("B1.8: 1024 requests and 64 MiB, unless the export says otherwise")
  func defaultBudgets() throws {
    let (guest, device) = try manual()
    for id in 1...1025 as ClosedRange<UInt64> { guest.send(guest.bulkIn(id)) }
    guest.settle()
    #expect(device.posted.count == 1024)
    for _ in 0..<1024 { device.complete(0, .completed) }
    guest.settle()
    #expect(guest.take().last == "bulk 82 #1025 inval 0")
    for id in 1...9 as ClosedRange<UInt64> { guest.send(guest.bulkIn(id, length: 8 << 20)) }
    guest.settle()
    #expect(device.posted.map(\.length) == [Int](repeating: 8 << 20, count: 8))
    for _ in 0..<8 { device.complete(0, .completed) }
    guest.settle()
    #expect(guest.take().suffix(2) == ["bulk 82 #8 success 0", "bulk 82 #9 inval 0"])
    close(guest, device)
  }

  @Test("B1.8: what was cancelled counts until the device gave it back")
  func cancelledCounts() throws {
    var limits = SessionLimits()
    limits.maxRequestBytes = 1 << 20
    let (guest, device) = try manual(limits)
    for id in 0..<50 as Range<UInt64> { guest.exchange(guest.bulkIn(id, length: 1 << 18), guest.cancel(id)) }
    #expect(guest.session?.buffers.inUse == 4)
    device.completeCancelled()
    #expect(guest.exchange(guest.bulkIn(99, length: 1 << 18)) == [])
    #expect(guest.session?.attached?.budget.bytes == 1 << 18)
    close(guest, device)
  }

  @Test("B3.6: many cancels are spread over turns, so that other sessions have theirs")
  func cancelsYield() throws {
    let (guest, device) = try manual()
    for id in 0..<20 as Range<UInt64> { guest.exchange(guest.bulkIn(id, length: 64)) }
    guest.sendRaw((0..<20 as Range<UInt64>).flatMap { guest.cancel($0) })
    guest.turn()
    let afterOneTurn = guest.take().count
    #expect(afterOneTurn >= 4)
    #expect(afterOneTurn <= 2 * AttachedDevice.cancelsOnLoop)
    guest.wait(forPackets: 20 - afterOneTurn)
    #expect(guest.take().count == 20 - afterOneTurn)
    device.completeCancelled()
    close(guest, device)
  }

  @Test("B1.8: buffered bulk receiving counts against the budget together with the requests")
  func streamsCount() throws {
    var limits = SessionLimits()
    limits.maxRequestBytes = 1 << 20
    let (guest, device) = try manual(limits)
    guest.exchange(guest.bulkOut(1, [UInt8](repeating: 1, count: 1 << 19)))
    let start = StartBulkReceivingHeader(streamID: 0, bytesPerTransfer: 1 << 18, endpoint: 0x82, transfers: 3)
    let packets = guest.exchange(guest.encode(start, id: 2))
    #expect(packets.count == 2)
    #expect(packets.last?.contains("stall") == true)
    close(guest, device)
  }

  // MARK: no memory

  @Test("B1.8: without memory and with nothing else out, a request fails")
  func noMemoryAlone() throws {
    let (guest, device) = try manual()
    guest.exchange(guest.bulkOut(1, [1]))
    device.complete(0, .noMemory)
    guest.settle()
    #expect(guest.take() == ["bulk 02 #1 ioerror 0"])
    close(guest, device)
  }

  @Test(
    "B1.8: without memory it waits in its endpoint's line for the next completion, and those behind it with it"
  )
  func noMemoryWaits() throws {
    let (guest, device) = try manual()
    guest.exchange(guest.bulkIn(1), guest.bulkOut(2, [2]), guest.bulkOut(3, [3]))
    device.complete(1, .noMemory)
    device.complete(1, .noMemory)
    guest.exchange(guest.bulkOut(4, [4]))
    #expect(device.posted.count == 1)
    #expect(guest.take() == [])
    device.complete(0, .completed, [9])
    #expect(device.posted.map { $0.length } == [1, 1, 1])
    for _ in 0..<3 { device.complete(0, .completed) }
    guest.settle()
    #expect(
      guest.take() == [
        "bulk 82 #1 success 1 09", "bulk 02 #2 success 1", "bulk 02 #3 success 1", "bulk 02 #4 success 1",
      ])
    close(guest, device)
  }

  @Test("B1.8: when there never is memory, all of them fail in the end")
  func noMemoryEver() throws {
    let (guest, device) = try manual()
    guest.exchange(guest.bulkIn(1), guest.bulkOut(2, [2]), guest.bulkOut(3, [3]))
    var left = 100
    while !device.posted.isEmpty && left > 0 {
      device.complete(0, .noMemory)
      left -= 1
    }
    guest.settle()
    #expect(Set(guest.take()) == ["bulk 82 #1 ioerror 0", "bulk 02 #2 ioerror 0", "bulk 02 #3 ioerror 0"])
    #expect(guest.session?.attached?.budget.count == 0)
    close(guest, device)
  }

  @Test("B1.8, B5.1: one whose younger neighbour got ahead fails: its data would come too late")
  func noMemoryOvertaken() throws {
    let (guest, device) = try manual()
    guest.exchange(guest.bulkIn(1), guest.bulkOut(2, [2]), guest.bulkOut(3, [3]))
    device.complete(1, .noMemory)
    device.complete(0, .completed, [9])
    #expect(device.posted.count == 1, "not while the younger one is out")
    device.complete(0, .completed)
    guest.settle()
    #expect(guest.take() == ["bulk 82 #1 success 1 09", "bulk 02 #2 ioerror 0", "bulk 02 #3 success 1"])
    close(guest, device)
  }

  @Test("B1.8: what waits for memory can be cancelled, and is cancelled by an operation")
  func noMemoryCancelled() throws {
    let (guest, device) = try manual()
    guest.exchange(guest.bulkIn(1), guest.bulkOut(2, [2]), guest.bulkOut(3, [3]))
    device.complete(1, .noMemory)
    device.complete(1, .noMemory)
    #expect(guest.exchange(guest.cancel(2)) == ["bulk 02 #2 cancelled 0"])
    #expect(guest.exchange(guest.setAlt(4, 1, 0)) == ["bulk 02 #3 cancelled 0"])
    device.completeCancelled()
    #expect(guest.session?.attached?.budget.count == 0)
    device.finishCall()
    guest.settle()
    #expect(
      guest.take() == [
        "bulk 82 #1 cancelled 0", "ep_info", "interface_info", "alt_setting #4 success 1 0",
      ])
    close(guest, device)
  }

  // MARK: a device that the test completes by hand

  private func manual(_ limits: SessionLimits = SessionLimits()) throws -> (GuestHarness, ManualDevice) {
    let device = ManualDevice()
    device.model = DeviceDescription.scripted.model(configuration: 1)
    return (try GuestHarness(device, limits: limits), device)
  }

  /// The guest leaves, and the device gives everything back.
  private func close(_ guest: GuestHarness, _ device: ManualDevice) {
    guest.leave()
    guest.settle()
    if !device.calls.isEmpty { device.finishCall() }
    while !device.posted.isEmpty { device.complete(0, .cancelled) }
    device.finishClose()
    guest.settle()
    #expect(guest.ends.count == 1)
  }
}
