// The life of a virtual device, and what a scripted one does on command.
import Testing

@testable import usbredir_evloop

private let interruptIn = EndpointAddress(rawValue: 0x81)
private let interruptOut = EndpointAddress(rawValue: 0x01)

struct ScriptedDeviceTests {
  private let device: ScriptedDevice
  private let user: VirtualUser

  init() throws {
    let loop = try EventLoop()
    device = ScriptedDevice(loop: loop)
    user = VirtualUser(loop, device)
  }

  @Test func reportsAnswerTransfersInOrder() {
    user.read(0x81)
    user.read(0x81)
    user.turn()
    #expect(user.take() == [])
    device.report(interruptIn, [1, 2])
    device.report(interruptIn, [])
    device.report(interruptIn, [3])
    #expect(user.take() == [], "never from within")
    user.turn()
    #expect(user.take() == ["81 completed 0102", "81 completed"])
    #expect(device.pending(interruptIn) == 1)
    user.read(0x81)
    user.turn()
    #expect(user.take() == ["81 completed 03"])
  }

  @Test func aTransferSubmittedAgainWaitsForTheNextTurn() {
    for byte in 1...3 { device.report(interruptIn, [UInt8(byte)]) }
    user.onCompleted = { [user = Unowned(user)] in user.value.submit($0) }
    user.read(0x81)
    user.turn()
    #expect(user.take() == ["81 completed 01"])
    user.turn()
    #expect(user.take() == ["81 completed 02"])
  }

  @Test func moreThanFitsIsBabble() {
    device.report(interruptIn, [1, 2, 3])
    user.read(0x81, length: 2)
    user.turn()
    #expect(user.take() == ["81 overflow 0102"])
  }

  @Test func outIsTakenUnlessHeld() {
    user.write(0x01, [7, 8])
    user.turn()
    #expect(user.take() == ["01 completed 2"])
    device.hold(interruptOut)
    user.write(0x01, [9])
    user.turn()
    #expect(user.take() == [])
    device.release(interruptOut)
    user.turn()
    #expect(user.take() == ["01 completed 1"])
    #expect(device.record == ["submit 01 0708", "submit 01 09"])
  }

  @Test func aStallHaltsUntilCleared() {
    device.report(interruptIn, [1])
    device.stall(interruptIn)
    device.report(interruptIn, [2])
    for _ in 0..<3 { user.read(0x81) }
    user.turn()
    #expect(user.take() == ["81 completed 01", "81 stalled", "81 stalled"])
    user.read(0x81)
    user.turn()
    #expect(user.take() == ["81 stalled"])
    device.perform(.clearHalt(interruptIn))
    user.read(0x81)
    user.turn()
    #expect(user.take() == ["call done", "81 completed 02"])
  }

  @Test func errors() {
    let all: [TransferStatus] = [.failed, .timedOut, .overflow, .noMemory, .refused]
    for status in all { device.fail(interruptIn, status) }
    for _ in all { user.read(0x81) }
    user.turn()
    #expect(user.take() == all.map { "81 \($0)" })
  }

  @Test func cancelledTransfersComeBackInOrder() {
    let first = user.read(0x81)
    user.read(0x81)
    let third = user.read(0x81)
    device.cancel(third)
    device.cancel(first)
    device.cancel(first)
    #expect(user.take() == [])
    user.turn()
    #expect(user.take() == ["81 cancelled", "81 cancelled"])
    #expect(first.state == .idle)
    device.cancel(first)
    device.report(interruptIn, [5])
    user.turn()
    #expect(user.take() == ["81 completed 05"])
  }

  @Test func aCancelledTransferMayHaveData() {
    device.fillCancelled(interruptIn, [4])
    let transfer = user.read(0x81)
    user.turn()
    #expect(user.take() == [])
    device.cancel(transfer)
    user.turn()
    #expect(user.take() == ["81 cancelled 04"])
  }

  @Test func cancelTakesNoReport() {
    device.report(interruptIn, [1])
    let transfer = user.read(0x81)
    device.cancel(transfer)
    user.turn()
    #expect(user.take() == ["81 cancelled"])
    #expect(device.pending(interruptIn) == 1)
  }

  @Test func nothingHappensDuringACall() {
    device.holdCalls()
    device.report(interruptIn, [1])
    device.perform(.cancel(slots: EndpointTable.allButControl))
    user.read(0x81)
    user.turn()
    #expect(user.take() == [])
    device.releaseCalls()
    user.turn()
    #expect(user.take() == ["call done", "81 cancelled"])
  }

  @Test func killsInReverseLikeXHCI() {
    device.killsInReverse = true
    user.read(0x81, length: 1)
    user.read(0x81, length: 2)
    var lengths: [Int] = []
    user.onCompleted = { lengths.append($0.length) }
    device.perform(.reset)
    user.turn()
    #expect(lengths == [2, 1])
  }

