// The device of an export: absent, refused, slow to open, unplugged and plugged again (B2.6, B2.7).
import Testing

@testable import usbredir_evloop

struct ExportDeviceTests {
  private let absent = DeviceUnavailable.absent("no device")

  @Test("an absent device is waited for, said once, and announced when it appears")
  func absentAtFirst() throws {
    let loop = try EventLoop()
    let source = PlannedSource(loop)
    source.always = .unavailable(absent)
    let run = try ExportRun(loop: loop, source: source)
    #expect(run.log.last == "warning: e: no device; waiting for it")
    let guest = try run.guest()
    #expect(guest.take() == ["hello"])
    for _ in 0..<3 { source.changed?() }
    #expect(source.opens == 4)
    guest.leave()
    run.settle()
    let next = try run.guest()
    #expect(run.logged("no device") == 1)
    source.always = .device
    source.changed?()
    #expect(next.take() == ["hello"] + announcement)
    #expect(next.hasDevice())
  }

  @Test("another reason is said as well, and the first one again after the device was there")
  func reasons() throws {
    let run = try ExportRun(quickAttempts: 0)
    run.source.always = .unavailable(absent)
    let guest = try run.guest()
    run.source.always = .unavailable(.refused("permission denied", mayPass: true))
    run.source.changed?()
    run.source.changed?()
    #expect(run.logged("permission denied; waiting for it") == 1)
    run.source.always = .device
    run.source.changed?()
    #expect(guest.take() == ["hello"] + announcement)
    run.source.always = .unavailable(absent)
    run.source.device.unplug()
    #expect(guest.take() == ["device_disconnect"])
    guest.send(.deviceDisconnectAck)
    #expect(guest.take() == [])
    #expect(run.logged("no device; waiting for it") == 2)
  }

  @Test("B2.7: unplugged and plugged again on the same connection", arguments: [Capabilities.all, []])
  func replug(_ capabilities: Capabilities) throws {
    let run = try ExportRun()
    let guest = try run.guest(capabilities)
    #expect(guest.take() == ["hello"] + announcement)
    for _ in 0..<2 {
      run.source.device.unplug()
      #expect(guest.take() == ["device_disconnect"])
      run.source.device.plug()
      if capabilities.contains(.deviceDisconnectAck) {
        #expect(guest.take() == [], "B2.6: nothing before the ack")
        guest.send(.deviceDisconnectAck)
      }
      #expect(guest.take() == announcement)
      #expect(guest.hasDevice())
    }
    #expect(run.ends == [])
  }

  @Test("B2.7: the ack comes before the device does")
  func lateReplug() throws {
    let run = try ExportRun()
    let guest = try run.guest()
    _ = guest.take()
    run.source.device.unplug()
    _ = guest.take()
    guest.send(.deviceDisconnectAck)
    #expect(guest.take() == [])
    #expect(run.logged("the device is unplugged; waiting for it") == 1)
    run.source.device.plug()
    #expect(guest.take() == announcement)
  }

  @Test("a refusal that may pass is tried again so many times; then it is said")
  func quickAttempts() throws {
    let run = try ExportRun(quickAttempts: 3)
    run.source.always = .unavailable(.refused("busy", mayPass: true))
    let guest = try run.guest()
    run.wait(for: "the line") { run.logged("busy; waiting for it") == 1 }
    #expect(run.source.opens == 4)
    run.loop.someTurns()
    #expect(run.source.opens == 4)
    run.source.answers = [.unavailable(.refused("busy", mayPass: true))]
    run.source.always = .device
    run.source.changed?()
    run.wait(for: "another attempt") { run.source.opens == 6 }
    #expect(guest.take() == ["hello"] + announcement)
  }

  @Test("a refused device is asked for again later: whoever has it does not tell when it is free")
  func slowAttempts() throws {
    for mayPass in [true, false] {
      let run = try ExportRun(quickAttempts: 1, slowDelay: 1)
      let refusal = PlannedSource.Answer.unavailable(.refused("in use", mayPass: mayPass))
      run.source.answers = Array(repeating: refusal, count: 6)
      let guest = try run.guest()
      run.wait(for: "the device") { run.source.opens == 7 }
      #expect(guest.take() == ["hello"] + announcement)
      #expect(run.logged("in use; waiting for it") == 1)
    }
  }

