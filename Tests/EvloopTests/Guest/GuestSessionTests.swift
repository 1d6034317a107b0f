// A guest's session against the real session of a usb-host, over a socket pair in one loop.
import Testing

@testable import usbredir_evloop

private let interruptIn = EndpointAddress(rawValue: 0x81)
private let interruptOut = EndpointAddress(rawValue: 0x01)

struct GuestSessionTests {
  private let loop: EventLoop
  private let device: ScriptedDevice
  private let host: ServedDevice
  private let guest: GuestRecord

  init() throws {
    loop = try EventLoop()
    device = ScriptedDevice(loop: loop)
    host = try ServedDevice(loop, device)
    guest = try GuestRecord(loop, host.guestDescriptor)
    let guest = guest
    #expect(loop.turns { guest.session?.device != nil })
    #expect(guest.take() == ["greeted \(productVersion)", "connected"])
  }

  /// Turns until the guest has noted `lines`, and nothing else.
  private func expect(_ lines: [String], sourceLocation: SourceLocation = #_sourceLocation) {
    _ = loop.turns { guest.lines.count >= lines.count }
    #expect(guest.take() == lines, sourceLocation: sourceLocation)
  }

  @Test func theDeviceIsWhatWasAnnounced() throws {
    let announced = try #require(guest.session?.device)
    #expect(announced.vendor == 0x1209)
    #expect(announced.product == 2)
    #expect(announced.release == 0x0100)
    #expect(announced.speed == .full)
    #expect(announced.interfaces.map { $0.number } == [0, 1])
    #expect(announced.endpoints.map { $0.address.rawValue } == [0x01, 0x81, 0x02, 0x82])
    #expect(announced[interruptIn]?.isInterruptIn == true)
    #expect(announced[interruptIn]?.maxPacketSize == 8)
    #expect(announced[interruptIn]?.interval == 10)
    #expect(announced[EndpointAddress(rawValue: 0x83)] == nil)
    #expect(guest.session?.peerCapabilities == .all)
    #expect(guest.session?.capabilities == Capabilities.all.subtracting(.filter))
  }

  @Test func controlRequests() throws {
    device.answer(ControlRule(requestType: 0xc0, request: 1, value: 5, index: 0, answer: .data([1, 2, 3])))
    device.answer(ControlRule(requestType: 0xc0, request: 2, value: 0, index: 0, answer: .fails(.stalled)))
    try guest.control(0xc0, 1, 5, length: 8)
    try guest.control(0xc0, 2, 0, length: 8)
    device.answer(ControlRule(requestType: 0x40, request: 3, value: 0, index: 0, answer: .data([])))
    try guest.control(0x40, 3, 0, length: 2, [7, 8])
    #expect(guest.session?.requests.count == 3)
    expect(["control success 010203", "control stall ", "control success "])
    #expect(device.record.last == "control 40 03 0000 0000 0002 0708")
    #expect(guest.session?.requests.count == 0)
  }

  @Test func configuration() throws {
    try guest.session?.getConfiguration { [guest = Unowned(guest)] status, value in
      guest.value.note("configuration \(status) \(value)")
    }
    expect(["configuration success 1"])
  }

  @Test func changedInfosAreTold() throws {
    try guest.control(0x01, 11, 1, length: 0)
    expect(["infos", "infos", "control success "])
    #expect(guest.session?.device?[interruptIn]?.maxPacketSize == 64)
  }

  @Test func reportsComeBetweenStartAndStop() throws {
    device.report(interruptIn, [1, 2])
    loop.someTurns()
    #expect(guest.take() == [], "nothing before start")
    try guest.session?.startInterruptReceiving(interruptIn)
    expect(["0x81 started", "0x81 success 0 0102"])
    device.report(interruptIn, [])
    device.report(interruptIn, [3])
    expect(["0x81 success 1 ", "0x81 success 2 03"])
    #expect(guest.session?.receiving.isOn(interruptIn) == true)
    try guest.session?.stopInterruptReceiving(interruptIn)
    #expect(guest.session?.receiving.awaitsAnswers == true)
    expect(["0x81 stopped"])
    #expect(guest.session?.receiving.isOn(interruptIn) == false)
    #expect(guest.session?.receiving.awaitsAnswers == false)
  }