  @Test func callsKeepTheModelInStep() {
    #expect(device.model.configuration == 1)
    device.perform(.setAlternateSetting(interface: 1, setting: 1))
    user.turn()
    #expect(device.model.interfaces[1].current == 1)
    #expect(EndpointTable(device.model)[EndpointAddress(rawValue: 0x83)].type == .isochronous)
    device.perform(.reset)
    user.turn()
    #expect(device.model.interfaces[1].current == 0)
    device.perform(.setConfiguration(2))
    user.turn()
    #expect(device.model.configuration == 2)
    #expect(device.model.interfaces.count == 1)
    device.perform(.setConfiguration(0))
    user.turn()
    #expect(device.model.configuration == 0)
    #expect(device.model.interfaces == [])
    #expect(user.take() == ["call done", "call done", "call done", "call done"])
    device.perform(.setConfiguration(9))
    user.turn()
    device.perform(.setAlternateSetting(interface: 1, setting: 7))
    user.turn()
    device.perform(.clearHalt(interruptIn))
    user.turn()
    device.perform(.allocateStreams(slots: 4, count: 2))
    user.turn()
    #expect(user.take() == ["call failed", "call failed", "call failed", "call failed"])
    #expect(device.record.last == "perform alloc-streams 2 02")
  }

  @Test func callsFailOnCommandOnce() {
    device.fail(.reset, .changed)
    device.perform(.reset)
    user.turn()
    device.perform(.reset)
    user.turn()
    #expect(user.take() == ["call changed", "call done"])
  }

  @Test func anEndpointThatIsNotThereRefuses() {
    user.read(0x85)
    user.submit(0x83, .isochronous, length: 8)
    user.turn()
    #expect(user.take() == ["83 refused", "85 refused"])
  }

  @Test func unplugTellsOnceThenGivesEverythingBack() {
    user.read(0x81)
    device.perform(.reset)
    device.unplug()
    device.unplug()
    #expect(user.take() == [])
    user.turn()
    #expect(user.take() == ["gone", "call deviceGone", "81 deviceGone"])
    user.read(0x81)
    user.turn()
    #expect(user.take() == ["81 deviceGone"])
  }

  @Test func plugIsToldWhenTheOldUserHasClosed() {
    var plugged = 0
    device.onPlug = { plugged += 1 }
    device.unplug()
    device.plug()
    user.turn()
    #expect(user.take() == ["gone"])
    #expect(device.isPlugged)
    user.read(0x81)
    user.turn()
    #expect(user.take() == ["81 deviceGone"], "still the old one")
    #expect(plugged == 0)
    device.close { [user = Unowned(user)] in user.value.events.append("closed") }
    #expect(user.take() == [])
    user.turn()
    #expect(user.take() == ["closed"])
    #expect(plugged == 1)
    device.owner = user
    device.report(interruptIn, [1])
    user.read(0x81)
    user.turn()
    #expect(user.take() == ["81 completed 01"])
    #expect(plugged == 1)
  }

  @Test func closedWhileItIsAwayItStaysAway() {
    var plugged = 0
    device.onPlug = { plugged += 1 }
    device.unplug()
    user.turn()
    device.close {}
    user.turn()
    device.owner = user
    user.read(0x81)
    user.turn()
    #expect(user.take() == ["gone", "81 deviceGone"])
    device.close {}
    user.turn()
    #expect(plugged == 0)
    device.plug()
    #expect(plugged == 0, "never from within")
    user.turn()
    #expect(plugged == 1)
  }

  @Test func whoFindsItPluggedInIsNotToldAgain() {
    var plugged = 0
    device.onPlug = { plugged += 1 }
    device.unplug()
    device.plug()
    user.turn()
    device.close { [device = Unowned(device), user = Unowned(user)] in device.value.owner = user.value }
    user.turn()
    device.close {}
    user.turn()
    #expect(plugged == 0)
  }

  @Test func closeRestoresTheDeviceForTheNextUser() {
    device.perform(.setConfiguration(2))
    user.turn()
    device.close {}
    user.turn()
    #expect(device.model.configuration == 1)
    #expect(device.owner == nil)
    #expect(device.record == ["perform set-configuration 2", "close"])
  }

  @Test func timeoutsPass() {
    user.read(0x81, timeout: 1)
    user.read(0x81)
    user.run { !user.events.isEmpty }
    #expect(user.take() == ["81 timedOut"])
  }

  @Test func controlRules() {
    device.answer(ControlRule(requestType: 0xc0, request: 1, value: nil, index: 0, answer: .data([1, 2, 3])))
    #expect(user.control(0xc0, 1, 5, 0, length: 8) == "80 completed 010203")
    #expect(user.control(0xc0, 1, 5, 0, length: 2) == "80 completed 0102")
    #expect(user.control(0xc0, 1, 5, 1, length: 2) == "80 stalled")
    device.answer(ControlRule(requestType: 0xc0, request: 1, value: 5, index: nil, answer: .fails(.failed)))
    #expect(user.control(0xc0, 1, 5, 0, length: 8) == "80 failed")
    #expect(user.control(0xc0, 1, 6, 0, length: 8) == "80 completed 010203")
    #expect(device.record.last == "control c0 01 0006 0000 0008")
  }

  @Test func theRecordHoldsOutData() {
    _ = user.control(0x21, 9, 0x0200, 0, length: 2, data: [5, 6])
    #expect(device.record == ["control 21 09 0200 0000 0002 0506"])
  }
}
