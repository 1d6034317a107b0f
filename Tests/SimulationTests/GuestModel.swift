// What one guest knows and may expect: every request it sent, in the lines their answers stand in, the state of every
// stream, and what the device gave back for it. Each packet of the server is held against it.
@testable import usbredir_evloop

/// A request of the guest: a packet with an id that wants one answer.
final class SentRequest {
  let id: UInt64
  let type: UInt32
  let endpoint: UInt8
  let streamID: UInt32
  let length: Int
  let data: [UInt8]
  /// Which packet of the guest it is.
  let number: Int
  /// Wrong in itself: `inval` is its answer.
  var isBad = false
  /// Never sent to the device (B3.2).
  var isRouted = false
  /// Neither the device's presence nor its settings were in question when it was sent.
  var isCertain = true
  /// When its cancel was sent, as the number of that packet.
  var cancelNumber: Int?
  /// The product's request that carries it out.
  fileprivate var carrier: Request?
  fileprivate var outcome: Outcome?

  fileprivate struct Outcome {
    let status: TransferStatus
    let moved: Int
    let data: [UInt8]
  }

  init(
    _ id: UInt64, _ type: UInt32, _ endpoint: UInt8, _ streamID: UInt32, _ length: Int, _ data: [UInt8],
    _ number: Int
  ) {
    self.id = id
    self.type = type
    self.endpoint = endpoint
    self.streamID = streamID
    self.length = length
    self.data = data
    self.number = number
  }
}

/// What a guest asked of a stream, or of the device as a whole.
struct Question {
  let id: UInt64
  /// The type of its answer.
  let answer: UInt32
  let number: Int
  /// Of a stream: it starts it.
  var isStart = false
  /// Changes the device.
  var isOperation = false
  /// The device left meanwhile: there may be no answer (B2.6).
  var mayBeSilent = false
  /// An end came that may have been its refusal; or it may not.
  var mayBeRefused = false
}

/// One stream as the guest sees it.
struct StreamState {
  var asked: [Question] = []
  var isActive = false
  var nextID: UInt64 = 0
}

/// Loop thread only.
final class GuestModel {
  let world: World
  /// Nothing is expected of a guest that does not keep the rules itself but that what it gets is well-formed.
  var isHostile = false
  /// The life's limits are so small that requests are refused.
  var hasSmallBudget = false
  /// The life's device runs out of memory.
  var runsOutOfMemory = false
  /// Types of the endpoints by slot as last told, 255 for none.
  private(set) var endpoints = [UInt8](repeating: 255, count: 32)
  private(set) var packetSizes = [Int](repeating: 8, count: 32)
  private(set) var hasHello = false
  private(set) var isConnected = false
  /// device_disconnect came and is not acknowledged yet.
  var owesAcknowledgement = false
  /// Both sides have disconnect_ack.
  var acknowledges = false
  var streams = [StreamState](repeating: StreamState(), count: 32)
  private(set) var questions: [Question] = []
  private(set) var isoMissed: UInt64 = 0
  private(set) var refusals = 0
  private(set) var attachments: [Attachment] = []
  private var nextAttachment = 0
  private(set) var current: Attachment?
  /// Not answered yet, oldest first, by endpoint and bulk stream.
  private var lines: [Int: [SentRequest]] = [:]
  private var byID: [UInt64: [SentRequest]] = [:]
  private(set) var unanswered = 0
  /// 0: nothing of an announcement came, 1: ep_info, 2: interface_info as well.
  private var announcing = 0
  /// The slot whose stream ends with the next packet.
  private var ending: Int?
  /// A packet that may be the end of a stream of buffered bulk receiving.
  private var held: WirePacket?
  private var lastOperation = -1
  /// Routed requests that are not answered, and the reset that no later answer has told to be over.
  private var routed = 0
  private var lastReset = -1

  init(_ world: World) {
    self.world = world
  }

  // MARK: what the guest sends

  func sent(_ request: SentRequest) {
    lines[line(request.endpoint, request.streamID), default: []].append(request)
    byID[request.id, default: []].append(request)
    unanswered += 1
    guard request.isRouted else { return }
    lastOperation = request.number
    routed += 1
  }

