// What a guest sends to a session, decided by the input: packets that are right in themselves for a device's
// endpoints, packets that lie, and bytes that are none.

/// Makes packets, and counts the answers that each id may get.
struct GuestPackets {
  let capabilities: Capabilities
  let endpoints: [UInt8]
  /// By id, the requests that were sent and not answered yet.
  private(set) var open: [UInt64: Int] = [:]
  /// Bytes were sent that may be packets that nobody counted.
  private(set) var isUncounted = false
  private var lastID: UInt64 = 100

  init(_ capabilities: Capabilities, endpoints: [UInt8]) {
    self.capabilities = capabilities
    self.endpoints = endpoints
  }

  /// An answer came; false when nothing is open that it answers.
  mutating func answered(_ id: UInt64) -> Bool {
    guard !isUncounted else { return true }
    guard let count = open[id], count > 0 else { return false }
    open[id] = count - 1
    return true
  }

  /// The id of a request: a new one, or one that has been there.
  private mutating func request(_ input: inout FuzzInput) -> UInt64 {
    var id = UInt64(input.number(8))
    if id < 6 {
      lastID += 1
      id = lastID
    }
    open[id, default: 0] += 1
    return id
  }

  private func endpoint(_ input: inout FuzzInput) -> UInt8 {
    let choice = Int(input.byte())
    return choice < 0xf0 ? endpoints[choice % endpoints.count] : input.byte()
  }

  private func bytes<Header: TypeHeader>(_ header: Header, id: UInt64, _ data: [UInt8] = []) -> [UInt8] {
    packetBytes(header, id: id, data, capabilities)
  }

  mutating func next(_ input: inout FuzzInput) -> [UInt8] {
    let some = UInt64(input.number(4))
    switch input.number(24) {
    case 0: return bytes(StartInterruptReceivingHeader(endpoint: endpoint(&input)), id: some)
    case 1: return bytes(StopInterruptReceivingHeader(endpoint: endpoint(&input)), id: some)
    case 2: return startBulk(&input, some)
    case 3: return stopBulk(&input, some)
    case 4, 5: return bulk(&input)
    case 6: return interrupt(&input)
    case 7, 8: return control(&input)
    case 9: return packetBytes(PacketType.cancelDataPacket.rawValue, id: cancelled(&input), [], capabilities)
    case 10: return bytes(SetConfigurationHeader(configuration: UInt8(input.number(4))), id: some)
    case 11:
      let header = SetAltSettingHeader(interface: UInt8(input.number(3)), alt: UInt8(input.number(3)))
      return bytes(header, id: some)
    case 12: return bytes(GetAltSettingHeader(interface: UInt8(input.number(3))), id: some)
    case 13:
      let header = StartIsoStreamHeader(
        endpoint: endpoint(&input), packetsPerURB: UInt8(input.number(36)), urbs: UInt8(input.number(20)))
      return bytes(header, id: some)
    case 14: return bytes(StopIsoStreamHeader(endpoint: endpoint(&input)), id: some)
    case 15:
      let (address, data) = (endpoint(&input), input.data(atMost: 3000))
      return bytes(
        IsoPacketHeader(endpoint: address, status: .success, length: UInt16(data.count)), id: some, data)
    case 16: return streams(&input, some)
    case 17: return filter(&input)
    case 18:
      let types: [PacketType] = [.reset, .getConfiguration, .filterReject, .deviceDisconnectAck]
      return packetBytes(input.choose(types).rawValue, id: some, [], capabilities)
    case 19: return lying(&input)
    case 20:
      isUncounted = true
      return input.take(input.number(64))
    default: return packetBytes(PacketType.deviceDisconnectAck.rawValue, id: 0, [], capabilities)
    }
  }

  private mutating func cancelled(_ input: inout FuzzInput) -> UInt64 {
    lastID - UInt64(input.number(8))
  }

