// Isochronous streams as a guest sees them (B6). Endpoints 83 and 03 of the scripted device carry 64 bytes a packet
// once interface 1 is at setting 1.
import Testing

@testable import usbredir_evloop

struct IsoTests {
  private func started(limits: SessionLimits = SessionLimits(), sendBuffer: Int32? = nil) throws
    -> GuestHarness
  {
    let guest = try GuestHarness(limits: limits, sendBuffer: sendBuffer)
    guest.exchange(guest.setAlt(1, 1, 1))
    guest.scripted.record = []
    return guest
  }

  /// A session with a device whose transfers end when the test says so.
  private func manual() throws -> (GuestHarness, ManualDevice) {
    let device = ManualDevice()
    device.model = DeviceDescription.scripted.model(configuration: 1)
    device.model.interfaces[1].current = 1
    return (try GuestHarness(device), device)
  }

  // MARK: start and stop

  @Test(
    "B6.1: success when the buffers exist; URBs of so many packets are posted, each of the announced size")
  func start() throws {
    let guest = try started()
    #expect(guest.exchange(guest.startIso(5, packets: 3, urbs: 2)) == ["iso_status 83 #5 success"])
    #expect(guest.scripted.record == ["submit 83/64/64/64 192", "submit 83/64/64/64 192"])
    #expect(guest.exchange(guest.startIso(6, on: 0x03)) == ["iso_status 03 #6 success"])
    #expect(guest.scripted.record.count == 2, "OUT begins when data is there")
  }

  @Test("B6.1: stall, never inval, for what is no isochronous endpoint or no number of packets and URBs")
  func refused() throws {
    let guest = try started()
    let wrong = [
      guest.startIso(1, on: 0x81), guest.startIso(1, on: 0x02), guest.startIso(1, on: 0x80),
      guest.startIso(1, on: 0xc3), guest.startIso(1, packets: 0), guest.startIso(1, packets: 33),
      guest.startIso(1, urbs: 0), guest.startIso(1, urbs: 17),
    ]
    for packet in wrong {
      let answer = guest.exchange(packet)
      #expect(answer.count == 1 && answer[0].hasSuffix(" #1 stall"))
    }
    #expect(guest.session?.counters.badPackets == wrong.count)
    #expect(guest.scripted.record == [])
  }

  @Test("B1.8: no more memory than max-request-bytes, other streams included")
  func budget() throws {
    var limits = SessionLimits()
    limits.maxRequestBytes = 64 * 20
    let guest = try started(limits: limits)
    #expect(guest.exchange(guest.startIso(1, packets: 16, urbs: 1)) == ["iso_status 83 #1 success"])
    #expect(guest.exchange(guest.startIso(2, on: 0x03, packets: 5, urbs: 1)) == ["iso_status 03 #2 stall"])
    #expect(guest.exchange(guest.startIso(3, on: 0x03, packets: 4, urbs: 1)) == ["iso_status 03 #3 success"])
  }