  func asked(_ question: Question) {
    questions.append(question)
    if question.isOperation { lastOperation = question.number }
  }

  /// A reset has no answer.
  func resets(_ number: Int) {
    lastOperation = number
    lastReset = number
  }

  /// Nothing that changes the device is on its way.
  var isSettled: Bool { routed == 0 && lastReset < 0 && !questions.contains { $0.isOperation } }

  /// A request that can be cancelled.
  func cancellable() -> SentRequest? {
    var all: [SentRequest] = []
    for slot in 0..<32 { all += lines[slot]?.filter { $0.cancelNumber == nil } ?? [] }
    return all.isEmpty ? nil : world.random.pick(all)
  }

  private func line(_ endpoint: UInt8, _ streamID: UInt32) -> Int {
    let slot = endpoint & 15 == 0 ? 0 : EndpointAddress(rawValue: endpoint).slot
    return slot | Int(streamID) << 8
  }

  // MARK: what the device does for it

  func attached(_ attachment: Attachment) {
    attachments.append(attachment)
  }

  func submitted(_ request: Request) {
    guard !isHostile else { return }
    let transfer = request.transfer
    let candidates = byID[request.id] ?? []
    if let again = candidates.last(where: {
      $0.carrier === request && $0.outcome?.status == .noMemory && $0.length == transfer.length
    }) {
      again.outcome = nil
      return
    }
    guard let sent = candidates.first(where: { $0.carrier == nil && $0.length == transfer.length }) else {
      return world.fail("the device gets request \(request.id), which nobody sent")
    }
    sent.carrier = request
    let isRight = sent.endpoint == transfer.endpoint.rawValue && sent.streamID == transfer.streamID
    world.expect(
      isRight, "request \(sent.id) is for endpoint \(sent.endpoint) and reaches \(transfer.endpoint.rawValue)"
    )
    guard sent.endpoint & 0x80 == 0, let buffer = transfer.buffer else { return }
    let isSame = buffer.withPayload { payload in
      payload.count == sent.data.count && (0..<payload.count).allSatisfy { payload[$0] == sent.data[$0] }
    }
    world.expect(isSame, "the data of request \(sent.id) is not what was sent")
  }

  func completed(_ request: Request, _ transfer: Transfer) {
    guard !isHostile else { return }
    guard let sent = byID[request.id]?.last(where: { $0.carrier === request && $0.outcome == nil }) else {
      return
    }
    var data: [UInt8] = []
    if transfer.endpoint.isIn, let buffer = transfer.buffer {
      data = unsafe [UInt8](
        UnsafeRawBufferPointer(start: buffer.payloadPointer, count: transfer.actualLength))
    }
    sent.outcome = SentRequest.Outcome(status: transfer.status, moved: transfer.actualLength, data: data)
  }

  // MARK: what the server says

  func received(_ packet: WirePacket) {
    guard !isHostile else { return }
    if let slot = ending { return mustEnd(slot, packet) }
    if settleHeld(before: packet) { return }
    switch packet.type {
    case Wire.hello:
      hasHello = true
    case Wire.endpointInfo: endpointInfo(packet)
    case Wire.interfaceInfo:
      world.expect(announcing == 1, "B2.1: interface_info without ep_info")
      announcing = isConnected ? 0 : 2
    case Wire.deviceConnect: connected()
    case Wire.deviceDisconnect: disconnected()
    case Wire.configurationStatus, Wire.alternateStatus, Wire.streamsStatus: status(packet)
    case Wire.interruptStatus: streamStatus(packet, slot(packet.header[1]), packet.header[0])
    case Wire.isoStatus: streamStatus(packet, slot(packet.header[1]), packet.header[0])
    case Wire.bulkStatus: streamStatus(packet, slot(packet.header[4]), packet.header[5])
    case Wire.control: answer(packet, packet.header[0], 0, packet.header[3], Int(packet.u16(8)))
    case Wire.bulk:
      let high = packet.header.count > 8 ? Int(packet.u16(8)) << 16 : 0
      answer(packet, packet.header[0], packet.u32(4), packet.header[1], Int(packet.u16(2)) | high)
    case Wire.interrupt where packet.header[0] & 0x80 == 0:
      answer(packet, packet.header[0], 0, packet.header[1], Int(packet.u16(2)))
    case Wire.interrupt: interruptPacket(packet)
    case Wire.bufferedBulk: bufferedPacket(packet)
    case Wire.iso: isoPacket(packet)
    default: break
    }
  }

