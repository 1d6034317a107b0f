// Bulk transfers on the real libusb: queues of them, cancels that come too late or too early, what a device may
// answer, and transfers that libusb cuts into several URBs.
import CMockedUsbfs
import CPosix
import Testing

@testable import usbredir_evloop

extension MockedUsbfsTests {
  struct Bulk {
    private let bus = unsafe MockedBus.shared
    private static let slot = UInt32(1) << UInt32(EndpointAddress(rawValue: 0x82).slot)

    private func open() throws -> (MockedDevice, DeviceUser) {
      let mocked = MockedDevice()
      let user = try #require(DeviceUser.open(mocked))
      _ = mocked.takeLog()
      return (mocked, user)
    }

    /// Submits bulk IN transfers with these tags.
    private func submit(_ tags: ClosedRange<UInt64>, _ user: DeviceUser, length: Int = 512) -> [Transfer] {
      tags.map { user.submit(.bulk, 0x82, tag: $0, length: length) }
    }

    // MARK: what a device may answer

    @Test func shortReadsAndZeroLengthPackets() throws {
      let (mocked, user) = try open()
      _ = submit(1...3, user)
      user.submit(.bulk, 0x02, tag: 4, length: 0, out: [])
      user.submit(.bulk, 0x82, tag: 5, length: 0)
      user.submit(.interrupt, 0x03, tag: 6, length: 0, out: [])
      mocked.answer(0x82, [UInt8](repeating: 7, count: 512))
      mocked.answer(0x82, [1, 2, 3])
      mocked.answer(0x82, [])
      mocked.finish(0x02)
      mocked.answer(0x82, [])
      mocked.finish(0x03)
      user.waitForEvents(6)
      #expect(user.events == (1...6).map { "\($0) completed" })
      #expect(
        user.received == [
          1: [UInt8](repeating: 7, count: 512), 2: [1, 2, 3], 3: [], 4: [], 5: [], 6: [],
        ])
      #expect(
        mocked.takeLog().suffix(3) == [
          "submit 02 type 3 length 0", "submit 82 type 3 length 0", "submit 03 type 1 length 0",
        ])
      user.close()
      mocked.unplug()
    }

    @Test func anOutTransferSaysHowMuchWasTaken() throws {
      let (mocked, user) = try open()
      user.submit(.bulk, 0x02, tag: 1, length: 4, out: [1, 2, 3, 4])
      mocked.finish(0x02, status: -EPIPE, taken: 2)
      user.waitForEvents(1)
      #expect(user.events == ["1 stalled"])
      #expect(user.received[1] == [1, 2])
      user.close()
      mocked.unplug()
    }

    @Test(
      "a failure on each kind of endpoint has its status, and the next transfer works",
      arguments: [(-EPIPE, "stalled"), (-EOVERFLOW, "overflow"), (-EPROTO, "failed")] as [(Int32, String)])
    func failures(_ status: Int32, _ name: String) throws {
      let (mocked, user) = try open()
      let endpoints: [(TransferType, UInt8)] = [
        (.bulk, 0x82), (.bulk, 0x02), (.interrupt, 0x81), (.interrupt, 0x03),
      ]
      for (index, (type, endpoint)) in endpoints.enumerated() {
        let tag = UInt64(2 * index)
        mocked.finish(endpoint, status: status)
        user.submit(type, endpoint, tag: tag, length: 8, out: [UInt8](repeating: 1, count: 8))
        user.waitForEvents(3 * index + 1)
        #expect(user.events.last == "\(tag) \(name)")
        #expect(user.perform(.clearHalt(EndpointAddress(rawValue: endpoint))) == .done)
        if endpoint & 0x80 != 0 { mocked.answer(endpoint, [9]) } else { mocked.finish(endpoint, taken: 8) }
        user.submit(type, endpoint, tag: tag + 1, length: 8, out: [UInt8](repeating: 1, count: 8))
        user.waitForEvents(3 * index + 3)
        #expect(user.events.last == "\(tag + 1) completed")
      }
      user.close()
      mocked.unplug()
    }

    @Test func theyCompleteInAnyOrder() throws {
      let (mocked, user) = try open()
      _ = submit(1...4, user)
      mocked.answer(0x82, skip: 3, [4])
      mocked.answer(0x82, skip: 1, [2])
      mocked.answer(0x82, skip: 1, [3])
      mocked.answer(0x82, [1])
      user.waitForEvents(4)
      #expect(user.events == [4, 2, 3, 1].map { "\($0) completed" })
      #expect(user.received == [1: [1], 2: [2], 3: [3], 4: [4]])
      user.close()
      mocked.unplug()
    }

    // MARK: cancels

    @Test("a queue of 16 is cancelled while some have completed already", arguments: [true, false])
    func cancelOfAQueue(offTheLoop: Bool) throws {
      let (mocked, user) = try open()
      let transfers = submit(1...16, user)
      mocked.answer(0x82, [1])
      mocked.answer(0x82, [2])
      mocked.answer(0x82, skip: 5, [8])
      _ = mocked.takeLog()
      if offTheLoop {
        #expect(user.perform(.cancel(slots: Bulk.slot)) == .done)
      } else {
        for transfer in transfers.reversed() { user.device.cancel(transfer) }
      }
      user.waitForEvents(offTheLoop ? 17 : 16)
      #expect(mocked.takeLog() == [String](repeating: "discard 82", count: 13))
      let cancelled = [16, 15, 14, 13, 12, 11, 10, 9, 7, 6, 5, 4, 3].map { "\($0) cancelled" }
      #expect(
        user.events.filter { $0 != "call done" } == ["1 completed", "2 completed", "8 completed"] + cancelled)
      #expect(transfers.allSatisfy { $0.state == .idle })
      user.close()
      mocked.unplug()
    }

    @Test func aCancelThatTheKernelRefusesChangesNothing() throws {
      let (mocked, user) = try open()
      let transfers = submit(1...2, user)
      mocked.fail(mockedDiscard, EINVAL)
      user.device.cancel(transfers[0])
      for _ in 0..<20 { bus.turn() }
      #expect(user.events.isEmpty)
      mocked.answer(0x82, [1])
      mocked.answer(0x82, [2])
      user.waitForEvents(2)
      #expect(user.events == ["1 completed", "2 completed"])
      user.close()
      mocked.unplug()
    }

    @Test func whatWasCancelledIsUsedAgain() throws {
      let (mocked, user) = try open()
      let transfer = submit(1...1, user)[0]
      var rounds = 0
      user.onCompleted = { transfer in
        rounds += 1
        if rounds < 20 { user.device.submit(transfer) }
      }
      for round in 1...20 {
        mocked.dataWhileDiscarded(0x82, [UInt8](repeating: UInt8(round), count: round))
        user.device.cancel(transfer)
        user.waitForEvents(round)
        #expect(user.received[1] == [UInt8](repeating: UInt8(round), count: round))
      }
      #expect(user.events == [String](repeating: "1 cancelled", count: 20))
      #expect(mocked.posted == 0)
      user.onCompleted = nil
      user.close()
      mocked.unplug()
    }

    @Test("what is cancelled behind an unplug, before anybody noticed it, comes back once")
    func cancelBehindAnUnplug() throws {
      let (mocked, user) = try open()
      let transfers = submit(1...16, user)
      mocked.answer(0x82, [1])
      mocked.unplug()
      for transfer in transfers.reversed() { user.device.cancel(transfer) }
      user.device.perform(.cancel(slots: .max))
      user.waitForEvents(18)
      for _ in 0..<10 { bus.turn() }
      #expect(user.events.filter { $0 == "gone" || $0.hasPrefix("call") }.count == 2)
      #expect(user.events.filter { $0 == "1 completed" }.count == 1)
      #expect(Set(user.events.filter { $0.hasSuffix(" deviceGone") && $0 != "call deviceGone" }).count == 15)
      #expect(user.events.count == 18)
      user.close()
    }

    // MARK: transfers of several URBs

    private func openWithShortURBs() throws -> (MockedDevice, DeviceUser) {
      let mocked = MockedDevice()
      mocked.takesShortURBs()
      let user = try #require(DeviceUser.open(mocked))
      _ = mocked.takeLog()
      return (mocked, user)
    }

    private static func pattern(_ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: $0 / 7) }
    }

    @Test(
      "a long transfer is one URB, or several where the host controller wants that", arguments: [true, false])
    func longTransfers(isCut: Bool) throws {
      let (mocked, user) = try isCut ? openWithShortURBs() : open()
      let data = Bulk.pattern(70_000)
      user.submit(.bulk, 0x82, tag: 1, length: data.count)
      user.submit(.bulk, 0x02, tag: 2, length: data.count, out: data)
      let pieces = isCut ? [16384, 16384, 16384, 16384, 4464] : [70_000]
      let submitted = mocked.takeLog().map { $0.split(separator: " ").prefix(6).joined(separator: " ") }
      #expect(
        submitted == pieces.map { "submit 82 type 3 length \($0)" }
          + pieces.map { "submit 02 type 3 length \($0)" })
      var start = 0
      for piece in pieces {
        mocked.answer(0x82, Array(data[start..<start + piece]))
        mocked.finish(0x02, taken: Int32(piece))
        start += piece
      }
      user.waitForEvents(2)
      #expect(user.events == ["1 completed", "2 completed"])
      #expect(user.received[1] == data)
      #expect(user.received[2] == data)
      user.close()
      mocked.unplug()
    }

    @Test func aShortReadEndsATransferOfSeveralURBs() throws {
      let (mocked, user) = try openWithShortURBs()
      let data = Bulk.pattern(16_384 + 100)
      user.submit(.bulk, 0x82, tag: 1, length: 40_000)
      mocked.answer(0x82, Array(data.prefix(16_384)))
      mocked.answer(0x82, Array(data.suffix(100)))
      mocked.finish(0x82, status: -EREMOTEIO)
      user.waitForEvents(1)
      #expect(user.events == ["1 completed"])
      #expect(user.received[1] == data)
      #expect(mocked.posted == 0)
      user.close()
      mocked.unplug()
    }

    @Test(
      "a stall or a cancel in the middle of a transfer of several URBs keeps what had come",
      arguments: [true, false])
    func endsInTheMiddle(byStall: Bool) throws {
      let (mocked, user) = try openWithShortURBs()
      let data = Bulk.pattern(16_384)
      let transfer = user.submit(.bulk, 0x82, tag: 1, length: 40_000)
      mocked.answer(0x82, data)
      if byStall { mocked.finish(0x82, status: -EPIPE) } else { user.device.cancel(transfer) }
      user.waitForEvents(1)
      #expect(user.events == [byStall ? "1 stalled" : "1 cancelled"])
      #expect(user.received[1] == data)
      #expect(mocked.posted == 0)
      user.close()
      mocked.unplug()
    }

    @Test func aSubmitThatFailsInTheMiddleComesBackOnce() throws {
      let (mocked, user) = try openWithShortURBs()
      mocked.fail(mockedSubmit, ENOMEM, after: 1)
      user.submit(.bulk, 0x82, tag: 1, length: 40_000)
      user.waitForEvents(1)
      for _ in 0..<20 { bus.turn() }
      #expect(user.events == ["1 failed"])
      #expect(mocked.posted == 0)
      user.close()
      mocked.unplug()
    }
  }
}
