// How devices come and go on one connection (B2.2, B2.6, B2.7), and what is late then.
import Testing

@testable import usbredir_evloop

struct UnplugTests {
  private let announcement = ["ep_info", "interface_info", "device_connect"]

  @Test(
    "B2.6: device_disconnect first, then ioerror per endpoint in the order of the requests",
    arguments: [true, false])
  func unplugOrder(inReverse: Bool) throws {
    let guest = try GuestHarness()
    guest.scripted.killsInReverse = inReverse
    guest.scripted.hold(.bulkOut)
    guest.scripted.hold(.interruptOut)
    guest.exchange(
      guest.start(1), guest.bulkOut(10, [1]), guest.bulkOut(11, [2]), guest.interruptOut(12, [3]),
      guest.bulkOut(13, [4]), guest.bulkIn(14), guest.bulkIn(15))
    guest.scripted.unplug()
    guest.settle()
    let words = guest.take()
    #expect(words.first == "device_disconnect")
    #expect(words.filter { $0.hasPrefix("bulk 02") } == [10, 11, 13].map { "bulk 02 #\($0) ioerror 0" })
    #expect(words.filter { $0.hasPrefix("bulk 82") } == [14, 15].map { "bulk 82 #\($0) ioerror 0" })
    #expect(
      words.filter { $0.hasPrefix("interrupt") } == ["interrupt 01 #12 ioerror 0"], "the stream ends silently"
    )
    #expect(words.count == 7)
    #expect(guest.scripted.record.filter { $0 == "close" }.count == 1)
    #expect(guest.session?.leaving.isEmpty == true)
  }

  @Test(
    "B2.6: transfers that come back before the device says that it is gone are no answers of an attached device"
  )
  func transfersTellFirst() throws {
    let loop = try EventLoop()
    let device = ManualDevice()
    device.model = DeviceDescription.scripted.model(configuration: 1)
    let guest = try GuestHarness(device, loop: loop)
    guest.exchange(guest.bulkOut(1, [1]), guest.bulkOut(2, [2]), guest.start(3))
    device.complete(1, .deviceGone)
    guest.settle()
    #expect(guest.take() == ["device_disconnect", "bulk 02 #1 ioerror 0", "bulk 02 #2 ioerror 0"])
    device.owner?.deviceGone()
    while !device.posted.isEmpty { device.complete(0, .deviceGone) }
    if !device.calls.isEmpty { device.finishCall(.deviceGone) }
    guest.settle()
    #expect(guest.take() == [])
    #expect(device.isClosing)
    device.finishClose()
  }

  @Test("B2.6: a stream's transfer that comes back first ends it silently, and the device with it")
  func streamTellsFirst() throws {
    let loop = try EventLoop()
    let device = ManualDevice()
    device.model = DeviceDescription.scripted.model(configuration: 1)
    let guest = try GuestHarness(device, loop: loop)
    guest.exchange(guest.start(1))
    while !device.posted.isEmpty { device.complete(0, .deviceGone) }
    guest.settle()
    #expect(guest.take() == ["device_disconnect"])
    #expect(device.isClosing)
    device.finishClose()
  }

  @Test("B2.6, B2.7: with disconnect_ack nothing is announced before the ack, then on the same connection")
  func replugWithAck() throws {
    let guest = try GuestHarness()
    guest.scripted.unplug()
    guest.settle()
    guest.replug()
    guest.settle()
    #expect(guest.take() == ["device_disconnect"])
    #expect(guest.exchange(guest.acknowledge()) == announcement)
    #expect(guest.exchange(guest.bulkOut(1, [1])) == ["bulk 02 #1 success 1"])
  }

  @Test("B2.7: without disconnect_ack it is announced at once")
  func replugWithoutAck() throws {
    let guest = try GuestHarness(capabilities: Capabilities.all.subtracting(.deviceDisconnectAck))
    guest.scripted.unplug()
    guest.settle()
    guest.replug()
    guest.settle()
    #expect(guest.take() == ["device_disconnect"] + announcement)
  }

  @Test("B2.6, B1.7: late packets are answered ioerror, never given to the next device")
  func latePackets() throws {
    let guest = try GuestHarness()
    guest.scripted.unplug()
    guest.settle()
    guest.replug()
    guest.settle()
    _ = guest.take()
    let record = guest.scripted.record
    let answers = guest.exchange(
      guest.bulkOut(1, [1]), guest.bulkIn(2), guest.interruptOut(3, [1]), guest.controlIn(4, 6, length: 8),
      guest.setConfiguration(5, 1), guest.encode(.getConfiguration, id: 6), guest.setAlt(7, 0, 1),
      guest.getAlt(8, 0),
      guest.start(9), guest.stop(10), guest.startBulk(11), guest.stopBulk(12), guest.reset(), guest.cancel(1),
      guest.encode(AllocBulkStreamsHeader(endpoints: 4, streams: 2), id: 13),
      guest.encode(StartIsoStreamHeader(endpoint: 0x83, packetsPerURB: 8, urbs: 2), id: 14))
    #expect(
      answers == [
        "bulk 02 #1 ioerror 0", "bulk 82 #2 ioerror 0", "interrupt 01 #3 ioerror 0", "control #4 ioerror 0",
        "configuration #5 ioerror 0", "configuration #6 ioerror 0", "alt_setting #7 ioerror 0 0",
        "alt_setting #8 ioerror 0 0", "interrupt 81 #0 stall 0", "interrupt_status 81 #0 stall",
        "interrupt_status 81 #10 success", "buffered_bulk 82 #0 success 0", "bulk_status 82 #0 stall",
        "bulk_status 82 #12 success", "bulk_streams #13 ioerror 2 of 4", "iso_status 83 #14 stall",
      ])
    #expect(guest.session?.counters.badPackets == 0)
    #expect(guest.session?.counters.latePackets == 16)
    #expect(guest.exchange(guest.acknowledge()) == announcement)
    #expect(guest.scripted.record == record)
  }

  @Test("an ack that nobody waits for is late")
  func strayAck() throws {
    let guest = try GuestHarness()
    #expect(guest.exchange(guest.acknowledge()) == [])
    #expect(guest.session?.counters.latePackets == 1)
    #expect(guest.wants == 1)
  }

  @Test("B2.2: filter_reject is answered with device_disconnect, and no other device comes")
  func filterReject() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1), guest.bulkIn(2))
    #expect(guest.exchange(guest.encode(.filterReject)) == ["device_disconnect", "bulk 82 #2 ioerror 0"])
    #expect(guest.exchange(guest.acknowledge()) == [])
    #expect(guest.wants == 1)
    #expect(guest.scripted.record.last == "close")
    #expect(guest.log.contains { $0.contains("the guest rejected") })
    #expect(guest.session != nil)
  }

  @Test("B2.2: a filter that we hold is applied to the next announcement, and the log names the rule")
  func filterDenies() throws {
    let guest = try GuestHarness()
    let rules = Array("-1,0x1209,-1,-1,0|-1,-1,-1,-1,1".utf8) + [0]
    guest.exchange(guest.encode(.filterFilter, rules))
    #expect(guest.session?.attached != nil, "the guest judges what it has heard of by itself")
    guest.scripted.unplug()
    guest.settle()
    guest.replug()
    #expect(guest.exchange(guest.acknowledge()) == ["device_disconnect"])
    #expect(guest.log.contains { $0.contains("the guest's filter denies it (rule 1") })
    #expect(guest.scripted.record.filter { $0 == "close" }.count == 2)
  }

  @Test("a filter that is none is a bad packet")
  func badFilter() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.encode(.filterFilter, Array("nonsense".utf8) + [0]))
    #expect(guest.session?.counters.badPackets == 1)
    #expect(guest.session?.filter == nil)
  }

  @Test("B2.6: an unplug during an operation: disconnect first, then how the operation ended")
  func unplugDuringOperation() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1), guest.bulkIn(2))
    guest.scripted.holdCalls()
    #expect(guest.exchange(guest.setAlt(3, 1, 1)) == ["bulk 82 #2 cancelled 0"])
    guest.scripted.unplug()
    guest.settle()
    #expect(guest.take() == ["device_disconnect", "alt_setting #3 ioerror 1 0"])
    #expect(guest.scripted.record.last == "close")
    #expect(guest.session?.leaving.isEmpty == true)
  }

  @Test("B3.5: a device that is another one after a reset is unplugged, then announced as a re-plug")
  func changedByReset() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1), guest.bulkIn(2))
    guest.scripted.fail(.reset, .changed)
    #expect(guest.exchange(guest.reset()) == ["bulk 82 #2 cancelled 0", "device_disconnect"])
    #expect(guest.scripted.record.last == "close")
    #expect(guest.exchange(guest.acknowledge()) == announcement)
  }

  @Test("a call that finds the device gone is an unplug")
  func callFindsItGone() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1))
    guest.scripted.fail(.setConfiguration, .deviceGone)
    #expect(
      guest.exchange(guest.setConfiguration(2, 2)) == ["device_disconnect", "configuration #2 ioerror 1"])
    #expect(guest.scripted.record.last == "close")
  }

  @Test("B4.5: the device goes while a stall is recovered from")
  func goneDuringStallRecovery() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1))
    guest.scripted.holdCalls()
    guest.scripted.stall(.interruptIn)
    guest.settle()
    #expect(guest.scripted.record.last == "perform clear-halt 81")
    guest.scripted.unplug()
    guest.settle()
    #expect(guest.take() == ["device_disconnect"])
    #expect(guest.scripted.record.last == "close")
  }
}
