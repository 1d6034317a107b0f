// Hellos, announcements and bad input: what a session makes of guests as they come (B1, B2.1–B2.5).
import Testing

@testable import usbredir_evloop

struct HelloTests {
  private let announcement = ["ep_info", "interface_info", "device_connect"]

  @Test("B1.2, B1.5: our hello goes out at once and nothing else; a silent guest is kept")
  func silentGuest() throws {
    let guest = try GuestHarness(greets: false)
    guest.settle()
    #expect(guest.take() == ["hello"])
    #expect(guest.session?.isGreeted == false)
    #expect(guest.wants == 0)
    #expect(guest.ends == [])
  }

  @Test("B1.2, B1.3: our hello byte for byte")
  func helloBytes() throws {
    let loop = try EventLoop()
    let (ours, peer) = try unixPair()
    let owner = SilentOwner()
    let session = try Session(
      loop, descriptor: ours, name: "test", limits: SessionLimits(), transport: TransportOptions(),
      log: Log(level: .error), owner: owner)
    loop.flushes.run()
    let bytes = readAvailable(peer)
    #expect(bytes.count == 12 + 64 + 4)
    #expect(Array(bytes[0..<12]) == [0, 0, 0, 0, 68, 0, 0, 0, 0, 0, 0, 0])
    #expect(Array(bytes[12..<28]) == Array("usbredir-evloop ".utf8))
    #expect(bytes[75] == 0, "the version ends with a NUL")
    #expect(Array(bytes[76..<80]) == [0xff, 0, 0, 0])
    session.close(.guestLeft)
    loop.reaps.run()
  }

  @Test("B2.1: ep_info, interface_info, device_connect")
  func announcementOrder() throws {
    let guest = try GuestHarness(greets: false)
    guest.settle()
    #expect(guest.exchange(hello(.all)) == ["hello"] + announcement)
    #expect(guest.wants == 1)
  }

  @Test("B1.4, B2.3, B2.4: sizes and ids of the announcement by capability")
  func announcementBytes() throws {
    let rows: [(Capabilities, [Int])] = [
      (.all, [16, 288, 132, 10]), ([], [12, 96, 132, 8]), ([.endpointInfoMaxPacketSize], [12, 160, 132, 8]),
      ([.bulkStreams], [12, 96, 132, 8]), ([.connectDeviceVersion, .ids64], [16, 96, 132, 10]),
    ]
    for (capabilities, sizes) in rows {
      let guest = try GuestHarness(capabilities: capabilities, greets: false)
      guest.settle()
      guest.reads = false
      guest.send(hello(capabilities))
      guest.settle()
      let bytes = guest.readRaw()
      #expect(bytes.count == 3 * sizes[0] + sizes[1] + sizes[2] + sizes[3])
      let connect = Array(bytes.suffix(sizes[0] + sizes[3]))
      #expect(Array(connect[0..<8]) == [1, 0, 0, 0, UInt8(sizes[3]), 0, 0, 0])
      let body = Array(connect.suffix(sizes[3]))
      #expect(Array(body[0..<8]) == [1, 0, 0, 0, 0x09, 0x12, 0x02, 0x00], "full speed, class 0, 1209:0002")
    }
  }

  @Test("B1.1: ids are 64 bits wide from the packet behind the hello on, in the middle of a read")
  func idsSwitchMidRead() throws {
    let guest = try GuestHarness(greets: false)
    let big: UInt64 = 0x1_0000_0007
    let request = packet(
      ControlPacketHeader(
        endpoint: 0x80, request: StandardRequest.getConfiguration, requestType: 0x80, status: .success,
        value: 0,
        index: 0, length: 1), id: big, .all)
    #expect(guest.exchange(hello(.all) + request).suffix(1) == ["control #\(big) success 1 01"])
  }

  @Test("B1.1: one byte at a time is the same")
  func byteByByte() throws {
    let guest = try GuestHarness(greets: false)
    for byte in hello(.all) + packet(.getConfiguration, id: 9, .all) { guest.send([byte]); guest.turn() }
    guest.settle()
    #expect(guest.take() == ["hello"] + announcement + ["configuration #9 success 1"])
  }

  @Test("B1.2: a hello of 64 bytes without capability words is legal, as is one without a NUL")
  func shortestHello() throws {
    let guest = try GuestHarness(capabilities: [], greets: false)
    let bare = rawPacket(0, [UInt8](repeating: 0x41, count: 64), [])
    #expect(guest.exchange(bare) == ["hello"] + announcement)
    #expect(guest.capabilities == [])
  }

  @Test("B1.2: capability words beyond the first are ignored")
  func moreWords() throws {
    let guest = try GuestHarness(greets: false)
    let long = rawPacket(0, [UInt8](repeating: 0, count: 64) + [0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff], [])
    #expect(guest.exchange(long) == ["hello"] + announcement)
  }

