// The end of a session, whatever was going on: everything is cancelled, the device closed once, nothing left
// (B2.8).
import Testing

@testable import usbredir_evloop

struct SessionEndTests {
  private func expectClean(_ guest: GuestHarness, _ session: () -> Session?) {
    #expect(guest.ends == ["the guest closed the connection"])
    #expect(guest.scripted.record.filter { $0 == "close" }.count == 1)
    #expect(guest.scripted.record.last == "close")
    #expect(guest.session == nil)
    #expect(session() == nil, "the session is freed")
  }

  @Test("B2.8: the guest leaves with everything in flight")
  func everythingInFlight() throws {
    let guest = try GuestHarness()
    weak let session = guest.session
    guest.scripted.hold(.bulkOut)
    guest.scripted.hold(.controlOut)
    let outs = (0..<20).flatMap { guest.bulkOut(10 + $0, [1, 2, 3]) }
    let ins = (0..<20).flatMap { guest.bulkIn(100 + $0, length: 100_000) }
    guest.exchange(
      guest.start(1), outs, ins, guest.controlIn(2, 6, length: 18), guest.cancel(15), guest.cancel(105))
    let buffers = guest.session?.buffers
    #expect(buffers?.inUse == 39)
    guest.leave()
    guest.settle()
    expectClean(guest) { session }
    #expect(buffers?.inUse == 0)
  }

  @Test("B2.8: the guest leaves with so little in flight that an operation would cancel it on the loop")
  func littleInFlight() throws {
    let guest = try GuestHarness()
    weak let session = guest.session
    guest.exchange(guest.bulkIn(1), guest.bulkIn(2), guest.cancel(1))
    guest.leave()
    guest.settle()
    expectClean(guest) { session }
  }

  @Test("B2.8: the guest leaves without anything in flight, or before its hello", arguments: [true, false])
  func nothingInFlight(greets: Bool) throws {
    let guest = try GuestHarness(greets: greets)
    weak let session = guest.session
    guest.leave()
    guest.settle()
    #expect(guest.ends == ["the guest closed the connection"])
    #expect(guest.scripted.record == (greets ? ["close"] : []))
    #expect(session == nil)
  }

  @Test("B2.8: the guest leaves while an operation runs on some endpoints, and others have transfers")
  func duringAnOperation() throws {
    let guest = try GuestHarness()
    weak let session = guest.session
    guest.exchange(guest.start(1), guest.bulkIn(2))
    guest.scripted.holdCalls()
    guest.exchange(guest.setAlt(3, 1, 1))
    guest.session?.close(.guestLeft)
    guest.settle()
    #expect(guest.ends == [], "not before the call is done")
    guest.scripted.releaseCalls()
    guest.settle()
    expectClean(guest) { session }
  }

  @Test("B2.8: the same while the operation still waits for its transfers")
  func whileAnOperationDrains() throws {
    let loop = try EventLoop()
    let device = ManualDevice()
    device.model = DeviceDescription.scripted.model(configuration: 1)
    let guest = try GuestHarness(device, loop: loop)
    weak let session = guest.session
    guest.exchange(guest.start(1), guest.bulkIn(2), guest.setAlt(3, 1, 1))
    #expect(device.cancels.count == 1)
    guest.session?.close(.guestLeft)
    #expect(device.cancels.count == 1, "one operation at a time")
    device.completeCancelled()
    #expect(device.posted.count == 4 && device.calls.count == 1)
    device.finishCall()
    while !device.posted.isEmpty { device.complete(0, .cancelled) }
    #expect(device.posted.isEmpty && device.calls.isEmpty && device.isClosing)
    device.finishClose()
    guest.settle()
    #expect(guest.ends.count == 1)
    #expect(session == nil)
  }

  @Test("B2.8: the guest leaves while a halt is cleared; the stream does not come back")
  func whileAHaltIsCleared() throws {
    for stalls in [true, false] {
      let guest = try GuestHarness()
      weak let session = guest.session
      guest.exchange(guest.start(1))
      guest.scripted.holdCalls()
      if stalls { guest.scripted.stall(.interruptIn) } else { guest.send(guest.clearHalt(2, 0x81)) }
      guest.settle()
      #expect(guest.scripted.record.last == "perform clear-halt 81")
      guest.session?.close(.guestLeft)
      guest.scripted.releaseCalls()
      guest.settle()
      expectClean(guest) { session }
    }
  }

  @Test("B2.8: the guest leaves during a reset, with streams and more than it takes to cancel on the loop")
  func duringAReset() throws {
    var limits = SessionLimits()
    limits.interruptDepth = 32
    let guest = try GuestHarness(limits: limits)
    weak let session = guest.session
    guest.exchange(guest.start(1))
    guest.scripted.holdCalls()
    guest.exchange(guest.reset())
    #expect(guest.scripted.record.last == "perform cancel " + guest.everySlot)
    guest.session?.close(.guestLeft)
    guest.scripted.releaseCalls()
    guest.settle()
    expectClean(guest) { session }
  }

  @Test("B2.8: and when it leaves while the device is leaving")
  func whileTheDeviceLeaves() throws {
    let guest = try GuestHarness()
    weak let session = guest.session
    guest.exchange(guest.start(1), guest.bulkIn(2))
    guest.scripted.unplug()
    guest.turn()
    guest.session?.close(.guestLeft)
    guest.settle()
    expectClean(guest) { session }
  }

  @Test("the server closes: the same, with its reason")
  func closedByServer() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1))
    guest.session?.close(.closedByServer("a newer guest takes the place"))
    guest.session?.close(.guestLeft)
    guest.settle()
    #expect(guest.ends == ["a newer guest takes the place"])
    #expect(guest.scripted.record.filter { $0 == "close" }.count == 1)
  }

  @Test("B1.7: a bad stream closes and gives the device back")
  func brokenStream() throws {
    let guest = try GuestHarness()
    guest.exchange(guest.start(1), guest.bulkIn(2))
    guest.exchange(hello(.all))
    #expect(guest.ends.count == 1)
    #expect(guest.scripted.record.last == "close")
  }

  @Test("B2.8: packets waiting for the guest are freed with the connection")
  func unreadPackets() throws {
    let guest = try GuestHarness(sendBuffer: 4096)
    weak let session = guest.session
    guest.reads = false
    guest.send(guest.start(1))
    for _ in 0..<2000 { guest.scripted.report(.interruptIn, [1, 2, 3, 4, 5, 6, 7, 8]) }
    guest.settle()
    guest.leave()
    guest.settle()
    #expect(guest.ends.count == 1)
    #expect(session == nil)
    #expect(guest.scripted.record.last == "close")
  }
}

extension GuestHarness {
  /// Every endpoint, as the device's record names them.
  var everySlot: String {
    (0..<EndpointTable.count).map { Hex.text(UInt32(EndpointAddress(slot: $0).rawValue), digits: 2) }
      .joined(separator: " ")
  }
}
