// What guests do: every packet of the protocol, in every order that a usb-guest may send it in, and what no usb-guest
// should send.
@testable import usbredir_evloop

extension Guest {
  /// One thing, or a few at once.
  func act() {
    switch manner {
    case .silent: return
    case .hostile: return misbehave()
    case .valid, .slow, .vanishing: break
    }
    guard model.hasHello else { return }
    guard model.isConnected else {
      if world.random.chance(50) {
        world.saw(.askLate)
        request()
      }
      return
    }
    switch world.random.below(100) {
    case 0..<35: for _ in 0...world.random.skewed(12) { request() }
    case 35..<47: cancel()
    case 47..<62: receiving()
    case 62..<68: isochronous()
    case 68..<76: question()
    case 76..<83: settings()
    case 83..<88: bulkStreams()
    case 88..<90: filter()
    case 90..<94: badRequest()
    case 94..<97: badStart()
    default: routed()
    }
  }

  // MARK: requests

  private var isCertain: Bool { model.isConnected && model.isSettled }

  private func slots(_ type: TransferType) -> [Int] {
    (0..<32).filter { model.endpoints[$0] == type.rawValue }
  }

  private func endpoint(_ slot: Int) -> UInt8 { EndpointAddress(slot: slot).rawValue }

  func request() {
    switch world.random.below(3) {
    case 0: control()
    case 1: bulk()
    default: interruptOut()
    }
  }

  private func control() {
    let isIn = world.random.chance(500)
    let length = world.random.skewed(300)
    let data = isIn ? [] : outData(length)
    let body: [UInt8] =
      [isIn ? 0x80 : 0, 0x42, isIn ? 0xc0 : 0x40, 0] + Wire.bytes(UInt64(packets), 2) + [0, 0]
      + Wire.bytes(UInt64(length), 2)
    world.saw(.requestControl)
    send(Wire.control, isIn ? 0x80 : 0, 0, length, data, body)
  }

  private func bulk(streamID: UInt32 = 0) {
    let slots = slots(.bulk)
    guard !slots.isEmpty else { return control() }
    let slot = world.random.pick(slots)
    let length = world.random.skewed(world.random.chance(50) ? 60_000 : 600)
    let data = slot >= 16 ? [] : outData(length)
    world.saw(.requestBulk)
    send(Wire.bulk, endpoint(slot), streamID, length, data, bulkBody(endpoint(slot), length, streamID))
  }

  private func bulkBody(_ endpoint: UInt8, _ length: Int, _ streamID: UInt32) -> [UInt8] {
    [endpoint, 0] + Wire.bytes(UInt64(length & 0xffff), 2) + Wire.bytes(UInt64(streamID), 4)
      + (reader.has(Wire.length32Bit) ? Wire.bytes(UInt64(length >> 16), 2) : [])
  }

  private func interruptOut() {
    let slots = slots(.interrupt).filter { $0 < 16 }
    guard !slots.isEmpty else { return bulk() }
    let endpoint = endpoint(world.random.pick(slots))
    let data = outData(world.random.skewed(200))
    world.saw(.requestInterrupt)
    send(Wire.interrupt, endpoint, 0, data.count, data, [endpoint, 0] + Wire.bytes(UInt64(data.count), 2))
  }

  private func outData(_ count: Int) -> [UInt8] {
    let start = world.random.below(256)
    return (0..<count).map { UInt8(truncatingIfNeeded: start + $0) }
  }

  @discardableResult private func send(
    _ type: UInt32, _ endpoint: UInt8, _ streamID: UInt32, _ length: Int, _ data: [UInt8], _ body: [UInt8],
    id: UInt64? = nil, change: (SentRequest) -> Void = { _ in }
  ) -> SentRequest {
    let sent = SentRequest(id ?? newID(), type, endpoint, streamID, length, data, packets)
    sent.isCertain = isCertain
    change(sent)
    model.sent(sent)
    packet(type, sent.id, body + data)
    return sent
  }