  @Test("nobody is asked for a device that nobody waits for")
  func noAttemptsWithoutGuest() throws {
    let run = try ExportRun(quickAttempts: 1000, slowDelay: 1)
    run.source.always = .unavailable(.refused("busy", mayPass: true))
    let guest = try run.guest()
    guest.leave()
    run.wait(for: "the end") { run.ends.count == 1 }
    let opens = run.source.opens
    run.source.changed?()
    run.loop.someTurns()
    #expect(run.source.opens == opens)
  }

  @Test("a device that changes while it is being opened is asked for again at once")
  func changedMeanwhile() throws {
    let run = try ExportRun()
    run.source.answers = [.held]
    let guest = try run.guest()
    run.source.changed?()
    #expect(run.source.opens == 1)
    run.source.finish(.failure(absent))
    #expect(guest.take() == ["hello"] + announcement)
    #expect(run.source.opens == 2)
    #expect(run.logged("no device") == 0)
  }

  @Test("a guest that leaves while the device is being opened: it is closed again")
  func leavesMeanwhile() throws {
    let run = try ExportRun()
    run.source.answers = [.held]
    let guest = try run.guest()
    guest.leave()
    run.settle()
    #expect(run.ends.count == 1)
    #expect(!run.export.isIdle)
    run.source.finishWithDevice()
    run.settle()
    #expect(run.source.closes == 1)
    #expect(run.export.isIdle)
    #expect(try run.guest().take() == ["hello"] + announcement)
  }

  @Test("the next guest gets the device that is being opened for the one that left")
  func nextGuestMeanwhile() throws {
    let run = try ExportRun()
    run.source.answers = [.held]
    try run.guest().leave()
    run.settle()
    let next = try run.guest()
    #expect(next.take() == ["hello"])
    run.source.finishWithDevice()
    #expect(next.take() == announcement)
    #expect(run.source.opens == 1)
    #expect(run.source.closes == 0)
  }

  @Test("a guest that comes while a device nobody wanted is being closed gets it afterwards")
  func guestDuringGivingBack() throws {
    let run = try ExportRun()
    run.source.answers = [.held]
    try run.guest().leave()
    run.settle()
    let silent = try run.guest(greets: false)
    run.source.finishWithDevice()
    silent.send(hello(.all))
    #expect(silent.take() == ["hello"] + announcement)
    #expect(run.source.closes == 1)
    #expect(run.source.opens == 2)
  }

  @Test("a refusal for a guest that left does not become a connection or an attempt")
  func refusedMeanwhile() throws {
    let run = try ExportRun()
    run.source.answers = [.held]
    try run.guest().leave()
    run.settle()
    run.source.finish(.failure(.refused("busy", mayPass: true)))
    run.loop.someTurns()
    #expect(run.source.opens == 1)
    #expect(run.export.isIdle)
  }

  @Test("without waiting, a guest that finds no device is closed, and the listener goes on")
  func withoutWaiting() throws {
    let run = try ExportRun(waits: false, quickAttempts: 2)
    run.source.always = .unavailable(absent)
    #expect(try run.guest().isClosed)
    #expect(run.log.contains { $0.hasPrefix("warning: e: guest") && $0.contains("ended: no device") })
    run.source.always = .unavailable(.refused("busy", mayPass: true))
    let second = try run.guest()
    run.wait(for: "the end") { run.ends.count == 2 }
    #expect(second.isClosed)
    #expect(run.ends == ["no device", "busy"])
    #expect(run.isFailure == [true, true])
    run.source.always = .device
    #expect(try run.guest().take() == ["hello"] + announcement)
  }

  @Test("without waiting, a guest whose device is unplugged is closed")
  func unpluggedWithoutWaiting() throws {
    let run = try ExportRun(waits: false)
    let guest = try run.guest()
    _ = guest.take()
    run.source.device.unplug()
    #expect(guest.take() == ["device_disconnect"])
    guest.send(.deviceDisconnectAck)
    #expect(guest.isClosed)
    #expect(run.ends == ["the device is unplugged"])
  }

  @Test("a guest that rejects the device is closed where nobody waits, and kept where somebody does")
  func rejected() throws {
    for waits in [true, false] {
      let run = try ExportRun(waits: waits)
      let guest = try run.guest()
      _ = guest.take()
      guest.send(.filterReject)
      #expect(guest.take() == ["device_disconnect"])
      #expect(waits ? guest.staysOpen : guest.isClosed)
      #expect(run.ends == (waits ? [] : ["the guest rejected the device"]))
      #expect(run.source.closes == 1)
      #expect(run.source.opens == 1)
    }
  }
}
