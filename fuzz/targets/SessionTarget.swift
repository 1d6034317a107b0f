// A session with a device that does whatever the input says: reports, stalls, errors, completions that come late or
// with a cancel, calls that hang or fail, unplug and re-plug, while the guest sends whatever the input says.

func fuzzSession(_ input: FuzzInput) {
  var input = input
  let turns = FuzzLoop()
  let flags = input.byte()
  let description: DeviceDescription = flags & 1 == 0 ? .scripted : .streams
  let device = ScriptedDevice(description, loop: turns.loop, isRecording: flags & 2 != 0)
  device.killsInReverse = flags & 4 != 0
  device.hasStreams = flags & 8 != 0
  let rig = SessionRig(turns, device, endpoints: [0x81, 0x01, 0x82, 0x02, 0x83, 0x03], &input)
  device.onPlug = { [rig = Unowned(rig)] in rig.value.deviceCame() }
  while !input.isEmpty {
    switch input.byte() {
    case 0..<0x70: rig.act(&input)
    case 0x70..<0xd0: disturb(device, rig, &input)
    case 0xfc...0xff: turns.pass(milliseconds: UInt64(input.byte()) * 50)
    default: rig.turn()
    }
  }
  device.releaseCalls()
  for endpoint in endpoints { device.release(endpoint) }
  turns.settle()
  rig.finish()
}

private let endpoints: [EndpointAddress] = [0x81, 0x01, 0x82, 0x02, 0x83, 0x03, 0x00].map {
  EndpointAddress(rawValue: $0)
}

private func disturb(_ device: ScriptedDevice, _ rig: SessionRig, _ input: inout FuzzInput) {
  let endpoint = input.choose(endpoints)
  switch input.number(16) {
  case 0, 1, 2: device.report(endpoint, input.data(atMost: 5000))
  case 3: device.fillCancelled(endpoint, input.data(atMost: 500))
  case 4: device.stall(endpoint)
  case 5:
    device.fail(endpoint, input.choose([.failed, .timedOut, .overflow, .noMemory, .refused, .cancelled]))
  case 6: device.hold(endpoint)
  case 7, 8: device.release(endpoint)
  case 9: device.holdCalls()
  case 10: device.releaseCalls()
  case 11: device.unplug()
  case 12: device.plug()
  case 13: rig.toggleReading()
  case 14:
    // Cancels can only be issued.
    let call = input.choose(CallName.allCases.filter { $0 != .cancel })
    device.fail(call, input.choose([.failed, .stalled, .changed, .deviceGone]))
  default:
    device.answer(
      ControlRule(
        requestType: input.byte(), request: input.byte(), value: nil, index: nil,
        answer: input.chance(128) ? .fails(.stalled) : .data(input.data(atMost: 5000))))
  }
}

extension DeviceDescription {
  /// As the scripted device in its endpoints, and fast: streams on its bulk endpoints, bursts on the others.
  fileprivate static var streams: DeviceDescription {
    var endpoints =
      pair(1, .interrupt, size: 1024, interval: 1) + pair(2, .bulk, size: 1024, interval: 0)
      + pair(3, .isochronous, size: 1024, interval: 1)
    for index in endpoints.indices {
      endpoints[index].maxBurst = 15
      endpoints[index].companionAttributes = endpoints[index].type == .bulk ? 4 : 2
    }
    return DeviceDescription(
      speed: .super, usbVersion: 0x0300, vendor: 0x1209, product: 0x0001, maxPacketSize0: 9,
      manufacturerName: "fuzz", productName: "Streams", serialNumber: "1",
      configurations: [
        ConfigurationDescription(
          value: 1, interfaces: [InterfaceDescription(number: 0, settings: [vendorSetting(0, endpoints)])])
      ])
  }
}