  /// Standard requests that are never sent raw (B3.2).
  private func routed() {
    var type: UInt8 = 0
    var request: UInt8 = 5
    var value = 7
    var index = 0
    switch world.random.below(4) {
    case 0: world.saw(.requestSetAddress)
    case 1:
      request = 9
      value = world.random.pick([0, 1, 1, 2, 5])
      world.saw(.requestSetConfiguration)
    case 2:
      type = 1
      request = 11
      value = world.random.pick([0, 1, 1, 3, 9])
      index = world.random.below(2)
      world.saw(.requestSetInterface)
    default:
      let slots = slots(.bulk) + slots(.interrupt)
      guard !slots.isEmpty else { return }
      type = 2
      request = 1
      value = 0
      index = Int(endpoint(world.random.pick(slots)))
      world.saw(.requestClearHalt)
    }
    let body = [0, request, type, 0] + Wire.bytes(UInt64(value), 2) + Wire.bytes(UInt64(index), 2) + [0, 0]
    send(Wire.control, 0, 0, 0, [], body) { $0.isRouted = true }
  }

  private func badRequest() {
    world.saw(.requestBad)
    switch world.random.below(3) {
    case 0:
      // No device has so many endpoints.
      let isIn = world.random.chance(500)
      send(
        Wire.bulk, isIn ? 0x8e : 0x0e, 0, isIn ? 64 : 0, [], bulkBody(isIn ? 0x8e : 0x0e, isIn ? 64 : 0, 0)
      ) { $0.isBad = true }
    case 1:
      let body: [UInt8] = [0x80, 6, 0x00, 0, 0, 1, 0, 0, 18, 0]
      send(Wire.control, 0x80, 0, 18, [], body) { $0.isBad = true }
    default:
      send(Wire.interrupt, 0x0d, 0, 0, [], [0x0d, 0, 0, 0]) { $0.isBad = true }
    }
  }

  private func cancel() {
    guard let request = model.cancellable() else { return }
    request.cancelNumber = packets
    world.saw(.requestCancelled, request.id)
    packet(Wire.cancel, request.id, [])
    guard world.random.chance(300), request.type == Wire.bulk, !request.isBad, isCertain,
      slots(.bulk).contains(EndpointAddress(rawValue: request.endpoint).slot)
    else { return }
    // Again with the same id, right away; of another length, to be told apart.
    let length = request.length == 17 ? 18 : 17
    let data = request.endpoint & 0x80 != 0 ? [] : outData(length)
    world.saw(.idReused, request.id)
    send(
      Wire.bulk, request.endpoint, request.streamID, length, data,
      bulkBody(request.endpoint, length, request.streamID), id: request.id)
  }

  // MARK: streams

  private func receiving() {
    let interrupts = slots(.interrupt).filter { $0 >= 16 }
    let bulks = reader.has(Wire.receivingBit) ? slots(.bulk).filter { $0 >= 16 } : []
    guard let slot = (interrupts + bulks).isEmpty ? nil : world.random.pick(interrupts + bulks) else {
      return
    }
    let isBulk = bulks.contains(slot)
    let isOn = model.streams[slot].isActive
    let isBusy = !model.streams[slot].asked.isEmpty
    // A stop of what is off, or a start of what is on, is legal and rare.
    let starts = world.random.chance(100) ? isOn : !isOn
    if isBusy { return }
    if isBulk {
      starts ? startBulk(slot) : stopBulk(slot)
    } else {
      starts ? startInterrupt(slot) : stopInterrupt(slot)
    }
    if !starts && world.random.chance(400) {
      world.saw(.startAgain)
      isBulk ? startBulk(slot) : startInterrupt(slot)
    }
  }

  private func startInterrupt(_ slot: Int) {
    world.saw(.startInterrupt, UInt64(slot))
    stream(Wire.startInterrupt, Wire.interruptStatus, slot, [endpoint(slot)], isStart: true)
  }