  private func slot(_ endpoint: UInt8) -> Int { EndpointAddress(rawValue: endpoint).slot }

  // MARK: the device comes and goes

  private func endpointInfo(_ packet: WirePacket) {
    world.expect(announcing == 0, "B2.1: ep_info twice")
    world.expect(
      isConnected || !owesAcknowledgement, "B2.6: a device before the last one's end is acknowledged")
    announcing = 1
    if isConnected { operationEnded() }
    for slot in 0..<32 {
      endpoints[slot] = packet.header[slot]
      if packet.header.count > 96 { packetSizes[slot] = Int(packet.u16(96 + 2 * slot)) }
    }
    world.saw(.gotInfos)
  }

  private func connected() {
    world.expect(announcing == 2 && !isConnected, "B2.1: device_connect without its infos, or a second one")
    announcing = 0
    isConnected = true
    guard nextAttachment < attachments.count else {
      return world.fail("a device is announced that nobody opened")
    }
    current = attachments[nextAttachment]
    nextAttachment += 1
    world.saw(.gotAnnouncement)
  }

  private func disconnected() {
    world.expect(isConnected, "B2.6: device_disconnect without a device")
    isConnected = false
    announcing = 0
    current = nil
    endpoints = [UInt8](repeating: 255, count: 32)
    world.saw(.gotDisconnect)
    for index in questions.indices { questions[index].mayBeSilent = true }
    for slot in 0..<32 {
      streams[slot].isActive = false
      streams[slot].nextID = 0
      for index in streams[slot].asked.indices { streams[slot].asked[index].mayBeSilent = true }
    }
  }

  // MARK: operations

  private func status(_ packet: WirePacket) {
    guard let index = questions.firstIndex(where: { $0.id == packet.id && $0.answer == packet.type }) else {
      return world.fail("status \(packet.type) of \(packet.id), which nobody asked for")
    }
    let question = questions[index]
    let skipped = questions[..<index]
    // What is late is answered at once, and the operation that ran when the device left when it is over (B1.7).
    world.expect(
      skipped.allSatisfy { $0.mayBeSilent }, "status of \(packet.id) before that of \(questions[0].id)")
    questions.remove(at: index)
    world.saw(.gotStatus, packet.id)
    checkCancelled(before: question.number)
    if question.number > lastReset { lastReset = -1 }
  }

  /// B5.4: by now the answer of whatever was cancelled before has come.
  private func checkCancelled(before number: Int) {
    for requests in lines.values {
      for request in requests {
        guard let cancelled = request.cancelNumber, cancelled < number else { continue }
        world.fail("B5.4: request \(request.id) was cancelled and is not answered at once")
      }
    }
  }

  /// New infos: the operation that changed the device is over.
  private func operationEnded() {
    guard let current, !current.operations.isEmpty else {
      return world.fail("B3.3, B3.4: infos behind nothing")
    }
    let id = current.operations.removeFirst()
    for slot in 1..<32 { forget(slot, by: id) }
  }

  /// The operation ended this stream, if it reached that far (B3.3, B3.4).
  private func forget(_ slot: Int, by id: UInt64) {
    guard let current else { return }
    var count = 0
    var reports = 0
    for entry in current.streams[slot].rest {
      count += 1
      switch entry {
      case .data: reports += 1
      case .forgotten(by: id):
        world.expect(
          reports == 0, "slot \(slot): \(reports) reports from before operation \(id) did not come")
        current.streams[slot].drop(count)
        streams[slot].isActive = false
        streams[slot].nextID = 0
        return
      case .packet, .error, .restart, .forgotten: continue
      }
    }
  }

  // MARK: answers

