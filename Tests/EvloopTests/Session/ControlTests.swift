// Control packets: what is sent, what is routed, and how it is answered (B3.1, B3.2).
import Testing

@testable import usbredir_evloop

struct ControlTests {
  @Test("B3.1: the answer is the same header with status, actual length and data for IN")
  func answers() throws {
    let guest = try GuestHarness()
    guest.scripted.answer(
      ControlRule(requestType: 0xc0, request: 7, value: nil, index: nil, answer: .data([1, 2, 3])))
    guest.scripted.answer(
      ControlRule(requestType: 0x41, request: 8, value: nil, index: nil, answer: .data([])))
    guest.scripted.answer(
      ControlRule(requestType: 0x41, request: 9, value: nil, index: nil, answer: .fails(.stalled)))
    #expect(guest.exchange(guest.controlIn(1, type: 0xc0, 7, length: 8)) == ["control #1 success 3 010203"])
    #expect(guest.exchange(guest.controlIn(2, type: 0xc0, 7, length: 2)) == ["control #2 success 2 0102"])
    #expect(
      guest.exchange(guest.controlOut(3, type: 0x41, 8, value: 1, index: 2, [5, 6])) == [
        "control #3 success 2"
      ])
    #expect(guest.exchange(guest.controlOut(4, type: 0x41, 9)) == ["control #4 stall 0"])
    #expect(
      guest.scripted.record == [
        "control c0 07 0000 0000 0008", "control c0 07 0000 0000 0002", "control 41 08 0001 0002 0002 0506",
        "control 41 09 0000 0000 0000",
      ])
  }

  @Test("B3.1: the header comes back as it went, byte for byte")
  func headerIsEchoed() throws {
    let guest = try GuestHarness()
    guest.scripted.answer(
      ControlRule(requestType: 0xc1, request: 7, value: nil, index: nil, answer: .data([9])))
    guest.reads = false
    guest.send(guest.controlIn(0x0102_0304_0506_0708, type: 0xc1, 7, value: 0x1234, index: 0x5678, length: 8))
    guest.settle()
    #expect(
      guest.readRaw() == [
        100, 0, 0, 0, 11, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 0x80, 7, 0xc1, 0, 0x34, 0x12, 0x78, 0x56, 1, 0, 9,
      ])
  }

  @Test(
    "B3.1: statuses of failed transfers",
    arguments: [
      (TransferStatus.stalled, "stall"), (.timedOut, "timeout"), (.overflow, "babble"), (.failed, "ioerror"),
      (.cancelled, "cancelled"), (.noMemory, "ioerror"), (.refused, "ioerror"),
    ])
  func statuses(status: TransferStatus, word: String) throws {
    let guest = try GuestHarness()
    guest.scripted.fail(.controlOut, status)
    #expect(guest.exchange(guest.controlIn(1, 6, length: 18)) == ["control #1 \(word) 0"])
  }

  @Test("B3.1: what the device keeps for 5 seconds ends, and the next one works")
  func keptByTheDevice() throws {
    let clock = ManualClock()
    let guest = try GuestHarness(loop: EventLoop(clock: clock))
    guest.scripted.hold(.controlOut)
    #expect(guest.exchange(guest.controlIn(1, 6, value: 0x100, length: 18)).isEmpty)
    clock.advance(milliseconds: 4999)
    guest.loop.timers.fireDue()
    guest.settle()
    #expect(guest.take().isEmpty)
    clock.advance(milliseconds: 2)
    guest.loop.timers.fireDue()
    guest.settle()
    #expect(guest.take() == ["control #1 timeout 0"])
    guest.scripted.release(.controlOut)
    #expect(guest.exchange(guest.controlIn(2, 0, length: 2)) == ["control #2 success 2 0000"])
  }

  @Test("B3.1: an IN request is cut to 4096 bytes, an OUT request over that is refused")
  func lengths() throws {
    let guest = try GuestHarness()
    let long = [UInt8](repeating: 7, count: 5000)
    guest.scripted.answer(
      ControlRule(requestType: 0xc0, request: 7, value: nil, index: nil, answer: .data(long)))
    let answer = guest.exchange(guest.controlIn(1, type: 0xc0, 7, length: 65535))
    #expect(answer.count == 1 && answer[0].hasPrefix("control #1 success 4096 07"))
    #expect(guest.scripted.record == ["control c0 07 0000 0000 1000"])
    guest.scripted.answer(
      ControlRule(requestType: 0x40, request: 7, value: nil, index: nil, answer: .data([])))
    #expect(
      guest.exchange(guest.controlOut(2, type: 0x40, 7, [UInt8](repeating: 1, count: 4096)))
        == ["control #2 success 4096"])
    #expect(
      guest.exchange(guest.controlOut(3, type: 0x40, 7, [UInt8](repeating: 1, count: 4097))) == [
        "control #3 inval 0"
      ])
    #expect(guest.scripted.record.count == 2)
    #expect(guest.session?.counters.badPackets == 1)
  }

  @Test("B3.1: endpoint and bmRequestType have to agree, and be endpoint 0")
  func wrongEndpoints() throws {
    let guest = try GuestHarness()
    func bytes(_ id: UInt64, endpoint: UInt8, type: UInt8) -> [UInt8] {
      guest.encode(
        ControlPacketHeader(
          endpoint: endpoint, request: 0, requestType: type, status: .success, value: 0, index: 0, length: 0),
        id: id)
    }
    let answers = guest.exchange(
      bytes(1, endpoint: 0x80, type: 0x00), bytes(2, endpoint: 0x00, type: 0x80),
      bytes(3, endpoint: 0x81, type: 0x80),
      bytes(4, endpoint: 0x01, type: 0x00))
    #expect(answers == (1...4).map { "control #\($0) inval 0" })
    #expect(guest.scripted.record == [])
  }

  @Test("B3.2: requests that change state here are routed, not sent")
  func routing() throws {
    let infos = ["ep_info", "interface_info"]
    let rows: [(String, (GuestHarness) -> [UInt8], [String], [String])] = [
      (
        "SET_ADDRESS", { $0.controlOut(1, type: 0, StandardRequest.setAddress, value: 5) }, [],
        ["control #1 success 0"]
      ),
      (
        "SET_CONFIGURATION", { $0.controlOut(1, type: 0, StandardRequest.setConfiguration, value: 2) },
        ["perform set-configuration 2"], infos + ["control #1 success 0"]
      ),
      (
        "SET_CONFIGURATION to the same",
        { $0.controlOut(1, type: 0, StandardRequest.setConfiguration, value: 1) },
        [], ["control #1 success 0"]
      ),
      (
        "SET_CONFIGURATION to none there",
        { $0.controlOut(1, type: 0, StandardRequest.setConfiguration, value: 9) },
        ["perform set-configuration 9"], infos + ["control #1 ioerror 0"]
      ),
      (
        "SET_CONFIGURATION over 255",
        { $0.controlOut(1, type: 0, StandardRequest.setConfiguration, value: 0x101) },
        [], ["control #1 stall 0"]
      ),
      (
        "SET_INTERFACE", { $0.controlOut(1, type: 1, StandardRequest.setInterface, value: 1, index: 0) },
        ["perform set-alternate-setting 0 1"], infos + ["control #1 success 0"]
      ),
      (
        "SET_INTERFACE to none there",
        { $0.controlOut(1, type: 1, StandardRequest.setInterface, value: 7, index: 0) },
        [], ["control #1 stall 0"]
      ),
      (
        "SET_INTERFACE over 255",
        { $0.controlOut(1, type: 1, StandardRequest.setInterface, value: 1, index: 0x100) },
        [], ["control #1 stall 0"]
      ),
      ("CLEAR_FEATURE halt", { $0.clearHalt(1, 0x82) }, ["perform clear-halt 82"], ["control #1 success 0"]),
      (
        "CLEAR_FEATURE halt of none there", { $0.clearHalt(1, 0x85) }, ["perform clear-halt 85"],
        ["control #1 ioerror 0"]
      ),
      ("CLEAR_FEATURE halt, reserved bits", { $0.clearHalt(1, 0x91) }, [], ["control #1 stall 0"]),
      ("CLEAR_FEATURE halt over 255", { $0.clearHalt(1, 0x181) }, [], ["control #1 stall 0"]),
      (
        "CLEAR_FEATURE halt of endpoint 0", { $0.clearHalt(1, 0x80) }, ["control 02 01 0000 0080 0000"],
        ["control #1 success 0"]
      ),
      (
        "SET_FEATURE halt", { $0.controlOut(1, type: 2, StandardRequest.setFeature, index: 0x82) },
        ["control 02 03 0000 0082 0000"], ["control #1 success 0"]
      ),
      (
        "SET_FEATURE remote wakeup", { $0.controlOut(1, type: 0, StandardRequest.setFeature, value: 1) },
        ["control 00 03 0001 0000 0000"], ["control #1 success 0"]
      ),
      (
        "class request 0x0b", { $0.controlOut(1, type: 0x21, StandardRequest.setInterface, value: 1) },
        ["control 21 0b 0001 0000 0000"], ["control #1 stall 0"]
      ),
    ]
    for (name, bytes, record, answer) in rows {
      let guest = try GuestHarness()
      #expect(guest.exchange(bytes(guest)) == answer, "\(name)")
      #expect(guest.scripted.record == record, "\(name)")
    }
  }

  @Test("B5.1: a routed request is answered in its turn")
  func routedInTurn() throws {
    let guest = try GuestHarness()
    guest.scripted.hold(.controlOut)
    #expect(guest.exchange(guest.controlIn(1, 6, value: 0x100, length: 2), guest.clearHalt(2, 0x82)) == [])
    guest.scripted.release(.controlOut)
    guest.settle()
    #expect(guest.take() == ["control #1 success 2 1201", "control #2 success 0"])
  }

  @Test(
    "B3.2: clear halt cancels and reaps what is posted there; a stream starts again from id 0 without notice")
  func clearHaltFirstReaps() throws {
    let guest = try GuestHarness()
    guest.scripted.report(.interruptIn, [1])
    #expect(
      guest.exchange(guest.start(1)) == ["interrupt_status 81 #1 success", "interrupt 81 #0 success 1 01"])
    guest.scripted.record = []
    #expect(guest.exchange(guest.clearHalt(2, 0x81)) == ["control #2 success 0"])
    #expect(
      guest.scripted.record == [String](repeating: "cancel 81", count: 4) + ["perform clear-halt 81"]
        + [String](repeating: "submit 81 8", count: 4))
    guest.scripted.report(.interruptIn, [2])
    guest.settle()
    #expect(guest.take() == ["interrupt 81 #0 success 1 02"])
    #expect(
      guest.exchange(guest.bulkIn(3), guest.bulkIn(4), guest.clearHalt(5, 0x82))
        == ["bulk 82 #3 cancelled 0", "bulk 82 #4 cancelled 0", "control #5 success 0"])
  }

  @Test("configuration and settings are answered from our state")
  func state() throws {
    let guest = try GuestHarness()
    #expect(guest.exchange(guest.encode(.getConfiguration, id: 1)) == ["configuration #1 success 1"])
    #expect(guest.exchange(guest.getAlt(2, 1)) == ["alt_setting #2 success 1 0"])
    #expect(guest.exchange(guest.getAlt(3, 9)) == ["alt_setting #3 inval 9 0"])
    #expect(guest.scripted.record == [])
  }
}