  @Test("B4.1, B4.8 hold for isochronous streams: start again is success, stop when nothing runs too")
  func again() throws {
    let guest = try started()
    guest.exchange(guest.startIso(1))
    #expect(guest.exchange(guest.startIso(2)) == ["iso_status 83 #2 success"])
    #expect(
      guest.exchange(guest.startIso(6, packets: 33)) == ["iso_status 83 #6 success"],
      "one that cannot be changes nothing where a stream is")
    #expect(guest.exchange(guest.stopIso(3)) == ["iso_status 83 #3 success"])
    #expect(guest.exchange(guest.stopIso(4)) == ["iso_status 83 #4 success"])
    #expect(guest.exchange(guest.startIso(5, packets: 1, urbs: 1)) == ["iso_status 83 #5 success"])
    #expect(guest.scripted.record.last == "submit 83/64 64")
  }

  @Test("without a device: stall for a start, success for a stop, packets are late")
  func noDevice() throws {
    let guest = try GuestHarness(hasDevice: false)
    #expect(guest.exchange(guest.startIso(1)) == ["iso_status 83 #1 stall"])
    #expect(guest.exchange(guest.stopIso(2)) == ["iso_status 83 #2 success"])
    #expect(guest.exchange(guest.isoOut(3, [1])) == [])
    #expect(guest.session?.counters.latePackets == 3 && guest.session?.counters.badPackets == 0)
  }

  @Test("B6.1: a device that takes no transfer ends the stream")
  func firstPostFails() throws {
    let (guest, device) = try manual()
    #expect(guest.exchange(guest.startIso(1)) == ["iso_status 83 #1 success"])
    while !device.posted.isEmpty { device.complete(0, .refused) }
    guest.settle()
    #expect(guest.take() == ["iso_status 83 #0 stall"])
    guest.end(device)
  }

  // MARK: IN

  @Test("B6.2: one packet each, ids from 0, with its own status and length")
  func packets() throws {
    let guest = try started()
    guest.scripted.report(.isoIn, [1, 2])
    guest.scripted.fail(.isoIn, .failed)
    guest.scripted.report(.isoIn, [])
    guest.scripted.report(.isoIn, [3])
    #expect(
      guest.exchange(guest.startIso(1)) == [
        "iso_status 83 #1 success", "iso 83 #0 success 2 0102", "iso 83 #1 ioerror 0", "iso 83 #2 success 0",
        "iso 83 #3 success 1 03",
      ])
    #expect(guest.session?.counters.reports == 3 && guest.session?.counters.streamErrors == 1)
  }

  @Test("B6.2: a stall clears the halt and starts again at 0")
  func stall() throws {
    let guest = try started()
    guest.scripted.report(.isoIn, [1])
    guest.scripted.report(.isoIn, [2])
    guest.scripted.stall(.isoIn)
    guest.scripted.report(.isoIn, [3])
    #expect(
      guest.exchange(guest.startIso(1)) == [
        "iso_status 83 #1 success", "iso 83 #0 success 1 01", "iso 83 #1 success 1 02",
        "iso 83 #0 success 1 03",
        "iso 83 #1 success 0",
      ])
    #expect(guest.scripted.record.contains("perform clear-halt 83"))
  }

  @Test("B6.2: a halt that cannot be cleared ends it with stall; it can be started again")
  func stallForGood() throws {
    let guest = try started()
    guest.scripted.stall(.isoIn)
    guest.scripted.fail(.clearHalt)
    #expect(guest.exchange(guest.startIso(1)) == ["iso_status 83 #1 success", "iso_status 83 #0 stall"])
    guest.exchange(guest.clearHalt(2, 0x83))
    guest.scripted.report(.isoIn, [1])
    #expect(
      guest.exchange(guest.startIso(3)) == [
        "iso_status 83 #3 success", "iso 83 #0 success 1 01", "iso 83 #1 success 0",
      ])
  }

  @Test("a transfer that fails as a whole is as many failed packets: the guest's clock runs on")
  func failedTransfer() throws {
    let (guest, device) = try manual()
    guest.exchange(guest.startIso(1))
    device.complete(0, .failed)
    device.complete(0, packets: [(.completed, [1]), (.completed, [2])])
    guest.settle()
    #expect(
      guest.take() == [
        "iso 83 #0 ioerror 0", "iso 83 #1 ioerror 0", "iso 83 #2 success 1 01", "iso 83 #3 success 1 02",
      ])
    guest.end(device)
  }

  @Test("B6.4: while the guest does not read, what is older than the stream's buffer is dropped and counted")
  func drop() throws {
    let guest = try started(sendBuffer: 4096)
    guest.exchange(guest.startIso(1, packets: 4, urbs: 2))
    guest.reads = false
    let rounds = 400
    for round in 0..<rounds * 4 {
      guest.scripted.report(.isoIn, [UInt8](repeating: UInt8(round & 0xff), count: 64))
    }
    var left = 10_000
    while guest.scripted.pending(.isoIn) > 0 && left > 0 {
      guest.turn()
      left -= 1
    }
    let dropped = guest.session?.counters.droppedIsoPackets ?? 0
    #expect(dropped > 0)
    guest.reads = true
    guest.settle()
    let ids = guest.take().compactMap { line in line.hasPrefix("iso 83") ? number(line) : nil }
    #expect(UInt64(ids.count) + dropped == UInt64(rounds * 4), "each packet arrived or was counted")
    #expect(ids == ids.sorted(), "in order, with gaps where some were dropped")
    #expect(guest.session?.counters.pauses == 0)
    guest.scripted.report(.isoIn, [9])
    guest.settle()
    #expect(guest.take().first == "iso 83 #\(rounds * 4) success 1 09", "the gap shows in the ids")
    #expect(guest.log.filter { $0.contains("dropping packets of 0x83") }.count == 1)
  }

  @Test("B6.4: interrupt reports wait meanwhile, and none is lost")
  func interruptBesideIso() throws {
    let guest = try started(sendBuffer: 4096)
    guest.exchange(guest.startIso(1, packets: 1, urbs: 1), guest.start(2))
    guest.reads = false
    for number in 0..<3000 {
      guest.scripted.report(.isoIn, [UInt8](repeating: 1, count: 64))
      guest.scripted.report(.interruptIn, [UInt8(number >> 8), UInt8(number & 0xff)])
    }
    for _ in 0..<6000 { guest.turn() }
    #expect(guest.session?.counters.droppedIsoPackets ?? 0 > 0)
    #expect(guest.scripted.pending(.interruptIn) > 0, "the device holds what the guest does not take")
    guest.reads = true
    guest.settle()
    let reports = guest.take().filter { $0.hasPrefix("interrupt 81") }
    #expect(reports.count == 3000)
    #expect(reports.last == "interrupt 81 #2999 success 2 0bb7")
  }

  private func number(_ line: String) -> Int? {
    line.split(separator: " ").dropFirst(2).first.flatMap { Int($0.dropFirst()) }
  }

  // MARK: OUT

  @Test("B6.3: starts when half of the buffer is filled, then transfer by transfer")
  func out() throws {
    let guest = try started()
    guest.scripted.hold(.isoOut)
    guest.exchange(guest.startIso(1, on: 0x03, packets: 2, urbs: 4))
    guest.exchange(guest.isoOut(1, [1]), guest.isoOut(2, [2, 3]), guest.isoOut(3, []))
    #expect(guest.scripted.record == [])
    #expect(guest.exchange(guest.isoOut(4, [4])) == [])
    #expect(guest.scripted.record == ["submit 03/1/2 010203", "submit 03/0/1 04"])
    guest.exchange(guest.isoOut(5, [5]), guest.isoOut(6, [6]))
    #expect(guest.scripted.record.last == "submit 03/1/1 0506")
    #expect(guest.session?.counters.badPackets == 0)
  }

  @Test("B6.3: an error is a status, and the stream goes on")
  func outError() throws {
    let guest = try started()
    guest.exchange(guest.startIso(1, on: 0x03, packets: 1, urbs: 2))
    guest.scripted.fail(.isoOut, .failed)
    #expect(guest.exchange(guest.isoOut(1, [1])) == ["iso_status 03 #0 ioerror"])
    #expect(guest.exchange(guest.isoOut(2, [2])) == [])
    #expect(guest.scripted.record == ["submit 03/1 01", "submit 03/1 02"])
    #expect(guest.session?.counters.underruns == 2)
  }

  @Test("B6.3: overrun drops and counts; a packet longer than the endpoint's is bad")
  func outOverrun() throws {
    let guest = try started()
    guest.scripted.hold(.isoOut)
    guest.exchange(guest.startIso(1, on: 0x03, packets: 1, urbs: 2))
    guest.exchange(guest.isoOut(1, [1]), guest.isoOut(2, [2]), guest.isoOut(3, [3]), guest.isoOut(4, [4]))
    #expect(guest.session?.counters.droppedIsoPackets == 2)
    guest.scripted.release(.isoOut)
    guest.settle()
    guest.exchange(guest.isoOut(5, [UInt8](repeating: 0, count: 65)))
    #expect(guest.session?.counters.badPackets == 1)
    guest.exchange(guest.isoOut(6, [UInt8](repeating: 7, count: 64)))
    #expect(guest.scripted.record.last?.hasPrefix("submit 03/64 0707") == true)
  }

  @Test("a packet for a stream that is not started is late")
  func outNotStarted() throws {
    let guest = try started()
    guest.exchange(guest.isoOut(1, [1]))
    guest.exchange(guest.startIso(2, on: 0x03), guest.stopIso(3, on: 0x03), guest.isoOut(4, [1]))
    #expect(guest.session?.counters.latePackets == 2)
    #expect(guest.scripted.record == [])
  }

  // MARK: operations and the end

  @Test("B3.5: a stream whose endpoint is not there any more after a reset is ended")
  func resetEnds() throws {
    let guest = try started()
    guest.exchange(guest.startIso(1))
    #expect(guest.exchange(guest.reset()) == ["ep_info", "interface_info", "iso_status 83 #0 stall"])
  }

  @Test("B3.5: a stream goes on from id 0 after a reset that keeps its endpoint")
  func resetGoesOn() throws {
    var description = DeviceDescription.scripted
    description.configurations[0].interfaces[1].settings.removeFirst()
    description.configurations[0].interfaces[1].settings[0].setting.number = 0
    let loop = try EventLoop()
    let guest = try GuestHarness(ScriptedDevice(description, loop: loop), loop: loop)
    guest.scripted.report(.isoIn, [1])
    guest.exchange(
      guest.startIso(1, packets: 1), guest.startIso(2, on: 0x03, packets: 1, urbs: 2), guest.isoOut(3, [1]))
    #expect(guest.exchange(guest.reset()) == [])
    guest.scripted.report(.isoIn, [2])
    #expect(guest.exchange(guest.isoOut(4, [5])) == ["iso 83 #0 success 1 02"])
    #expect(guest.scripted.record.last == "submit 83/64 64")
    #expect(guest.scripted.record.contains("submit 03/1 05"))
  }

  @Test("B3.4: another setting of the interface ends the streams silently")
  func alternateSetting() throws {
    let guest = try started()
    guest.exchange(guest.startIso(1), guest.startIso(2, on: 0x03))
    let answer = guest.exchange(guest.setAlt(3, 1, 0))
    #expect(answer == ["ep_info", "interface_info", "alt_setting #3 success 1 0"])
    #expect(guest.exchange(guest.startIso(4)) == ["iso_status 83 #4 stall"])
    #expect(guest.exchange(guest.stopIso(5)) == ["iso_status 83 #5 success"])
  }

  @Test("B2.6: unplug ends the streams silently")
  func unplug() throws {
    let guest = try started()
    guest.scripted.hold(.isoOut)
    guest.exchange(
      guest.startIso(1), guest.startIso(2, on: 0x03, packets: 1, urbs: 2), guest.isoOut(3, [1]),
      guest.isoOut(4, [2]))
    guest.scripted.unplug()
    guest.settle()
    #expect(guest.take() == ["device_disconnect"])
    #expect(guest.exchange(guest.isoOut(5, [1])) == [])
  }

  @Test("B2.8: the guest leaves with streams running: everything comes back")
  func leave() throws {
    let guest = try started()
    guest.scripted.hold(.isoOut)
    guest.exchange(
      guest.startIso(1, packets: 32, urbs: 16), guest.startIso(2, on: 0x03, packets: 1, urbs: 2),
      guest.isoOut(3, [1]), guest.isoOut(4, [2]))
    guest.leave()
    guest.settle()
    #expect(guest.ends.count == 1)
    #expect(guest.scripted.record.last == "close")
  }
}