  private func answer(
    _ packet: WirePacket, _ endpoint: UInt8, _ streamID: UInt32, _ status: UInt8, _ length: Int
  ) {
    let key = line(endpoint, streamID)
    guard let index = lines[key]?.firstIndex(where: { $0.id == packet.id }), let request = lines[key]?[index]
    else {
      return world.fail(
        "an answer to request \(packet.id) on endpoint \(endpoint), which nobody sent or which has one")
    }
    world.expect(
      request.type == packet.type, "request \(packet.id) is answered by packet type \(packet.type)")
    let isCancelled = status == Wire.cancelled && request.cancelNumber != nil
    if index > 0 && !isCancelled {
      world.fail("B5.1: request \(packet.id) is answered before \(lines[key]?.first?.id ?? 0)")
    }
    lines[key]?.remove(at: index)
    unanswered -= 1
    if request.isRouted { routed -= 1 }
    world.saw(.gotAnswer, packet.id, UInt64(status))
    judge(request, packet, status, length, isCancelled)
    byID[request.id]?.removeAll { $0 === request && (request.carrier == nil || request.outcome != nil) }
  }

  private func judge(
    _ request: SentRequest, _ packet: WirePacket, _ status: UInt8, _ length: Int, _ isCancelled: Bool
  ) {
    if isCancelled && (length == 0 || request.outcome == nil) {
      world.saw(.gotCancelled, request.id)
      return world.expect(length == 0, "B5.4: request \(request.id) is cancelled with \(length) bytes")
    }
    if request.isBad && request.carrier == nil { return judgeBad(request, status) }
    guard let outcome = request.outcome, outcome.status != .noMemory else {
      return judgeUnserved(request, status, length)
    }
    if status == Wire.ioError && !isConnected { return world.saw(.gotIOError, request.id) }
    if status != Wire.success { world.saw(.gotDeviceError, request.id, UInt64(status)) }
    let expected = wireStatus(outcome.status)
    world.expect(
      status == expected && length == outcome.moved && packet.data == outcome.data,
      "request \(request.id) on endpoint \(request.endpoint) is answered with status \(status) and \(length) bytes, the device said \(outcome.status) and \(outcome.moved)"
    )
  }

  private func judgeBad(_ request: SentRequest, _ status: UInt8) {
    refusals += 1
    world.saw(.gotRefusal, request.id, UInt64(status))
    let isLate = status == Wire.ioError && (!request.isCertain || !isConnected)
    world.expect(
      status == Wire.invalid || isLate,
      "B1.7: request \(request.id) is wrong in itself and answered with status \(status)")
  }

  /// An answer to what the device never had, or still has.
  private func judgeUnserved(_ request: SentRequest, _ status: UInt8, _ length: Int) {
    world.expect(length == 0, "request \(request.id) is answered with \(length) bytes that no device moved")
    switch status {
    case Wire.ioError:
      world.saw(.gotIOError, request.id)
      world.expect(
        !request.isCertain || !isConnected || request.isRouted || runsOutOfMemory,
        "request \(request.id) is answered ioerror without a reason")
    case Wire.cancelled:
      world.saw(.gotCancelled, request.id)
      world.expect(
        lastOperation > request.number || !request.isCertain || request.isRouted,
        "request \(request.id) is answered cancelled without a reason")
    case Wire.invalid:
      refusals += 1
      world.saw(hasSmallBudget ? .overBudget : .gotRefusal, request.id)
      world.expect(
        hasSmallBudget || !request.isCertain, "request \(request.id) is refused without a reason")
    default:
      world.expect(
        request.isRouted && status <= Wire.stall,
        "request \(request.id) is answered with status \(status), and the device never had it")
    }
  }

  private func wireStatus(_ status: TransferStatus) -> UInt8 {
    switch status {
    case .completed: Wire.success
    case .cancelled: Wire.cancelled
    case .stalled: Wire.stall
    case .timedOut: 5
    case .overflow: 6
    case .failed, .deviceGone, .noMemory, .refused: Wire.ioError
    }
  }

  // MARK: streams

