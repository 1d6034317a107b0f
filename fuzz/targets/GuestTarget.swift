// A probe with any tasks against a usb-host that the input plays: answers to what the probe asked, answers to nothing,
// packets of every kind, bytes. What the probe sends has to be legal, and it comes to its end when the host leaves.

func fuzzGuest(_ input: FuzzInput) {
  var input = input
  let turns = FuzzLoop()
  let host = HostileHost(turns, &input)
  var lines = 0
  let output = ProbeOutput(
    print: {
      check(!$0.isEmpty, "a line without a word")
      lines += 1
      return lines < 5000
    }, complain: { check(!$0.isEmpty, "a complaint without a word") })
  let probe = Probe(turns.loop, options(&input), output: output, log: turns.log)
  probe.startClock()
  probe.adopt(host.peer.theirs, to: "fuzz")
  if input.byte() & 1 == 0 { host.announce() }
  while !input.isEmpty, !turns.loop.isStopped { host.act(&input, probe) }
  host.leave()
  turns.run(200) { turns.loop.isStopped }
  check(turns.loop.isStopped, "a probe does not come to its end")
}

private func options(_ input: inout FuzzInput) -> ProbeOptions {
  var options = ProbeOptions(address: .unix("/nowhere"))
  let flags = input.byte()
  options.json = flags & 1 != 0
  options.isBuffered = flags & 2 != 0
  options.count = flags & 4 != 0 ? 1 + input.number(20) : nil
  for _ in 0..<(flags >> 6) { options.tasks.append(task(&input)) }
  return options
}

private func task(_ input: inout FuzzInput) -> ProbeTask {
  let iso = EndpointAddress(rawValue: input.choose([0x83, 0x03]))
  switch input.number(10) {
  case 0: return .descriptors
  case 1: return .disk
  case 2: return .latency
  case 3: return .exchange([1, 2, 3], isPadded: input.byte() & 1 != 0)
  case 4: return .iso(iso, seconds: input.byte() & 1 == 0 ? nil : 1)
  case 5:
    let total: UInt64? = input.byte() & 1 == 0 ? nil : UInt64(input.u16())
    return .bulk([
      BulkJob(endpoint: EndpointAddress(rawValue: 0x82), total: total, size: 700, depth: 3),
      BulkJob(endpoint: EndpointAddress(rawValue: 0x02), total: total, size: 100, depth: 2),
    ])
  case 6: return .configuration(input.byte())
  case 7: return .alternateSetting(interface: input.byte(), input.byte())
  case 8: return .reset
  default:
    return .control(
      SetupPacket(requestType: 0xc0, request: input.byte(), value: 2, index: 3, length: input.u16()), [])
  }
}

private final class HostileHost {
  private struct Asked {
    let type: PacketType
    let id: UInt64
    let header: [UInt8]
    let data: [UInt8]
  }

  private let turns: FuzzLoop
  private let offered: Capabilities
  private let capabilities: Capabilities
  let peer: FuzzPeer
  private var asked: [Asked] = []
  /// dCBWTag of the last command.
  private var tag: [UInt8] = [0, 0, 0, 0]

  init(_ turns: FuzzLoop, _ input: inout FuzzInput) {
    self.turns = turns
    let flags = input.byte()
    offered = Capabilities(rawValue: flags & 1 == 0 ? 0xff : UInt32(input.byte()))
    capabilities = Capabilities.negotiated(GuestSession.capabilities, offered)
    peer = FuzzPeer(.usbHost, offered, smallBuffer: flags & 2 != 0)
    peer.onPacket = { [host = Unowned(self)] in host.value.received($0, $1, $2, $3) }
  }

  func announce() {
    send(raw: helloBytes(offered))
    send(HostileHost.endpoints)
    var interfaces = InterfaceInfoHeader()
    interfaces.count = 1
    interfaces.interfaces[0] = InterfaceInfoHeader.Interface(
      number: 0, classCode: 8, subclass: 6, protocol: 0x50)
    send(interfaces)
    send(
      DeviceConnectHeader(
        speed: 2, deviceClass: 0, deviceSubclass: 0, deviceProtocol: 0, vendor: 0x1234, product: 0xabcd,
        deviceVersion: 0x0203))
    turn()
  }