  @Test func startBehindStop() throws {
    try guest.session?.startInterruptReceiving(interruptIn)
    try guest.session?.stopInterruptReceiving(interruptIn)
    try guest.session?.startInterruptReceiving(interruptIn)
    expect(["0x81 started", "0x81 stopped", "0x81 started"])
    #expect(guest.session?.receiving.isOn(interruptIn) == true)
    device.report(interruptIn, [9])
    expect(["0x81 success 0 09"])
  }

  /// B4.6: the packet, then the status.
  @Test func aStreamThatCannotGoOnEnds() throws {
    device.fail(.clearHalt)
    try guest.session?.startInterruptReceiving(interruptIn)
    device.stall(interruptIn)
    expect(["0x81 started", "0x81 stall 0 ", "0x81 ended stall"])
    #expect(guest.session?.receiving.slots == 0)
  }

  @Test func outIsAnswered() throws {
    try guest.out(interruptOut, [1, 2, 3])
    device.fail(interruptOut, .failed)
    expect(["out ioerror 0"])
    try guest.out(interruptOut, [4, 5])
    expect(["out success 2"])
  }

  @Test func whatTheDeviceDoesNotHaveIsNotAskedFor() throws {
    let bulk = EndpointAddress(rawValue: 0x82)
    #expect(throws: GuestError.noSuchEndpoint(bulk, .interrupt)) {
      try guest.session?.startInterruptReceiving(bulk)
    }
    #expect(throws: GuestError.noSuchEndpoint(interruptOut, .interrupt)) {
      try guest.session?.startInterruptReceiving(interruptOut)
    }
    #expect(throws: GuestError.noSuchEndpoint(interruptIn, .interrupt)) { try guest.out(interruptIn, [1]) }
    #expect(
      GuestError.noSuchEndpoint(bulk, .interrupt).description == "the device has no interrupt endpoint 0x82")
  }

  /// B2.6, B2.7: the same connection, and what was in flight ends.
  @Test func unplugAndPlug() throws {
    device.hold(.controlOut)
    try guest.control(0xc0, 1, 0, length: 4)
    try guest.session?.startInterruptReceiving(interruptIn)
    expect(["0x81 started"])
    device.unplug()
    expect(["disconnected", "control ioerror "])
    #expect(guest.session?.device == nil)
    #expect(guest.session?.receiving.slots == 0)
    #expect(throws: GuestError.noDevice) { try guest.control(0xc0, 1, 0, length: 4) }
    #expect(throws: GuestError.noDevice) { try guest.session?.startInterruptReceiving(interruptIn) }
    device.release(.controlOut)
    device.plug()
    // The usb-host announces only after our device_disconnect_ack.
    expect(["connected"])
    try guest.session?.startInterruptReceiving(interruptIn)
    device.report(interruptIn, [1])
    expect(["0x81 started", "0x81 success 0 01"])
    #expect(guest.session?.badPackets == 0)
  }

  @Test func closingLeavesTheDeviceClean() throws {
    try guest.session?.startInterruptReceiving(interruptIn)
    expect(["0x81 started"])
    guest.session?.close()
    let host = host
    #expect(loop.turns { !host.ends.isEmpty })
    #expect(host.ends == ["the guest closed the connection"])
    #expect(guest.take() == [], "nothing after close")
  }

  @Test func theServerLeaves() throws {
    device.hold(.controlOut)
    try guest.control(0xc0, 1, 0, length: 4)
    loop.someTurns()
    host.session?.close(.closedByServer("stopping"))
    expect(["ended: the server closed the connection", "control cancelled "])
    #expect(guest.session?.device == nil)
  }
}