  private func interruptPacket(_ packet: WirePacket) {
    let slot = slot(packet.header[0])
    if packet.header[1] == Wire.stall {
      world.expect(packet.data.isEmpty && packet.id == 0, "B4.6: an end with data, or with id \(packet.id)")
      ending = slot
      return
    }
    match(packet, slot, packet.header[1], .gotReport)
  }

  private func bufferedPacket(_ packet: WirePacket) {
    let slot = slot(packet.header[8])
    if packet.data.isEmpty && packet.id == 0 && packet.header[9] == Wire.success {
      held = packet
      return
    }
    match(packet, slot, packet.header[9], .gotBulkReport)
  }

  /// An empty packet with id 0 is the end of a stream when the status that tells so is right behind it.
  private func settleHeld(before packet: WirePacket) -> Bool {
    guard let first = held else { return false }
    held = nil
    let slot = slot(first.header[8])
    let isEnd =
      packet.type == Wire.bulkStatus && packet.id == 0 && packet.header[5] == Wire.stall
      && self.slot(packet.header[4]) == slot
    if isEnd {
      streamStatus(packet, slot, Wire.stall)
    } else {
      match(first, slot, Wire.success, .gotBulkReport)
    }
    return isEnd
  }

  private func mustEnd(_ slot: Int, _ packet: WirePacket) {
    ending = nil
    guard packet.type == Wire.interruptStatus, self.slot(packet.header[1]) == slot,
      packet.header[0] == Wire.stall,
      packet.id == 0
    else {
      return world.fail("B4.6: the packet that ends a stream is not followed by its status")
    }
    streamStatus(packet, slot, Wire.stall)
  }

  /// A packet of a stream has to be the next thing that the device gave, with the next id.
  private func match(_ packet: WirePacket, _ slot: Int, _ status: UInt8, _ kind: Coverage.Kind) {
    guard let current else { return world.fail("a report without a device") }
    world.expect(streams[slot].isActive, "a report on slot \(slot), where no stream is")
    var next = streams[slot].nextID
    var count = 0
    var problem = "the device gave nothing"
    for entry in current.streams[slot].rest {
      count += 1
      switch entry {
      case .restart, .forgotten:
        if next > 0 { world.saw(.silentRestart, UInt64(slot)) }
        next = 0
        continue
      case .packet: continue
      case .data(let bytes):
        if status == Wire.success && packet.data == bytes && packet.id == next {
          return matched(packet, slot, count, kind)
        }
        problem = "the device gave \(bytes.prefix(8)) of \(bytes.count) bytes, id \(next)"
      case .error(let error):
        if status == error.rawValue && packet.data.isEmpty && packet.id == next {
          return matched(packet, slot, count, .gotStreamError)
        }
        problem = "the device failed with \(error), id \(next)"
      }
      break
    }
    world.fail(
      "slot \(slot): packet \(packet.id) with status \(status) and \(packet.data.prefix(8)) of \(packet.data.count) bytes; \(problem)"
    )
  }

  private func matched(_ packet: WirePacket, _ slot: Int, _ count: Int, _ kind: Coverage.Kind) {
    current?.streams[slot].drop(count)
    streams[slot].nextID = packet.id + 1
    world.saw(kind, UInt64(slot), packet.id)
  }

  /// Isochronous packets may be missing, and no more than that (B6.4).
  private func isoPacket(_ packet: WirePacket) {
    let slot = slot(packet.header[0])
    guard let current else { return world.fail("an isochronous packet without a device") }
    world.expect(streams[slot].isActive, "an isochronous packet on slot \(slot), where no stream is")
    var ids = [streams[slot].nextID]
    var count = 0
    var missed: UInt64 = 0
    for entry in current.streams[slot].rest {
      count += 1
      switch entry {
      case .packet(let bytes, let status):
        if packet.header[1] == status.rawValue && packet.data == bytes && ids.contains(packet.id) {
          if missed > 0 { world.saw(.isoDropped, missed) }
          isoMissed += missed
          return matched(packet, slot, count, .gotIso)
        }
        missed += 1
        for index in ids.indices { ids[index] += 1 }
      case .restart, .forgotten: ids.append(0)
      case .data, .error: continue
      }
    }
    world.fail(
      "slot \(slot): isochronous packet \(packet.id) of \(packet.data.count) bytes is not what the device gave"
    )
  }