  private func stopInterrupt(_ slot: Int) {
    world.saw(.stopInterrupt, UInt64(slot))
    stream(Wire.stopInterrupt, Wire.interruptStatus, slot, [endpoint(slot)], isStart: false)
  }

  private func startBulk(_ slot: Int) {
    let size = max(8, model.packetSizes[slot])
    let bytes = size * world.random.pick([1, 1, 2, 8])
    world.saw(.startBulk, UInt64(slot))
    startBulk(slot, bytes: bytes, transfers: UInt8(world.random.within(1...16)), streamID: 0)
  }

  private func startBulk(_ slot: Int, bytes: Int, transfers: UInt8, streamID: UInt32) {
    let body = Wire.bytes(UInt64(streamID), 4) + Wire.bytes(UInt64(bytes), 4) + [endpoint(slot), transfers]
    stream(Wire.startBulk, Wire.bulkStatus, slot, body, isStart: true)
  }

  private func stopBulk(_ slot: Int) {
    world.saw(.stopBulk, UInt64(slot))
    stream(Wire.stopBulk, Wire.bulkStatus, slot, [0, 0, 0, 0, endpoint(slot)], isStart: false)
  }

  private func stream(_ type: UInt32, _ answer: UInt32, _ slot: Int, _ body: [UInt8], isStart: Bool) {
    let id = newID()
    model.streams[slot].asked.append(Question(id: id, answer: answer, number: packets, isStart: isStart))
    packet(type, id, body)
  }

  private func isochronous() {
    let slots = slots(.isochronous)
    guard !slots.isEmpty else { return settings() }
    let slot = world.random.pick(slots)
    let isBusy = !model.streams[slot].asked.isEmpty
    if model.streams[slot].isActive && slot < 16 && world.random.chance(800) { return sendIso(slot) }
    if isBusy { return }
    if model.streams[slot].isActive {
      world.saw(.stopIso, UInt64(slot))
      stream(Wire.stopIso, Wire.isoStatus, slot, [endpoint(slot)], isStart: false)
    } else {
      world.saw(.startIso, UInt64(slot))
      let body = [endpoint(slot), UInt8(world.random.within(1...8)), UInt8(world.random.within(1...6))]
      stream(Wire.startIso, Wire.isoStatus, slot, body, isStart: true)
    }
  }

  private func sendIso(_ slot: Int) {
    for _ in 0...world.random.below(40) {
      isoSerial += 1
      let data = Wire.bytes(UInt64(isoSerial), 4) + outData(world.random.below(60))
      world.saw(.isoSent)
      packet(Wire.iso, UInt64(isoSerial), [endpoint(slot), 0] + Wire.bytes(UInt64(data.count), 2) + data)
    }
  }

  private func badStart() {
    world.saw(.startBad)
    let bulks = slots(.bulk).filter {
      $0 >= 16 && !model.streams[$0].isActive && model.streams[$0].asked.isEmpty
    }
    switch world.random.below(3) {
    case 0:
      guard model.streams[0x1e].asked.isEmpty else { return }
      startInterrupt(0x1e)
    case 1:
      guard let slot = bulks.first, reader.has(Wire.receivingBit) else { return }
      let wrong = world.random.pick([(0, UInt8(1)), (64, 0), (64, 17), (65, 1), (1 << 30, 1), (8 << 20, 16)])
      startBulk(slot, bytes: wrong.0, transfers: wrong.1, streamID: 0)
    default:
      guard let slot = bulks.first, reader.has(Wire.receivingBit) else { return }
      startBulk(slot, bytes: 64, transfers: 1, streamID: 99)
    }
  }

  // MARK: questions and operations