  private static var endpoints: EndpointInfoHeader {
    var header = EndpointInfoHeader()
    for slot in [0, 16] { header.slots[slot].type = 0 }
    for (number, type, size) in [(1, TransferType.interrupt, 8), (2, .bulk, 512), (3, .isochronous, 192)] {
      for slot in [number, 16 + number] {
        header.slots[slot] = EndpointInfoHeader.Slot(
          type: type.rawValue, interval: 1, interface: 0, maxPacketSize: UInt16(size))
      }
    }
    return header
  }

  /// A device descriptor with two configurations and bcdUSB 2.01.
  private static let device: [UInt8] = [18, 1, 1, 2, 0, 0, 0, 64, 1, 2, 3, 4, 5, 6, 1, 2, 3, 2]

  func leave() { peer.hangUp() }

  private func turn() {
    turns.turn()
    peer.receive()
  }

  private func send(raw bytes: [UInt8]) { peer.send(bytes, turns) }

  private func send<Header: TypeHeader>(_ header: Header, id: UInt64 = 0, _ data: [UInt8] = []) {
    send(raw: packetBytes(header, id: id, data, capabilities))
  }

  private func received(
    _ header: PacketHeader, _ type: PacketType, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>
  ) {
    turns.isBusy = true
    if type == .hello { return }
    let head = typeHeader.indices.map { typeHeader[$0] }
    let bytes = data.indices.map { data[$0] }
    if type == .bulkPacket, bytes.count == 31 { tag = Array(bytes[4..<8]) }
    if asked.count >= 64 { asked.removeFirst() }
    asked.append(Asked(type: type, id: header.id, header: head, data: bytes))
  }

  func act(_ input: inout FuzzInput, _ probe: Probe) {
    switch input.byte() {
    case 0..<0x80: answer(&input)
    case 0x80..<0xc0: unasked(&input)
    case 0xc0..<0xc4: peer.reads.toggle()
    case 0xc4: probe.interrupt()
    case 0xc5:
      send(raw: input.take(input.number(64)))
    case 0xc6: announce()
    case 0xc7...0xca: turns.pass(milliseconds: UInt64(input.byte()) * 50)
    default: turn()
    }
  }

  private func status(_ input: inout FuzzInput) -> Status {
    let byte = input.byte()
    return byte < 0xc0 ? .success : Status(wire: byte & 0x0f)
  }

  /// Answers one of what the probe asked, the oldest more often than not.
  private func answer(_ input: inout FuzzInput) {
    turn()
    guard !asked.isEmpty else { return }
    let choice = input.number(256)
    let index = choice < 0xc0 ? 0 : choice % asked.count
    let packet = choice & 1 == 0 || choice < 0xc0 ? asked.remove(at: index) : asked[index]
    let status = status(&input)
    let id = packet.id
    let endpoint = packet.header.first ?? 0
    switch packet.type {
    case .controlPacket:
      var header = packet.header.span.asControl
      header.status = status
      let data = header.endpoint == 0 ? [] : descriptor(&input, Int(header.length))
      if header.endpoint != 0 { header.length = UInt16(data.count) }
      send(header, id: id, data)
    case .bulkPacket: answerBulk(&input, packet.header, packet.data.count, id, status)
    case .interruptPacket:
      send(
        InterruptPacketHeader(endpoint: endpoint, status: status, length: UInt16(packet.data.count)), id: id)
    case .getConfiguration, .setConfiguration:
      send(ConfigurationStatusHeader(status: status, configuration: input.byte()), id: id)
    case .setAltSetting, .getAltSetting:
      send(AltSettingStatusHeader(status: status, interface: endpoint, alt: input.byte()), id: id)
    case .startInterruptReceiving, .stopInterruptReceiving:
      send(InterruptReceivingStatusHeader(status: status, endpoint: endpoint), id: id)
    case .startIsoStream, .stopIsoStream:
      send(IsoStreamStatusHeader(status: status, endpoint: endpoint), id: id)
    case .startBulkReceiving, .stopBulkReceiving:
      send(BulkReceivingStatusHeader(streamID: 0, endpoint: 0x82, status: status), id: id)
    default: break
    }
  }