  private mutating func bulk(_ input: inout FuzzInput) -> [UInt8] {
    let (id, address) = (request(&input), endpoint(&input))
    let isIn = address & 0x80 != 0
    let data = isIn ? [] : input.byte() < 0x40 ? wrapper(&input) : input.data(atMost: 40_000)
    let length = isIn ? UInt32(input.u16()) << UInt32(input.number(8)) : UInt32(data.count)
    let header = BulkPacketHeader(
      endpoint: address, status: .success, length: length, streamID: input.chance(64) ? input.u32() : 0)
    return bytes(header, id: id, data)
  }

  private func wrapper(_ input: inout FuzzInput) -> [UInt8] {
    let kind = input.byte()
    return wrapperBytes(&input, kind)
  }

  private mutating func interrupt(_ input: inout FuzzInput) -> [UInt8] {
    let (id, address) = (request(&input), endpoint(&input))
    let data = input.data(atMost: 1024)
    let header = InterruptPacketHeader(endpoint: address, status: .success, length: UInt16(data.count))
    return bytes(header, id: id, data)
  }

  private mutating func control(_ input: inout FuzzInput) -> [UInt8] {
    let id = request(&input)
    let type = input.chance(128) ? input.byte() : input.choose([0x80, 0x81, 0x82, 0xa1, 0, 1, 2, 0x21])
    let isIn = type & 0x80 != 0
    let (request, value) = (input.chance(64) ? input.byte() : UInt8(input.number(13)), input.u16())
    let kind = input.byte()
    let index = kind < 0x80 ? UInt16(endpoint(&input)) : kind < 0xf0 ? UInt16(input.byte()) : input.u16()
    let data = isIn ? [] : input.data(atMost: 4096)
    let length = isIn ? input.u16() : UInt16(data.count)
    let header = ControlPacketHeader(
      endpoint: isIn ? 0x80 : 0, request: request, requestType: type, status: .success, value: value,
      index: index,
      length: length)
    return bytes(header, id: id, data)
  }

  private func startBulk(_ input: inout FuzzInput, _ id: UInt64) -> [UInt8] {
    let header = StartBulkReceivingHeader(
      streamID: input.chance(32) ? input.u32() : 0, bytesPerTransfer: UInt32(input.u16()),
      endpoint: endpoint(&input), transfers: input.byte())
    guard capabilities.contains(.bulkReceiving) else { return [] }
    return bytes(header, id: id)
  }

  private func stopBulk(_ input: inout FuzzInput, _ id: UInt64) -> [UInt8] {
    guard capabilities.contains(.bulkReceiving) else { return [] }
    return bytes(StopBulkReceivingHeader(streamID: 0, endpoint: endpoint(&input)), id: id)
  }

  private func streams(_ input: inout FuzzInput, _ id: UInt64) -> [UInt8] {
    guard capabilities.contains(.bulkStreams) else { return [] }
    let endpoints = input.chance(64) ? input.u32() : 1 << 18 | 1 << 2
    guard input.chance(64) else {
      return bytes(AllocBulkStreamsHeader(endpoints: endpoints, streams: UInt32(input.byte())), id: id)
    }
    return bytes(FreeBulkStreamsHeader(endpoints: endpoints), id: id)
  }

  private func filter(_ input: inout FuzzInput) -> [UInt8] {
    let texts = ["0x03,-1,-1,-1,0|-1,-1,-1,-1,1", "-1,-1,-1,-1,1", "-1,0x1209,-1,-1,0"]
    let text = input.chance(128) ? input.take(input.number(64)) : Array(input.choose(texts).utf8)
    return packetBytes(PacketType.filterFilter.rawValue, id: 0, text + [0], capabilities)
  }

  /// A packet of any type with anything in it, framed right or not.
  private mutating func lying(_ input: inout FuzzInput) -> [UInt8] {
    let types = PacketType.allCases
    let type = input.chance(16) ? input.u32() : types[input.number(types.count)].rawValue
    let body = input.take(input.number(80))
    let isFramed = !input.chance(16)
    let id = request(&input)
    if !isFramed { isUncounted = true }
    return packetBytes(type, id: id, body, length: isFramed ? nil : UInt32(input.u16()), capabilities)
  }
}
