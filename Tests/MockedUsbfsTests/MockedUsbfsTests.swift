// Our USB code and the real libusb on usbfs nodes that do what each test says. Runs with umockdev preloaded:
//
//     test ──▶ USBDevice ──▶ libusb ──ioctl──▶ umockdev ──▶ CMockedUsbfs (what the kernel and the device would do)
import CMockedUsbfs
import CPosix
import Testing

@testable import usbredir_evloop

@Suite(.serialized, .enabled(if: isPreloaded, "needs LD_PRELOAD=libumockdev-preload.so.0"))
struct MockedUsbfsTests {
  private let bus = unsafe MockedBus.shared

  // MARK: discovery

  @Test func startsWithoutDevicesAndSaysSoOnce() {
    #expect(bus.lines == ["there is no usbfs here, /dev/bus/usb does not exist; waiting for a device"])
  }

  @Test func arrivalEnumerationAndDeparture() throws {
    let changes = bus.changes
    let mocked = MockedDevice(drivers: ["usbhid", ""])
    bus.run { bus.changes > changes && mocked.info != nil }
    let info = try #require(mocked.info)
    #expect(
      info
        == USBDeviceInfo(
          bus: mocked.busNumber, address: mocked.address, ports: [mocked.port], vendor: 0x046d,
          product: 0xc31c,
          classCode: 0,
          speed: .high, manufacturer: "Example", productName: "USB Keyboard", serial: "K\(mocked.address)",
          interfaces: [
            USBInterfaceInfo(number: 0, classCode: 3, driver: "usbhid"),
            USBInterfaceInfo(number: 1, classCode: 0xff, driver: nil),
          ]))
    #expect(info.label == "046d:c31c \"USB Keyboard\" at \(mocked.busNumber)-\(mocked.port)")
    #expect(DeviceHolder.names(info) == ["usbhid"])
    let seen = bus.changes
    mocked.unplug()
    bus.run { bus.changes > seen && mocked.info == nil }
  }

  // MARK: open and close

  @Test func opensClaimsAndGivesBack() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    #expect(mocked.takeLog() == ["detach 0", "claim 0", "claim 1"])
    #expect(user.device.model.speed == .high)
    #expect(user.device.model.configuration == 1)
    #expect(user.device.model.interfaces.map(\.number) == [0, 1])
    #expect(user.device.label.hasPrefix("046d:c31c \"USB Keyboard\" at \(mocked.busNumber)-"))
    user.close()
    // Nothing was transferred, so there is nothing to reset (B2.8).
    #expect(mocked.takeLog() == ["release 1", "release 0", "attach 0"])
    #expect(mocked.isBound(0))
    mocked.unplug()
  }

  @Test func aDeviceThatWasUsedIsResetUnlessItMayNotBe() throws {
    for (vendor, product, resets) in [
      (0x046d, 0xc31c, true), (0x1210, 0x001c, false), (0x2798, 0x0001, false),
    ] {
      let mocked = MockedDevice(vendor: UInt16(vendor), product: UInt16(product))
      let user = try #require(DeviceUser.open(mocked))
      mocked.answer(0x81, [1])
      user.submit(.interrupt, 0x81, tag: 1, length: 8)
      user.waitForEvents(1)
      user.close()
      #expect(mocked.takeLog().contains("reset") == resets)
      #expect(mocked.isBound(0))
      mocked.unplug()
    }
  }

  @Test func aBusyInterfaceUnwindsTheOpen() throws {
    let mocked = MockedDevice()
    mocked.fail(mockedClaim, EBUSY, after: 1)
    guard case .failure(let error) = DeviceUser.tryOpen(mocked) else {
      Issue.record("a claim that fails opens nothing")
      return
    }
    #expect(error.kind == .busy)
    #expect(error.mayPass)
    let expected =
      "cannot claim interface 1 of \(mocked.node) (046d:c31c): in use by another program; stop it and try again"
    #expect(error.description == expected)
    #expect(mocked.takeLog() == ["detach 0", "claim 0", "release 0", "attach 0"])
    #expect(mocked.isBound(0))
    // A driver that takes the interface again is named.
    mocked.fail(mockedClaim, EBUSY)
    guard case .failure(let other) = DeviceUser.tryOpen(mocked) else { return }
    #expect(other.description.hasSuffix("(046d:c31c): in use by usbhid; stop it and try again"))
    mocked.unplug()
  }

  @Test func anUnknownDriverStateLeavesItToTheClaim() throws {
    let mocked = MockedDevice(drivers: ["", ""])
    mocked.fail(mockedGetDriver, ENOTTY, count: 100)
    let user = try #require(DeviceUser.open(mocked))
    #expect(mocked.takeLog() == ["claim 0", "claim 1"])
    user.close()
    mocked.unplug()
  }

  @Test func aNodeThatIsGoneSaysSo() throws {
    let mocked = MockedDevice()
    bus.run { mocked.info != nil }
    var info = try #require(mocked.info)
    info.address = 250
    var outcome: Result<USBDevice, USBError>?
    USBDevice.open(.info(info), in: bus.system) { outcome = $0 }
    bus.run { outcome != nil }
    guard case .failure(let error) = try #require(outcome) else {
      Issue.record("there is no such node")
      return
    }
    #expect(error.kind == .gone)
    #expect(error.description == "cannot open \(mocked.node.dropLast(3))250 (046d:c31c): it was unplugged")
    mocked.unplug()
  }

  @Test func anOpenDescriptorIsADeviceToo() throws {
    let mocked = MockedDevice()
    bus.run { mocked.info != nil }
    let info = try #require(mocked.info)
    let descriptor = unsafe posixOpen(info.nodePath, Int32(O_RDWR | O_CLOEXEC), 0)
    defer { close(descriptor) }
    var outcome: Result<USBDevice, USBError>?
    USBDevice.open(.descriptor(descriptor), in: bus.system) { outcome = $0 }
    bus.run { outcome != nil }
    guard case .success(let device) = try #require(outcome) else {
      Issue.record("\(outcome as Any)")
      return
    }
    let user = DeviceUser(device)
    #expect(device.model.vendor == 0x046d)
    #expect(device.model.interfaces.count == 2)
    mocked.answer(0x81, [7])
    user.submit(.interrupt, 0x81, tag: 1, length: 8)
    user.waitForEvents(1)
    #expect(user.received[1] == [7])
    user.close()
    mocked.unplug()
  }

  // MARK: transfers

  @Test func reportsComeInOrderWithTheirLength() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    for tag in 1...4 as ClosedRange<UInt64> { user.submit(.interrupt, 0x81, tag: tag, length: 8) }
    #expect(mocked.posted == 4)
    mocked.answer(0x81, [1, 2, 3, 4, 5, 6, 7, 8])
    mocked.answer(0x81, [9])
    mocked.answer(0x81, [])
    mocked.finish(0x81, status: -EOVERFLOW)
    user.waitForEvents(4)
    #expect(user.events == ["1 completed", "2 completed", "3 completed", "4 overflow"])
    #expect(user.received == [1: [1, 2, 3, 4, 5, 6, 7, 8], 2: [9], 3: [], 4: []])
    user.close()
    mocked.unplug()
  }

  @Test func aTransferIsSubmittedAgainFromItsCompletion() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    var rounds = 0
    user.onCompleted = { transfer in
      rounds += 1
      if rounds < 50 { user.device.submit(transfer) }
    }
    user.submit(.interrupt, 0x81, tag: 1, length: 8)
    for round in 0..<50 as Range<UInt8> {
      mocked.answer(0x81, [round])
      user.waitForEvents(Int(round) + 1)
    }
    #expect(rounds == 50)
    #expect(user.received[1] == [49])
    user.onCompleted = nil
    user.close()
    mocked.unplug()
  }

  @Test func controlTransfersStandOnTheWireAsTheSpecificationSays() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    _ = mocked.takeLog()
    let out = user.transfer(.control, 0x00, tag: 1, length: 3, out: [0xaa, 0xbb, 0xcc])
    out.setup = SetupPacket(requestType: 0x21, request: 9, value: 0x0203, index: 0x0405, length: 3)
    user.device.submit(out)
    mocked.finish(0, taken: 3)
    let into = user.transfer(.control, 0x80, tag: 2, length: 255)
    into.setup = SetupPacket(requestType: 0x80, request: 6, value: 0x0301, index: 0x0409, length: 255)
    user.device.submit(into)
    mocked.answer(0, [4, 3, 0x41, 0])
    user.waitForEvents(2)
    #expect(
      mocked.takeLog() == [
        "submit 00 type 2 length 11 2109030205040300 aabbcc",
        "submit 00 type 2 length 263 800601030904ff00",
      ])
    #expect(user.events == ["1 completed", "2 completed"])
    #expect(user.received == [1: [0xaa, 0xbb, 0xcc], 2: [4, 3, 0x41, 0]])
    user.close()
    mocked.unplug()
  }

  @Test func everyFailureHasItsStatus() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    let cases: [(Int32, String)] = [
      (-EPIPE, "stalled"), (-EPROTO, "failed"), (-EILSEQ, "failed"), (-EOVERFLOW, "overflow"),
      (-ETIME, "failed"),
    ]
    for (index, (status, _)) in cases.enumerated() {
      mocked.finish(0x81, status: status)
      user.submit(.interrupt, 0x81, tag: UInt64(index), length: 8)
      user.waitForEvents(index + 1)
    }
    #expect(user.events == cases.enumerated().map { "\($0.offset) \($0.element.1)" })
    user.close()
    mocked.unplug()
  }

  @Test func bulkAndInterruptOutCarryTheirBytes() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    _ = mocked.takeLog()
    user.submit(.bulk, 0x02, tag: 1, length: 4, out: [1, 2, 3, 4])
    user.submit(.interrupt, 0x03, tag: 2, length: 2, out: [5, 6])
    let stream = user.transfer(.bulk, 0x02, tag: 3, length: 1, out: [7])
    stream.streamID = 5
    user.device.submit(stream)
    mocked.finish(0x03, taken: 2)
    mocked.finish(0x02, taken: 4)
    mocked.finish(0x02, taken: 1)
    user.waitForEvents(3)
    #expect(
      mocked.takeLog() == [
        "submit 02 type 3 length 4 01020304", "submit 03 type 1 length 2 0506",
        "submit 02 type 3 length 1 stream 5 07",
      ])
    #expect(user.received == [1: [1, 2, 3, 4], 2: [5, 6], 3: [7]])
    user.close()
    mocked.unplug()
  }

  @Test func aFailedSubmitComesBackLater() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    mocked.fail(mockedSubmit, ENOMEM)
    user.submit(.interrupt, 0x81, tag: 1, length: 8)
    #expect(user.events.isEmpty)
    user.waitForEvents(1)
    mocked.fail(mockedSubmit, EINVAL)
    let transfer = user.submit(.interrupt, 0x81, tag: 2, length: 8)
    #expect(transfer.state == .submitted)
    user.waitForEvents(2)
    #expect(user.events == ["1 noMemory", "2 refused"])
    // Too long for libusb's control transfers.
    let control = user.transfer(.control, 0x80, tag: 3, length: 4096)
    control.setup = SetupPacket(requestType: 0x80, request: 6, value: 0, index: 0, length: 4096)
    mocked.answer(0, [UInt8](repeating: 1, count: 512))
    user.device.submit(control)
    user.waitForEvents(3)
    #expect(user.events.last == "3 completed")
    user.close()
    mocked.unplug()
  }

  @Test func aSubmitFromTheCompletionOfAFailedOneComesBackLaterToo() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    mocked.fail(mockedSubmit, ENOMEM, count: 3)
    var rounds = 0
    user.onCompleted = { transfer in
      rounds += 1
      if rounds < 3 { user.device.submit(transfer) }
    }
    user.submit(.interrupt, 0x81, tag: 1, length: 8)
    user.waitForEvents(3)
    #expect(user.events == ["1 noMemory", "1 noMemory", "1 noMemory"])
    user.onCompleted = nil
    user.close()
    mocked.unplug()
  }

  @Test func aCancelledTransferKeepsItsData() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    let first = user.submit(.interrupt, 0x81, tag: 1, length: 8)
    let second = user.submit(.interrupt, 0x81, tag: 2, length: 8)
    mocked.dataWhileDiscarded(0x81, [0xde, 0xad])
    user.device.cancel(second)
    user.device.cancel(second)
    user.device.cancel(first)
    #expect(first.state == .cancelling)
    user.waitForEvents(2)
    // B4.8: the kernel killed it with data in it.
    #expect(user.events == ["2 cancelled", "1 cancelled"])
    #expect(user.received == [1: [], 2: [0xde, 0xad]])
    user.device.cancel(first)
    user.close()
    mocked.unplug()
  }

  @Test func aCancelThatComesTooLateChangesNothing() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    let transfer = user.submit(.interrupt, 0x81, tag: 1, length: 8)
    mocked.answer(0x81, [3])
    user.device.cancel(transfer)
    user.waitForEvents(1)
    #expect(user.events == ["1 completed"])
    #expect(user.received[1] == [3])
    user.close()
    mocked.unplug()
  }

  @Test func aTimeoutEndsATransfer() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    let transfer = user.transfer(.interrupt, 0x81, tag: 1, length: 8)
    transfer.timeout = 20
    user.device.submit(transfer)
    user.waitForEvents(1)
    #expect(user.events == ["1 timedOut"])
    user.close()
    mocked.unplug()
  }

  // MARK: calls

  @Test func manyAreCancelledInOneCallYoungestFirst() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    for tag in 1...6 as ClosedRange<UInt64> { user.submit(.interrupt, 0x81, tag: tag, length: 8) }
    user.submit(.bulk, 0x82, tag: 7, length: 64)
    let slot = UInt32(1) << UInt32(EndpointAddress(rawValue: 0x81).slot)
    #expect(user.perform(.cancel(slots: slot)) == .done)
    user.waitForEvents(7)
    #expect(user.events.first == "call done")
    #expect(user.events.dropFirst().map { String($0.prefix(1)) } == ["6", "5", "4", "3", "2", "1"])
    #expect(mocked.posted == 1)
    mocked.answer(0x82, [1])
    user.waitForEvents(8)
    user.close()
    mocked.unplug()
  }

  @Test func settingAConfigurationClaimsItsInterfaces() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    _ = mocked.takeLog()
    #expect(user.perform(.setConfiguration(2)) == .done)
    // The kernel bound its driver to the new configuration.
    let expected = ["release 1", "release 0", "configuration 2", "detach 0", "claim 0"]
    #expect(mocked.takeLog() == expected)
    #expect(user.device.model.configuration == 2)
    #expect(user.device.model.interfaces.map { $0.alternateSettings[0].classCode } == [0xfe])
    user.close()
    // The configuration found is the one left behind, and setting it brings the drivers back.
    #expect(mocked.takeLog().suffix(3) == ["claim 0", "release 0", "configuration 1"])
    #expect(mocked.isBound(0))
    mocked.unplug()
  }

  @Test func unconfiguringIsAConfigurationToo() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    _ = mocked.takeLog()
    #expect(user.perform(.setConfiguration(0)) == .done)
    #expect(mocked.takeLog() == ["release 1", "release 0", "configuration -1"])
    #expect(user.device.model.configuration == 0)
    #expect(user.device.model.interfaces.isEmpty)
    user.close()
    mocked.unplug()
  }

  @Test func aConfigurationThatFailsIsClaimedAsBefore() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    _ = mocked.takeLog()
    mocked.fail(mockedSetConfiguration, EIO)
    #expect(user.perform(.setConfiguration(2)) == .failed)
    #expect(mocked.takeLog() == ["release 1", "release 0", "claim 0", "claim 1"])
    #expect(user.device.model.configuration == 1)
    #expect(user.device.model.interfaces.count == 2)
    user.close()
    #expect(mocked.isBound(0))
    mocked.unplug()
  }

  @Test func alternateSettingsClearHaltAndStreams() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    _ = mocked.takeLog()
    #expect(user.perform(.setAlternateSetting(interface: 1, setting: 1)) == .done)
    #expect(user.device.model.interfaces.map(\.current) == [0, 1])
    mocked.fail(mockedSetInterface, EINVAL)
    #expect(user.perform(.setAlternateSetting(interface: 1, setting: 0)) == .failed)
    #expect(user.device.model.interfaces.map(\.current) == [0, 1])
    #expect(user.perform(.clearHalt(EndpointAddress(rawValue: 0x82))) == .done)
    mocked.fail(mockedClearHalt, ENOENT)
    #expect(user.perform(.clearHalt(EndpointAddress(rawValue: 0x85))) == .failed)
    let slots = UInt32(1) << UInt32(EndpointAddress(rawValue: 0x82).slot) | 1 << 2
    #expect(user.perform(.allocateStreams(slots: slots, count: 8)) == .done)
    #expect(user.perform(.freeStreams(slots: slots)) == .done)
    mocked.fail(mockedStreams, EINVAL)
    #expect(user.perform(.allocateStreams(slots: slots, count: 8)) == .failed)
    #expect(
      mocked.takeLog() == [
        "setting 1 1", "clear halt 82", "allocate streams 8 of 02 82", "free streams of 02 82",
      ])
    // Fewer than asked for are of no use, and are given back (B5.3).
    mocked.hasStreams(4)
    #expect(user.perform(.allocateStreams(slots: slots, count: 8)) == .failed)
    #expect(mocked.takeLog() == ["allocate streams 8 of 02 82", "free streams of 02 82"])
    user.close()
    mocked.unplug()
  }

  @Test func aResetPutsSettingsBackToZero() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    #expect(user.perform(.setAlternateSetting(interface: 1, setting: 1)) == .done)
    _ = mocked.takeLog()
    #expect(user.perform(.reset) == .done)
    #expect(user.device.model.interfaces.map(\.current) == [0, 0])
    // libusb gives the interfaces up for the reset, which sets them to 0, and takes them again.
    #expect(mocked.takeLog() == ["release 0", "release 1", "reset", "claim 0", "claim 1"])
    user.close()
    // Nothing was transferred since.
    #expect(!mocked.takeLog().contains("reset"))
    #expect(mocked.isBound(0))
    mocked.unplug()
  }

  @Test func aResetThatFindsAnotherDevice() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    mocked.fail(mockedReset, ENODEV)
    #expect(user.perform(.reset) == .changed)
    mocked.fail(mockedReset, EIO)
    #expect(user.perform(.reset) == .failed)
    user.close()
    mocked.unplug()
  }

  @Test func whatIsSubmittedDuringACallWaitsForItsEnd() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    let early = user.submit(.interrupt, 0x81, tag: 1, length: 8)
    mocked.hold(mockedClearHalt)
    user.device.perform(.clearHalt(EndpointAddress(rawValue: 0x82)))
    user.run { mocked.isHolding }
    _ = mocked.takeLog()
    user.submit(.bulk, 0x82, tag: 2, length: 64)
    let never = user.submit(.bulk, 0x82, tag: 3, length: 64)
    user.submit(.bulk, 0x02, tag: 4, length: 1, out: [9])
    user.device.cancel(never)
    user.device.cancel(early)
    for _ in 0..<20 { bus.loop.reaps.run() }
    #expect(user.events.isEmpty)
    #expect(mocked.takeLog().isEmpty)
    mocked.letGo()
    user.waitForEvents(3)
    #expect(user.events.first == "call done")
    #expect(Set(user.events.dropFirst()) == ["3 cancelled", "1 cancelled"])
    let log = mocked.takeLog()
    #expect(
      log == [
        "clear halt 82", "submit 82 type 3 length 64", "submit 02 type 3 length 1 09", "discard 81",
      ])
    mocked.answer(0x82, [1])
    mocked.finish(0x02, taken: 1)
    user.waitForEvents(5)
    user.close()
    mocked.unplug()
  }

  @Test func aCallFromACompletionRunsAfterTheReap() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    user.onCompleted = { transfer in
      if transfer.tag == 1 { user.device.perform(.clearHalt(EndpointAddress(rawValue: 0x81))) }
    }
    user.submit(.interrupt, 0x81, tag: 1, length: 8)
    user.submit(.interrupt, 0x81, tag: 2, length: 8)
    mocked.finish(0x81, status: -EPIPE)
    mocked.answer(0x81, [2])
    user.waitForEvents(3)
    #expect(Set(user.events) == ["1 stalled", "2 completed", "call done"])
    #expect(user.events.first == "1 stalled")
    user.onCompleted = nil
    user.close()
    mocked.unplug()
  }

  @Test func aSleepingResetStopsNobodyElse() throws {
    let sleeper = MockedDevice()
    let other = MockedDevice()
    let sleeping = try #require(DeviceUser.open(sleeper))
    let user = try #require(DeviceUser.open(other))
    sleeping.submit(.interrupt, 0x81, tag: 1, length: 8)
    sleeper.hold(mockedReset)
    sleeping.device.perform(.reset)
    sleeping.run { sleeper.isHolding }
    // B3.6: while that ioctl sleeps, any other one on the device would block the loop; a hundred reports
    // pass.
    sleeper.answer(0x81, [1])
    for round in 0..<100 as Range<UInt8> {
      other.answer(0x81, [round])
      user.submit(.interrupt, 0x81, tag: UInt64(round), length: 8)
      user.waitForEvents(Int(round) + 1)
    }
    #expect(sleeper.isHolding)
    #expect(sleeping.events.isEmpty)
    #expect(user.received.count == 100)
    sleeper.letGo()
    sleeping.waitForEvents(2)
    #expect(sleeping.events == ["call done", "1 completed"])
    sleeping.close()
    user.close()
    sleeper.unplug()
    other.unplug()
  }

  // MARK: unplug

  @Test func unplugGivesEverythingBackAndSaysSoOnce() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    user.submit(.interrupt, 0x81, tag: 1, length: 8)
    user.submit(.interrupt, 0x81, tag: 2, length: 8)
    user.submit(.bulk, 0x82, tag: 3, length: 512)
    user.submit(.bulk, 0x02, tag: 4, length: 1, out: [1])
    user.submit(.interrupt, 0x03, tag: 5, length: 1, out: [2])
    let control = user.transfer(.control, 0x80, tag: 6, length: 8)
    control.setup = SetupPacket(requestType: 0x80, request: 0, value: 0, index: 0, length: 8)
    user.device.submit(control)
    mocked.unplug()
    user.waitForEvents(7)
    // B2.6: the owner hears of the device's end before it hears of any transfer's.
    #expect(user.events.first == "gone")
    #expect(Set(user.events.dropFirst()) == Set((1...6).map { "\($0) deviceGone" }))
    user.submit(.interrupt, 0x81, tag: 8, length: 8)
    user.waitForEvents(8)
    #expect(user.events.last == "8 deviceGone")
    #expect(user.perform(.reset) == .deviceGone)
    bus.run { mocked.info == nil }
    for _ in 0..<10 { bus.turn() }
    #expect(user.events.filter { $0 == "gone" }.count == 1)
    user.close()
  }

  @Test func whatIsCancelledBecauseTheDeviceIsGoneComesBackOnce() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    let transfers = (1...6).map { user.submit(.interrupt, 0x81, tag: $0, length: 8) }
    user.onGone = {
      for transfer in transfers { user.device.cancel(transfer) }
      user.device.perform(.cancel(slots: .max))
    }
    mocked.unplug()
    user.waitForEvents(8)
    for _ in 0..<10 { bus.turn() }
    #expect(user.events.first == "gone")
    #expect(Set(user.events.dropFirst()) == Set((1...6).map { "\($0) deviceGone" } + ["call deviceGone"]))
    #expect(user.events.count == 8)
    user.onGone = nil
    user.close()
  }

  @Test func closingFromTheLastCompletionWaitsForTheReap() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    var isClosed = false
    user.onCompleted = { _ in
      user.device.owner = nil
      user.device.close { isClosed = true }
    }
    user.submit(.interrupt, 0x81, tag: 1, length: 8)
    mocked.answer(0x81, [1])
    user.run { isClosed }
    user.onCompleted = nil
    #expect(mocked.takeLog().suffix(3) == ["release 1", "release 0", "attach 0"])
    mocked.unplug()
  }

  @Test func transfersOutliveTheirDevice() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    var kept: [Transfer] = (1...3).map { user.submit(.interrupt, 0x81, tag: $0, length: 8) }
    for value in 1...3 as ClosedRange<UInt8> { mocked.answer(0x81, [value]) }
    user.waitForEvents(3)
    user.close()
    // libusb's part of them went with the device's context.
    kept.removeAll()
    #expect(user.received == [1: [1], 2: [2], 3: [3]])
    mocked.unplug()
  }

  @Test func unplugWhileNothingIsPosted() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    mocked.unplug()
    user.waitForEvents(1)
    #expect(user.events == ["gone"])
    user.close()
  }

  @Test func unplugDuringACall() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    user.submit(.interrupt, 0x81, tag: 1, length: 8)
    mocked.hold(mockedClearHalt)
    user.device.perform(.clearHalt(EndpointAddress(rawValue: 0x81)))
    user.run { mocked.isHolding }
    user.submit(.interrupt, 0x81, tag: 2, length: 8)
    mocked.unplug()
    mocked.letGo()
    user.waitForEvents(4)
    #expect(Set(user.events) == ["gone", "call deviceGone", "1 deviceGone", "2 deviceGone"])
    #expect(user.events.first == "gone")
    user.close()
  }

  // MARK: permissions

  @Test func aDeniedOpenSaysWhoseTheNodeIsAndWhatToDo() throws {
    let mocked = MockedDevice()
    bus.run { mocked.info != nil }
    let path = try #require(mocked.info).nodePath
    #expect(unsafe chmod(path, 0o664) == 0)
    let error = USBError.opening(path + " (046d:c31c)", path, vendor: 0x046d, product: 0xc31c, code: EACCES)
    #expect(error.kind == .permission)
    #expect(error.mayPass)
    #expect(
      error.description
        == "cannot open \(path) (046d:c31c): permission denied; it is owned by root:root, mode 0664; to allow "
        + "group plugdev, add to /etc/udev/rules.d/70-usbredir.rules: SUBSYSTEM==\"usb\", "
        + "ATTR{idVendor}==\"046d\", ATTR{idProduct}==\"c31c\", GROUP=\"plugdev\", MODE=\"0660\"")
    mocked.unplug()
  }

  /// A transfer that is cancelled while a call waits for the end of the reap, and that comes back in that same reap.
  @Test func cancelledInAReapThatBringsItBack() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    let second = user.transfer(.interrupt, 0x81, tag: 2, length: 8)
    user.onCompleted = { [device = user.device] transfer in
      guard transfer.tag == 1 else { return }
      device.perform(.setAlternateSetting(interface: 1, setting: 1))
      device.cancel(second)
    }
    user.submit(.interrupt, 0x81, tag: 1, length: 8)
    user.device.submit(second)
    mocked.answer(0x81, [1])
    mocked.answer(0x81, [2])
    user.waitForEvents(3)
    #expect(user.events == ["1 completed", "2 completed", "call done"])
    #expect(mocked.posted == 0, "what came back is not posted again")
    user.onCompleted = nil
    user.close()
    mocked.unplug()
  }

  /// Whoever closes a device keeps it (as AttachedDevice does); both go when it is closed.
  @Test func aClosedDeviceIsFreed() throws {
    weak var device: USBDevice?
    weak var keeper: DeviceUser?
    let mocked = MockedDevice()
    do {
      let user = try #require(DeviceUser.open(mocked))
      device = user.device
      keeper = user
      user.close()
    }
    bus.run { mocked.info != nil }
    #expect(device == nil, "the closed device lives on")
    #expect(keeper == nil)
    mocked.unplug()
  }
}