  @Test("B1.5, B1.7: what cannot be trusted closes, the device is untouched")
  func closes() throws {
    let rows: [(String, [UInt8])] = [
      ("first packet", packet(.reset, [])),
      ("garbage", [UInt8](repeating: 0x47, count: 40)),
      ("HTTP", Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)),
      ("second hello", hello(.all) + rawPacket(0, [UInt8](repeating: 0, count: 68), .all)),
      ("huge length", hello(.all) + rawPacket(100, length: 128 << 20 + 1025, [], .all)),
      ("hello too long", rawPacket(0, length: 1 << 20, [UInt8](repeating: 0, count: 64), [])),
      ("hello too short", rawPacket(0, [1, 2, 3], [])),
    ]
    for (what, bytes) in rows {
      let guest = try GuestHarness(greets: false)
      guest.send(bytes)
      guest.settle()
      #expect(guest.ends.count == 1 && guest.ends[0].hasPrefix("protocol error"), "\(what)")
      #expect(guest.session == nil)
      #expect(guest.scripted.record.allSatisfy { $0 == "close" })
    }
  }

  @Test("B1.7: an unknown type and packets of the wrong direction cost that packet alone")
  func badPacketsGoOn() throws {
    let guest = try GuestHarness()
    let bad: [[UInt8]] = [
      rawPacket(77, [1, 2, 3], .all), rawPacket(0xffff_ffff, [UInt8](repeating: 0, count: 100_000), .all),
      packet(DeviceConnectHeader(DeviceModel()), .all), packet(.deviceDisconnect, .all),
      rawPacket(6, [], .all), rawPacket(6, [1, 2], .all), guest.start(5, on: 0x01), guest.stop(6, on: 0x01),
    ]
    #expect(guest.exchange(bad.flatMap { $0 }) == [])
    #expect(guest.session?.counters.badPackets == bad.count)
    #expect(guest.exchange(guest.encode(.getConfiguration, id: 3)) == ["configuration #3 success 1"])
    #expect(guest.log.filter { $0.hasPrefix("test: bad ") }.count == bad.count)
  }

  @Test("B1.4: a packet whose capability is not in force is refused")
  func notNegotiated() throws {
    let guest = try GuestHarness(capabilities: [])
    let bad = [
      packet(.filterReject, []), packet(.deviceDisconnectAck, []), guest.startBulk(1),
      packet(AllocBulkStreamsHeader(endpoints: 4, streams: 1), []),
    ]
    #expect(guest.exchange(bad.flatMap { $0 }) == [])
    #expect(guest.session?.counters.badPackets == bad.count)
  }

  @Test("B1.7: more than 100 bad packets close the connection, 100 do not")
  func tooManyBadPackets() throws {
    let guest = try GuestHarness()
    for _ in 0..<100 { guest.send(rawPacket(77, [], .all)) }
    guest.settle()
    #expect(guest.session != nil)
    guest.exchange(rawPacket(77, [], .all))
    #expect(guest.ends == ["too many bad packets"])
  }

  @Test("what a guest may bring about without limit is counted in 64 bits, also where Int has 32")
  func countersAreWide() {
    let counters = Counters()
    let unlimited: [any FixedWidthInteger] = [
      counters.latePackets, counters.reports, counters.streamErrors, counters.pauses, counters.requests,
    ]
    for counter in unlimited { #expect(counter is UInt64) }
  }

  @Test("B1.7: late packets have no limit")
  func latePackets() throws {
    let guest = try GuestHarness()
    guest.exchange((0..<300).flatMap { guest.cancel($0) })
    #expect(guest.session?.counters.latePackets == 300)
    #expect(guest.session?.counters.badPackets == 0)
  }

  @Test("B1.4: the bulk header has 8 or 10 bytes by capability")
  func bulkHeader() throws {
    for (capabilities, size) in [(Capabilities.all, 10), (Capabilities.all.subtracting(.bulkLength32), 8)] {
      let guest = try GuestHarness(capabilities: capabilities)
      guest.reads = false
      guest.send(guest.bulkOut(4, [1, 2, 3]))
      guest.settle()
      let bytes = guest.readRaw()
      #expect(bytes.count == 16 + size)
      #expect(bytes[4] == UInt8(size))
      #expect(guest.scripted.record == ["submit 02 010203"])
    }
  }

  @Test("a guest with 32-bit ids gets 32-bit answers")
  func ids32() throws {
    let guest = try GuestHarness(capabilities: Capabilities.all.subtracting(.ids64))
    #expect(guest.exchange(guest.bulkOut(0xffff_ffff, [1])) == ["bulk 02 #4294967295 success 1"])
  }

  @Test(
    "B2.3: speeds", arguments: [(Speed.low, UInt8(0)), (.full, 1), (.high, 2), (.super, 3), (.unknown, 255)])
  func speeds(speed: Speed, told: UInt8) {
    #expect(DeviceConnectHeader(DeviceModel(speed: speed)).speed == told)
  }

  @Test("B2.5: an unconfigured device is announced, without interfaces")
  func unconfigured() throws {
    let guest = try GuestHarness(hasDevice: false)
    guest.scripted.perform(.setConfiguration(0))
    guest.settle()
    guest.hasDevice = true
    guest.session?.wantDevice()
    guest.settle()
    #expect(guest.take() == announcement)
    #expect(InterfaceInfoHeader(guest.device.model).count == 0)
    #expect(guest.exchange(guest.encode(.getConfiguration, id: 1)) == ["configuration #1 success 0"])
  }
}

/// An owner without a device.
private final class SilentOwner: SessionOwner {
  func sessionWantsDevice(_ session: Session) {}
  func sessionEnded(_ session: Session, _ reason: SessionEnd) {}
}