  func ask(_ type: UInt32, _ answer: UInt32, _ body: [UInt8], isOperation: Bool) {
    let id = newID()
    model.asked(Question(id: id, answer: answer, number: packets, isOperation: isOperation))
    packet(type, id, body)
  }

  private func question() {
    if world.random.chance(500) {
      world.saw(.askGetConfiguration)
      ask(Wire.getConfiguration, Wire.configurationStatus, [], isOperation: false)
    } else {
      world.saw(.askGetAlternate)
      ask(Wire.getAlternate, Wire.alternateStatus, [UInt8(world.random.below(2))], isOperation: false)
    }
  }

  private func settings() {
    switch world.random.below(10) {
    case 0..<6:
      world.saw(.askSetAlternate)
      let setting = world.random.pick([UInt8(0), 1, 1, 1, 3])
      ask(
        Wire.setAlternate, Wire.alternateStatus, [UInt8(world.random.pick([0, 1, 1])), setting],
        isOperation: true)
    case 6..<8:
      world.saw(.askSetConfiguration)
      ask(
        Wire.setConfiguration, Wire.configurationStatus, [world.random.pick([UInt8(1), 1, 1, 2, 0])],
        isOperation: true)
    default:
      world.saw(.askReset)
      model.resets(packets)
      packet(Wire.reset, 0, [])
    }
  }

  private func bulkStreams() {
    let slots = slots(.bulk)
    guard reader.has(Wire.bulkStreamsBit), !slots.isEmpty else { return question() }
    let mask = slots.reduce(UInt64(0)) { $0 | 1 << UInt64($1) }
    if world.random.chance(600) {
      world.saw(.askAllocateStreams)
      ask(Wire.allocateStreams, Wire.streamsStatus, Wire.bytes(mask, 4) + Wire.bytes(4, 4), isOperation: true)
      for _ in 0..<4 { bulk(streamID: UInt32(world.random.within(1...4))) }
    } else {
      world.saw(.askFreeStreams)
      ask(Wire.freeStreams, Wire.streamsStatus, Wire.bytes(mask, 4), isOperation: true)
    }
  }

  private func filter() {
    guard reader.has(Wire.filterBit) else { return }
    if world.random.chance(100) {
      world.saw(.askReject)
      packet(Wire.filterReject, 0, [])
    } else {
      world.saw(.askFilter)
      let rules = world.random.chance(900) ? "-1,-1,-1,-1,1" : "-1,-1,-1,-1,0"
      packet(Wire.filter, 0, Array(rules.utf8) + [0])
    }
  }

  // MARK: what nobody should do

  private func misbehave() {
    world.saw(.garbage)
    switch world.random.below(10) {
    case 0: queue((0..<world.random.skewed(400)).map { _ in UInt8(world.random.below(256)) })
    case 1: queue(Wire.hello(0xff, name: "again"))
    case 2: packet(UInt32(world.random.below(110)), newID(), outData(world.random.skewed(300)))
    default:
      let types = [
        Wire.reset, Wire.setConfiguration, Wire.getConfiguration, Wire.setAlternate, Wire.getAlternate,
        Wire.startIso,
        Wire.stopIso, Wire.startInterrupt, Wire.stopInterrupt, Wire.allocateStreams, Wire.freeStreams,
        Wire.cancel,
        Wire.filterReject, Wire.filter, Wire.disconnectAck, Wire.startBulk, Wire.stopBulk, Wire.control,
        Wire.bulk, Wire.iso,
        Wire.interrupt,
      ]
      let sizes = [0, 1, 2, 3, 4, 5, 8, 9, 10, 10, 10, 14, 40]
      var body = (0..<world.random.pick(sizes)).map { _ in
        UInt8(world.random.pick([0, 1, 2, 3, 8, 0x81, 0x82, 0x83, 0xff, 0x40]))
      }
      if world.random.chance(500), body.count >= 8 { body[7] = 0 }
      packet(world.random.pick(types), UInt64(world.random.below(40)), body)
    }
  }
}
