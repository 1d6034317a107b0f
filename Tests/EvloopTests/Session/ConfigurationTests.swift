// Configuration, alternate settings and reset as packets (B3.3–B3.6), bulk streams (B5.3).
import Testing

@testable import usbredir_evloop

struct ConfigurationTests {
  private let infos = ["ep_info", "interface_info"]

  @Test("B3.3: another configuration: everything ends, then infos, then the status")
  func otherConfiguration() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1), guest.bulkIn(2))
    guest.scripted.record = []
    #expect(
      guest.exchange(guest.setConfiguration(3, 2)) == ["bulk 82 #2 cancelled 0"] + infos + [
        "configuration #3 success 2"
      ])
    #expect(guest.scripted.record.last == "perform set-configuration 2")
    #expect(guest.exchange(guest.encode(.getConfiguration, id: 4)) == ["configuration #4 success 2"])
    #expect(guest.exchange(guest.bulkIn(5)) == ["bulk 82 #5 inval 0"], "that endpoint is not there any more")
    guest.scripted.report(.interruptIn, [1])
    guest.settle()
    #expect(guest.take() == [], "the stream is not running")
    #expect(
      guest.exchange(guest.start(6)) == ["interrupt_status 81 #6 success", "interrupt 81 #0 success 1 01"])
  }

  @Test("B3.3: the current configuration again: success, and only settings that are not 0 go back")
  func sameConfiguration() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1), guest.bulkIn(2))
    #expect(guest.exchange(guest.setConfiguration(3, 1)) == ["configuration #3 success 1"])
    guest.exchange(guest.setAlt(4, 1, 1))
    guest.scripted.record = []
    #expect(guest.exchange(guest.setConfiguration(5, 1)) == infos + ["configuration #5 success 1"])
    #expect(guest.scripted.record == ["perform set-alternate-setting 1 0"])
    #expect(guest.exchange(guest.getAlt(6, 1)) == ["alt_setting #6 success 1 0"])
    guest.scripted.report(.interruptIn, [1])
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #0 success 1 01"], "interface 0 has not noticed")
  }

  @Test(
    "B3.3: a failure is ioerror with the configuration in force",
    arguments: [DeviceCallResult.failed, .stalled])
  func configurationFails(result: DeviceCallResult) throws {
    let guest = try GuestHarness()
    guest.scripted.fail(.setConfiguration, result)
    #expect(guest.exchange(guest.setConfiguration(1, 2)) == infos + ["configuration #1 ioerror 1"])
    #expect(guest.exchange(guest.bulkOut(2, [1])) == ["bulk 02 #2 success 1"])
  }

  @Test("B2.5: configuration 0 leaves the device unconfigured")
  func unconfigure() throws {
    let guest = try GuestHarness()
    #expect(guest.exchange(guest.setConfiguration(1, 0)) == infos + ["configuration #1 success 0"])
    #expect(guest.exchange(guest.bulkOut(2, [1])) == ["bulk 02 #2 inval 0"])
    #expect(guest.exchange(guest.setConfiguration(3, 1)) == infos + ["configuration #3 success 1"])
  }

  @Test("B3.4: settings are looked up by number, gaps included")
  func alternateSettings() throws {
    let loop = try EventLoop()
    let guest = try GuestHarness(ScriptedDevice(.withGaps, loop: loop), loop: loop)
    #expect(guest.exchange(guest.setAlt(1, 4, 7)) == infos + ["alt_setting #1 success 4 7"])
    #expect(guest.exchange(guest.getAlt(2, 4)) == ["alt_setting #2 success 4 7"])
    #expect(guest.exchange(guest.setAlt(3, 4, 1)) == ["alt_setting #3 inval 4 7"])
    #expect(guest.exchange(guest.setAlt(4, 0, 0)) == ["alt_setting #4 inval 0 0"])
    #expect(guest.scripted.record == ["perform set-alternate-setting 4 7"])
    #expect(guest.session?.counters.badPackets == 2)
  }

  @Test("B3.4: only the endpoints of that interface end")
  func othersGoOn() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1), guest.bulkIn(2))
    #expect(
      guest.exchange(guest.setAlt(3, 1, 1)) == ["bulk 82 #2 cancelled 0"] + infos + [
        "alt_setting #3 success 1 1"
      ])
    guest.scripted.report(.interruptIn, [1])
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #0 success 1 01"])
    #expect(guest.exchange(guest.setAlt(4, 0, 1)) == infos + ["alt_setting #4 success 0 1"])
    guest.scripted.report(.interruptIn, [2])
    guest.settle()
    #expect(guest.take() == [], "this one has ended")
    guest.exchange(guest.start(5))
    #expect(
      guest.scripted.record.suffix(4) == ["submit 81 64", "submit 81 64", "submit 81 64", "submit 81 64"])
  }

  @Test func alternateSettingFails() throws {
    let guest = try GuestHarness()
    guest.scripted.fail(.setAlternateSetting, .failed)
    #expect(guest.exchange(guest.setAlt(1, 1, 1)) == infos + ["alt_setting #1 ioerror 1 0"])
  }

  @Test("B3.5: a reset cancels and reaps everything, then streams start from id 0 without notice")
  func resetRestartsStreams() throws {
    let guest = try GuestHarness()
    guest.scripted.report(.interruptIn, [1])
    guest.exchange(guest.start(1), guest.bulkIn(2), guest.startBulk(3, on: 0x82))
    guest.scripted.record = []
    #expect(guest.exchange(guest.reset()) == ["bulk 82 #2 cancelled 0"])
    #expect(
      guest.scripted.record.filter { !$0.hasPrefix("cancel") } == [
        "perform cancel " + guest.everySlot, "perform reset", "submit 81 8", "submit 81 8", "submit 81 8",
        "submit 81 8",
        "submit 82 64", "submit 82 64",
      ])
    guest.scripted.report(.interruptIn, [2])
    guest.scripted.report(.bulkIn, [3])
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #0 success 1 02", "buffered_bulk 82 #0 success 1 03"])
  }

  @Test("B3.5: a reset when nothing was done since the last one is skipped")
  func resetSkipped() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.reset(), guest.reset())
    #expect(guest.scripted.record == ["perform reset"])
    let uses: [(GuestHarness) -> [UInt8]] = [
      { $0.controlIn(1, 6, length: 8) }, { $0.bulkOut(1, [1]) }, { $0.start(1) },
      { $0.setConfiguration(1, 2) },
      { $0.setAlt(1, 0, 0) }, { $0.clearHalt(1, 0x81) },
    ]
    for use in uses {
      guest.exchange(use(guest))
      guest.scripted.record = []
      guest.exchange(guest.reset(), guest.reset())
      #expect(guest.scripted.record.filter { $0 == "perform reset" }.count == 1)
    }
  }

  @Test("B3.5: alternate settings are 0 after a reset, and infos tell")
  func resetTellsSettings() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.setAlt(1, 0, 1), guest.start(2))
    #expect(guest.exchange(guest.reset()) == infos)
    #expect(guest.exchange(guest.getAlt(3, 0)) == ["alt_setting #3 success 0 0"])
    #expect(
      guest.scripted.record.last == "submit 81 8", "the stream goes on with the packet size of setting 0")
    guest.exchange(guest.bulkOut(4, [1]))
    #expect(guest.exchange(guest.reset()) == [])
  }

  @Test("B3.5: infos also when only the interface's class differs by setting")
  func resetTellsClasses() throws {
    let loop = try EventLoop()
    let guest = try GuestHarness(ScriptedDevice(.withGaps, loop: loop), loop: loop)
    guest.exchange(guest.setAlt(1, 4, 9))
    #expect(guest.exchange(guest.reset()) == infos)
  }

  @Test("B3.5: a stream that cannot go on after a reset is ended, packet first")
  func resetEndsStreams() throws {
    let loop = try EventLoop()
    let guest = try GuestHarness(ScriptedDevice(.withGaps, loop: loop), loop: loop)
    guest.exchange(guest.setAlt(1, 4, 7), guest.start(2, on: 0x83))
    #expect(
      guest.exchange(guest.reset()) == infos + ["interrupt 83 #0 stall 0", "interrupt_status 83 #0 stall"])
    guest.leave()
    guest.settle()
    #expect(guest.ends.count == 1)
  }

  @Test("B3.5: a reset that fails is logged, and everything goes on")
  func resetFails() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1))
    guest.scripted.fail(.reset, .failed)
    #expect(guest.exchange(guest.reset()) == [])
    #expect(guest.log.contains { $0.contains("the reset failed") })
    guest.scripted.report(.interruptIn, [1])
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #0 success 1 01"])
  }

  @Test("a guest writes at most 100 warnings into the log, of whatever kind, and one that they end")
  func warningsAreBounded() throws {
    let guest = try GuestHarness()
    for number in 0..<60 {
      guest.scripted.fail(.setConfiguration, .failed)
      guest.exchange(guest.setConfiguration(UInt64(number), 2))
      guest.scripted.fail(.reset, .failed)
      guest.exchange(guest.start(1), guest.reset())
    }
    for _ in 0..<9 { guest.scripted.stall(.interruptIn) }
    guest.exchange(guest.start(1), rawPacket(77, [], .all))
    #expect(guest.session?.counters.badPackets == 1)
    let ends = ["the configuration could not be set", "the reset failed; going on without"]
    let warnings = guest.log.filter { line in
      (ends + ["left out", " ended: ", ": bad "]).contains { line.contains($0) }
    }
    #expect(warnings.count == 101)
    #expect(warnings.last == "test: further warnings of this session are left out")
    for end in ends { #expect(warnings.filter { $0.hasSuffix(end) }.count == 50) }
  }

  @Test("B3.6: packets behind an operation wait in order, cancel too; the loop goes on")
  func packetsWait() throws {
    let guest = try GuestHarness()
    guest.scripted.hold(.bulkOut)
    guest.scripted.holdCalls()
    guest.exchange(
      guest.setAlt(1, 0, 1), guest.bulkOut(2, [1]), guest.encode(.getConfiguration, id: 3),
      guest.cancel(2), guest.bulkOut(4, [2]))
    #expect(guest.scripted.record == ["perform set-alternate-setting 0 1"])
    guest.exchange(guest.bulkOut(5, [3]))
    #expect(guest.take() == [])
    guest.scripted.releaseCalls()
    guest.settle()
    #expect(
      guest.take() == infos + [
        "alt_setting #1 success 0 1", "configuration #3 success 1", "bulk 02 #2 cancelled 0",
      ])
    guest.scripted.release(.bulkOut)
    guest.settle()
    #expect(guest.take() == ["bulk 02 #4 success 1", "bulk 02 #5 success 1"])
  }

  @Test("B3.6: another session goes on while one waits for its device")
  func othersGoOnMeanwhile() throws {
    let loop = try EventLoop()
    let slow = try GuestHarness(loop: loop)
    let other = try GuestHarness(loop: loop)
    slow.scripted.holdCalls()
    slow.exchange(slow.reset())
    #expect(other.exchange(other.bulkOut(1, [1])) == ["bulk 02 #1 success 1"])
    slow.scripted.releaseCalls()
    slow.settle()
    #expect(slow.exchange(slow.bulkOut(1, [1])) == ["bulk 02 #1 success 1"])
  }

  @Test("B5.3: bulk streams are allocated and freed, on bulk endpoints alone")
  func bulkStreams() throws {
    let guest = try GuestHarness()
    guest.scripted.hasStreams = true
    func alloc(_ id: UInt64, _ slots: UInt32, _ count: UInt32) -> [UInt8] {
      guest.encode(AllocBulkStreamsHeader(endpoints: slots, streams: count), id: id)
    }
    func free(_ id: UInt64, _ slots: UInt32) -> [UInt8] {
      guest.encode(FreeBulkStreamsHeader(endpoints: slots), id: id)
    }
    let bulk: UInt32 = 1 << 2 | 1 << 18
    guest.exchange(guest.start(1))
    guest.scripted.record = []
    #expect(guest.exchange(free(2, bulk)) == ["bulk_streams #2 success 0 of 40004"])
    #expect(guest.scripted.record == [], "nothing to free")
    #expect(guest.exchange(alloc(3, bulk, 4)) == ["bulk_streams #3 success 4 of 40004"])
    #expect(guest.exchange(free(4, 1 << 18)) == ["bulk_streams #4 success 0 of 40000"])
    #expect(guest.exchange(free(5, bulk)) == ["bulk_streams #5 success 0 of 40004"])
    #expect(
      guest.scripted.record == [
        "perform alloc-streams 4 02 82", "perform free-streams 82", "perform free-streams 02",
      ])
    #expect(
      guest.exchange(alloc(6, 1 << 17, 1)) == ["bulk_streams #6 inval 1 of 20000"], "an interrupt endpoint")
    #expect(guest.exchange(alloc(7, 1, 1)) == ["bulk_streams #7 inval 1 of 1"], "endpoint 0")
    #expect(guest.exchange(alloc(8, bulk, 0)) == ["bulk_streams #8 inval 0 of 40004"])
    guest.scripted.hasStreams = false
    #expect(guest.exchange(alloc(9, bulk, 4)) == ["bulk_streams #9 ioerror 4 of 40004"])
    guest.scripted.report(.interruptIn, [1])
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #0 success 1 01"], "others have not noticed")
  }

  @Test("B5.3: a reset and a new setting free the streams, so that freeing them then is success")
  func streamsFreedByReset() throws {
    let guest = try GuestHarness()
    guest.scripted.hasStreams = true
    for change in [guest.reset(), guest.setAlt(2, 1, 0)] {
      guest.exchange(guest.encode(AllocBulkStreamsHeader(endpoints: 4, streams: 2), id: 1), change)
      guest.scripted.record = []
      let answer = guest.exchange(guest.encode(FreeBulkStreamsHeader(endpoints: 4), id: 3))
      #expect(answer == ["bulk_streams #3 success 0 of 4"])
      #expect(guest.scripted.record == [])
    }
  }

  @Test("B5.2: receiving needs a stream that was allocated, and ends when it is freed")
  func receivingOnStreams() throws {
    let guest = try GuestHarness()
    guest.scripted.hasStreams = true
    let ended = ["buffered_bulk 82 #0 success 0", "bulk_status 82 #0 stall"]
    let slots: UInt32 = 1 << 18
    #expect(guest.exchange(guest.startBulk(1, stream: 1)) == ended)
    guest.exchange(guest.encode(AllocBulkStreamsHeader(endpoints: slots, streams: 2), id: 2))
    #expect(guest.exchange(guest.startBulk(3)) == ended)
    #expect(guest.exchange(guest.startBulk(4, stream: 3)) == ended)
    #expect(guest.exchange(guest.startBulk(5, stream: 2)) == ["bulk_status 82 #5 success"])
    #expect(
      guest.exchange(guest.encode(FreeBulkStreamsHeader(endpoints: slots), id: 6))
        == ended + ["bulk_streams #6 success 0 of 40000"])
  }

  @Test("B6.1: an iso stream that cannot start is answered stall, a stop success")
  func isoStreams() throws {
    let guest = try GuestHarness()
    let start = guest.encode(StartIsoStreamHeader(endpoint: 0x81, packetsPerURB: 8, urbs: 2), id: 1)
    #expect(guest.exchange(start) == ["iso_status 81 #1 stall"])
    #expect(
      guest.exchange(guest.encode(StopIsoStreamHeader(endpoint: 0x83), id: 2)) == ["iso_status 83 #2 success"]
    )
  }
}

extension DeviceDescription {
  /// One interface, number 4, with settings 0, 7 and 9: interrupt IN 83 in setting 7 alone, another class in
  /// 9.
  fileprivate static let withGaps = DeviceDescription(
    vendor: 0x1209, product: 0x0003, manufacturerName: "usbredir-evloop", productName: "Gaps",
    serialNumber: "1",
    configurations: [
      ConfigurationDescription(
        value: 1,
        interfaces: [
          InterfaceDescription(
            number: 4,
            settings: [
              setting(0, []), setting(9, [], classCode: 0xfe),
              setting(
                7,
                [
                  EndpointModel(
                    address: EndpointAddress(rawValue: 0x83), type: .interrupt, rawMaxPacketSize: 8,
                    interval: 1)
                ]),
            ])
        ])
    ])

  private static func setting(
    _ number: UInt8, _ endpoints: [EndpointModel], classCode: UInt8 = 0xff
  ) -> SettingDescription {
    SettingDescription(
      setting: AlternateSetting(
        number: number, classCode: classCode, subclass: 0, protocol: 0, endpoints: endpoints))
  }
}