  private func streamStatus(_ packet: WirePacket, _ slot: Int, _ status: UInt8) {
    world.saw(.gotStreamStatus, UInt64(slot), UInt64(status))
    if packet.type == Wire.isoStatus && status != Wire.success && status != Wire.stall { return }
    if status == Wire.success { return streamAnswer(packet, slot) }
    world.expect(status == Wire.stall, "B4.6: a stream's status is \(status)")
    streamEnded(packet, slot)
  }

  private func streamAnswer(_ packet: WirePacket, _ slot: Int) {
    guard
      let index = streams[slot].asked.firstIndex(where: { $0.id == packet.id && $0.answer == packet.type })
    else {
      return world.fail("a stream's status of \(packet.id) on slot \(slot), which nobody asked for")
    }
    let skipped = streams[slot].asked[..<index]
    world.expect(
      skipped.allSatisfy { $0.mayBeSilent || $0.mayBeRefused },
      "a stream's status of \(packet.id) on slot \(slot) out of order")
    let question = streams[slot].asked[index]
    streams[slot].asked.removeFirst(index + 1)
    if question.isStart && isConnected && current != nil {
      world.expect(!question.mayBeSilent || !acknowledges, "B2.6: a late start reached the next device")
      if !streams[slot].isActive { streams[slot].nextID = 0 }
      streams[slot].isActive = true
    } else {
      streams[slot].isActive = false
      streams[slot].nextID = 0
    }
  }

  private func streamEnded(_ packet: WirePacket, _ slot: Int) {
    world.saw(.gotEnded, UInt64(slot))
    let start = streams[slot].asked.firstIndex { $0.isStart && !$0.mayBeRefused }
    if let start, !streams[slot].isActive {
      streams[slot].asked.remove(at: start)
      return
    }
    if let start, start > 0, streams[slot].isActive {
      // The start behind a stop is refused before the stop is over, or the stream ended by itself.
      streams[slot].asked[start].mayBeRefused = true
      return
    }
    if !streams[slot].isActive, let start = streams[slot].asked.firstIndex(where: { $0.isStart }) {
      streams[slot].asked.remove(at: start)
      return
    }
    guard streams[slot].isActive else {
      return world.fail("slot \(slot): the end of a stream that is not there")
    }
    world.expect(current?.streams[slot].mayEnd ?? false, "slot \(slot): the stream ended without a reason")
    streams[slot].isActive = false
    streams[slot].nextID = 0
  }

  // MARK: the end

  /// What is still to come; nil when everything has come.
  var missing: String? {
    for slot in 0..<32 {
      let requests = lines.keys.sorted().filter { $0 & 31 == slot }.flatMap { lines[$0] ?? [] }
      if let request = requests.first(where: { !($0.isBad && !$0.isCertain) }) {
        return "request \(request.id) of type \(request.type) on endpoint \(request.endpoint) has no answer"
      }
      if let question = streams[slot].asked.first(where: { !$0.mayBeSilent && !$0.mayBeRefused }) {
        return "stream question \(question.id) on slot \(slot) has no answer"
      }
      if let text = missingReports(slot) { return text }
    }
    if let question = questions.first {
      return "question \(question.id) has no answer of type \(question.answer)"
    }
    return nil
  }

  private func missingReports(_ slot: Int) -> String? {
    for entry in current?.streams[slot].rest ?? [] {
      switch entry {
      case .data(let bytes): return "slot \(slot): a report of \(bytes.count) bytes did not come"
      case .error(let status): return "slot \(slot): error \(status) did not come"
      default: continue
      }
    }
    return nil
  }

  /// Both sides have the same idea of every stream.
  func compare(_ attached: AttachedDevice) {
    for slot in 0..<32 {
      let theirs = attached.streams[slot]?.pipe.isStarted ?? false
      world.expect(
        theirs == streams[slot].isActive,
        "slot \(slot): the stream is \(theirs ? "on" : "off") here and \(streams[slot].isActive ? "on" : "off") at the guest"
      )
    }
  }
}
