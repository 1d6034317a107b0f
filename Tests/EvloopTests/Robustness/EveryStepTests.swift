// Every operation is run once to count its steps, then again for each step with something going wrong there: the
// device unplugged, the guest gone, a submit refused, a call failed, a cancel that comes too late.
import Testing

@testable import usbredir_evloop

struct EveryStepTests {
  /// The operation with something happening at each of its steps (of a kind, nil: any) in turn.
  private func forEachStep(
    of operation: DeviceOperation, _ kind: SteppingDevice.Step? = nil, transfersTellFirst: Bool = false,
    mayFail: Bool = false, happens: @escaping (DeviceLife) -> SteppingDevice.Fault, then: (DeviceLife) -> Void
  ) throws {
    let whole = try DeviceLife(fault: (.max, kind, { _ in .none }))
    whole.play(operation.script)
    let steps = whole.steps
    whole.finish(isGone: false)
    #expect(whole.faults == [], "\(operation.name), undisturbed")
    #expect(kind != nil || steps > 1, "\(operation.name) has steps")
    for step in 0..<steps {
      let life = try DeviceLife(
        transfersTellFirst: transfersTellFirst, mayFail: mayFail, fault: (step, kind, happens))
      life.play(operation.script)
      #expect(life.steps > step, "\(operation.name) comes to step \(step)")
      then(life)
      #expect(life.faults == [], "\(operation.name), step \(step) of \(steps)")
    }
  }

  @Test(
    "B2.6, B2.7: unplugged at any step: disconnect first, then ioerror in the order of the requests; all is back, and the session goes on with the device that is plugged in again",
    arguments: DeviceOperation.all, [false, true])
  func unplugged(_ operation: DeviceOperation, transfersTellFirst: Bool) throws {
    try forEachStep(of: operation, transfersTellFirst: transfersTellFirst, happens: unplug) {
      $0.finish(isGone: true)
    }
  }

  @Test(
    "B2.8: the guest vanishes at any step, with the device or without", arguments: DeviceOperation.all,
    [false, true])
  func guestVanishes(_ operation: DeviceOperation, withDevice: Bool) throws {
    try forEachStep(of: operation) { life in
      if withDevice { life.scripted.unplug() }
      life.guest.leave()
      return .none
    } then: {
      $0.leave()
    }
  }

  @Test(
    "B2.8: unplugged at any step of giving the device back, with everything in flight",
    arguments: [false, true])
  func unpluggedWhileGuestLeaves(transfersTellFirst: Bool) throws {
    let leaving = DeviceOperation("the guest leaves") { life in
      for operation in DeviceOperation.together { operation.script(life) }
      life.guest.leave()
    }
    let whole = try DeviceLife(fault: (.max, nil, { _ in .none }))
    whole.play(leaving.script)
    #expect(whole.steps > 40)
    for step in 0..<whole.steps {
      let life = try DeviceLife(transfersTellFirst: transfersTellFirst, fault: (step, nil, unplug))
      life.play(leaving.script)
      #expect(life.steps > step)
      life.leave()
      #expect(life.faults == [], "step \(step) of \(whole.steps)")
    }
  }

  private let unplug: (DeviceLife) -> SteppingDevice.Fault = { life in
    life.scripted.unplug()
    return .none
  }

  @Test(
    "B4.1, B4.7, B1.8: a submit fails at any step: one answer, in its turn, and the session goes on",
    arguments: DeviceOperation.all,
    [.noMemory, .refused, .failed, .stalled, .timedOut, .overflow] as [TransferStatus])
  func submitFails(_ operation: DeviceOperation, status: TransferStatus) throws {
    try forEachStep(of: operation, .submit, mayFail: true) { _ in
      .refuse(status)
    } then: {
      $0.finish(isGone: false)
    }
  }

  @Test("B2.6: a submit finds the device gone, at any step", arguments: DeviceOperation.all)
  func submitFindsItGone(_ operation: DeviceOperation) throws {
    try forEachStep(of: operation, .submit, transfersTellFirst: true) { life in
      life.scripted.unplug()
      return .refuse(.deviceGone)
    } then: {
      $0.finish(isGone: true)
    }
  }

  @Test(
    "B3.3–B3.5, B4.5: a call fails, or finds another device, at any step", arguments: DeviceOperation.calls,
    [.failed, .stalled, .changed, .deviceGone] as [DeviceCallResult])
  func callFails(_ operation: DeviceOperation, result: DeviceCallResult) throws {
    try forEachStep(of: operation, .call, mayFail: true) { life in
      // Cancelling has no outcome; it fails only with the device.
      if case .cancel = life.device.lastCall { return .none }
      return .fail(result)
    } then: {
      $0.finish(isGone: false)
    }
  }

  @Test("B4.8, B5.4: any cancel comes too late", arguments: DeviceOperation.all)
  func cancelIsOvertaken(_ operation: DeviceOperation) throws {
    try forEachStep(of: operation, .cancel) { _ in
      .overtake
    } then: {
      $0.finish(isGone: false)
    }
  }
}