  private func answerBulk(
    _ input: inout FuzzInput, _ header: [UInt8], _ sent: Int, _ id: UInt64, _ status: Status
  ) {
    let (endpoint, length) = (header[0], Int(header[2]) | Int(header[3]) << 8)
    var data: [UInt8] = []
    if endpoint & 0x80 != 0 {
      data = input.data(atMost: max(length, 64))
      // Of disks that the probe believes.
      if input.chance(128) {
        if length == 13 { data = [0x55, 0x53, 0x42, 0x53] + tag + [0, 0, 0, 0, input.byte() & 3] }
        if length == 8 { data = [0, 0, 0, input.byte(), 0, 0, input.byte() & 3, 0] }
      }
    }
    let count = endpoint & 0x80 != 0 ? data.count : sent + (input.chance(32) ? 1 : 0)
    send(
      BulkPacketHeader(endpoint: endpoint, status: status, length: UInt32(count), streamID: 0), id: id, data)
  }

  private func descriptor(_ input: inout FuzzInput, _ length: Int) -> [UInt8] {
    if input.chance(64) { return Array(HostileHost.device.prefix(length)) }
    var data = input.data(atMost: max(length, 300))
    guard input.chance(128), data.count >= 9 else { return data }
    data[0] = UInt8(min(data.count, 18))
    data[1] = UInt8(1 + input.number(15))
    return data
  }

  private func unasked(_ input: inout FuzzInput) {
    let id = UInt64(input.byte())
    let status = status(&input)
    switch input.number(12) {
    case 0, 1:
      let data = input.data(atMost: 3000)
      send(InterruptPacketHeader(endpoint: 0x81, status: status, length: UInt16(data.count)), id: id, data)
    case 2:
      guard capabilities.contains(.bulkReceiving) else { return }
      let data = input.data(atMost: 3000)
      send(
        BufferedBulkPacketHeader(streamID: 0, length: UInt32(data.count), endpoint: 0x82, status: status),
        id: id,
        data)
    case 3:
      let data = input.data(atMost: 1000)
      send(
        IsoPacketHeader(endpoint: 0x83, status: status, length: UInt16(data.count)), id: id << 56 | id, data)
    case 4: send(InterruptReceivingStatusHeader(status: status, endpoint: input.byte()), id: id)
    case 5: send(IsoStreamStatusHeader(status: status, endpoint: input.byte()), id: id)
    case 6: infos(&input)
    case 7: send(raw: packetBytes(PacketType.deviceDisconnect.rawValue, id: 0, [], capabilities))
    default: anyPacket(&input, id)
    }
  }

  private func infos(_ input: inout FuzzInput) {
    var header = HostileHost.endpoints
    for _ in 0..<input.number(8) {
      header.slots[input.number(32)] = EndpointInfoHeader.Slot(
        type: input.byte() & 7, interval: input.byte(), interface: input.byte(), maxPacketSize: input.u16())
    }
    send(header)
  }

  private func anyPacket(_ input: inout FuzzInput, _ id: UInt64) {
    let types = PacketType.allCases
    let type = input.chance(16) ? input.u32() : types[input.number(types.count)].rawValue
    let length: UInt32? = input.chance(16) ? UInt32(input.u16()) : nil
    let body = input.take(input.number(100))
    send(raw: packetBytes(type, id: id, body, length: length, capabilities))
  }
}

extension Span<UInt8> {
  fileprivate var asControl: ControlPacketHeader { ControlPacketHeader(decoding: self) }
}
