// Interrupt receiving and buffered bulk receiving: the guest's start and stop, the pipe's reports on their
// way to the guest, and what the guest hears when a stream ends by itself (B4, B5.2). Isochronous streams share
// what is not about packets.

extension Session {
  // MARK: what the guest asks

  func startInterruptReceiving(_ id: UInt64, _ header: StartInterruptReceivingHeader) {
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard let attached, endpoint.isValid, attached.endpoints[endpoint].type == .interrupt else {
      sendEnded(endpoint, .interrupt, streamID: 0)
      guard attached != nil else { return late() }
      return bad("start_interrupt_receiving", "\(endpoint.description) is no interrupt IN endpoint (B4.1)")
    }
    attached.start(attached.interruptParameters(endpoint), id: id)
  }

  func stopInterruptReceiving(_ id: UInt64, _ header: StopInterruptReceivingHeader) {
    stopStream(id, EndpointAddress(rawValue: header.endpoint), .interrupt, streamID: 0)
  }

  func startBulkReceiving(_ id: UInt64, _ header: StartBulkReceivingHeader) {
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard let attached else {
      sendEnded(endpoint, .bulk, streamID: header.streamID)
      return late()
    }
    guard (1...16).contains(header.transfers), header.bytesPerTransfer <= limits.maxTransfer,
      UInt64(header.bytesPerTransfer) * UInt64(header.transfers) <= limits.maxRequestBytes
    else {
      refuseStart(id, header)
      return bad(
        "start_bulk_receiving", "1…16 transfers within max-transfer and max-request-bytes it has to be (B5.2)"
      )
    }
    let parameters = PipeParameters(
      endpoint: endpoint, type: .bulk, transferLength: Int(header.bytesPerTransfer),
      depth: Int(header.transfers),
      streamID: header.streamID)
    guard attached.bytesPosted(besides: endpoint) + parameters.bytes <= UInt64(limits.maxRequestBytes) else {
      refuseStart(id, header)
      return bad("start_bulk_receiving", "with what is out already more than max-request-bytes (B1.8)")
    }
    guard attached.canReceive(parameters) else {
      refuseStart(id, header)
      return bad("start_bulk_receiving", "\(endpoint.description) cannot receive transfers like that (B5.2)")
    }
    attached.start(parameters, id: id)
  }

  /// B5.2: such a stream is ended, unless one is there already: that goes on as it does (B4.1), and both sides know it.
  /// For an OUT endpoint there is no legal answer.
  func refuseStart(_ id: UInt64, _ header: StartBulkReceivingHeader) {
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard endpoint.isIn else { return }
    if let attached, let stream = attached.started(endpoint, .bulk) {
      return attached.start(stream.pipe.parameters, id: id)
    }
    sendEnded(endpoint, .bulk, streamID: header.streamID)
  }

  func stopBulkReceiving(_ id: UInt64, _ header: StopBulkReceivingHeader) {
    stopStream(id, EndpointAddress(rawValue: header.endpoint), .bulk, streamID: header.streamID)
  }

  func stopStream(
    _ id: UInt64, _ endpoint: EndpointAddress, _ type: TransferType, streamID: UInt32
  ) {
    guard endpoint.isValid, let stream = attached?.streams[endpoint.slot], stream.pipe.parameters.type == type
    else {
      if attached == nil { late() }
      return sendStatus(.success, endpoint, type, streamID: streamID, id: id)
    }
    stream.unanswered.append(id)
    // Nothing to stop any more: the answer is due at once (B4.8).
    if !stream.pipe.stop() { attached?.answerStop(stream) }
  }

  // MARK: what the guest hears

  /// `interrupt_receiving_status`, `bulk_receiving_status` or `iso_stream_status`.
  func sendStatus(
    _ status: Status, _ endpoint: EndpointAddress, _ type: TransferType, streamID: UInt32, id: UInt64
  ) {
    switch type {
    case .bulk:
      send(BulkReceivingStatusHeader(streamID: streamID, endpoint: endpoint.rawValue, status: status), id: id)
    case .isochronous:
      send(IsoStreamStatusHeader(status: status, endpoint: endpoint.rawValue), id: id)
    case .interrupt, .control:
      send(InterruptReceivingStatusHeader(status: status, endpoint: endpoint.rawValue), id: id)
    }
  }

  /// B4.6: a packet first, because the status alone never wakes a waiting URB on QEMU's xhci. Not for
  /// isochronous streams, where no URB waits.
  func sendEnded(_ endpoint: EndpointAddress, _ type: TransferType, streamID: UInt32) {
    switch type {
    case .bulk:
      send(
        BufferedBulkPacketHeader(streamID: streamID, length: 0, endpoint: endpoint.rawValue, status: .success)
      )
    case .isochronous: break
    case .interrupt, .control:
      send(InterruptPacketHeader(endpoint: endpoint.rawValue, status: .stall, length: 0))
    }
    sendStatus(.stall, endpoint, type, streamID: streamID, id: 0)
  }
}

extension AttachedDevice {
  /// A pause longer than this is worth a line (B4.9), in nanoseconds.
  private static let longPause: UInt64 = 1_000_000_000

  /// The endpoint's stream while it is on.
  func started(_ endpoint: EndpointAddress, _ type: TransferType) -> Stream? {
    guard endpoint.isValid, let stream = streams[endpoint.slot], stream.pipe.isStarted,
      stream.pipe.parameters.type == type
    else { return nil }
    return stream
  }

  /// Starts receiving on an endpoint, or lets it go on (B4.1).
  func start(_ parameters: PipeParameters, id: UInt64) {
    isUsedSinceReset = true
    guard let stream = stream(parameters) else {
      return session.value.sendEnded(parameters.endpoint, parameters.type, streamID: parameters.streamID)
    }
    stream.pipe.start()
    stream.hasToldDrops = false
    if stream.unanswered.isEmpty {
      sendStatus(.success, stream, id: id)
    } else {
      stream.unanswered.append(id)
    }
  }

  /// Answers the guest's stop, and what it asked behind that.
  func answerStop(_ stream: Stream) {
    let ids = stream.unanswered
    stream.unanswered = []
    for id in ids { sendStatus(.success, stream, id: id) }
  }

  /// Bytes that requests and the buffered bulk and isochronous streams of the other endpoints hold (B1.8).
  func bytesPosted(besides endpoint: EndpointAddress) -> UInt64 {
    var bytes = UInt64(budget.bytes)
    for stream in streams {
      guard let parameters = stream?.pipe.parameters, parameters.endpoint != endpoint else { continue }
      if parameters.type != .interrupt { bytes += parameters.bytes }
    }
    return bytes
  }

  /// How an interrupt IN endpoint is received from, as it is now (B4.2).
  func interruptParameters(_ endpoint: EndpointAddress) -> PipeParameters {
    let slot = endpoints[endpoint]
    return PipeParameters(
      endpoint: endpoint, type: .interrupt, transferLength: Int(slot.maxPacketSize),
      depth: session.value.limits.interruptDepth ?? slot.defaultDepth(device.model.speed))
  }

  /// Whether the endpoint, as it is now, is one for such transfers (B5.2).
  func canReceive(_ parameters: PipeParameters) -> Bool {
    let slot = endpoints[parameters.endpoint]
    guard parameters.endpoint.isValid, slot.type == parameters.type, slot.maxPacketSize > 0 else {
      return false
    }
    guard parameters.type == .bulk else { return parameters.transferLength > 0 }
    let streamsThere = bulkStreams[parameters.endpoint.slot]
    guard streamsThere == 0 ? parameters.streamID == 0 : (1...streamsThere).contains(parameters.streamID)
    else {
      return false
    }
    return parameters.transferLength > 0 && parameters.transferLength % Int(slot.maxPacketSize) == 0
  }

  /// Streams that an operation suspended go on from id 0, without notice; those that cannot are ended (B3.5).
  func restartStreams() {
    guard isAttached else { return }
    for stream in streams {
      guard let stream, stream.isSuspended else { continue }
      stream.isSuspended = false
      restart(stream)
    }
  }

  private func restart(_ stream: Stream) {
    let old = stream.pipe.parameters
    guard canReceive(old) else {
      forgetStreams(1 << UInt32(old.endpoint.slot))
      return session.value.sendEnded(old.endpoint, old.type, streamID: old.streamID)
    }
    let now = current(old)
    if now == old { return stream.pipe.start() }
    forgetStreams(1 << UInt32(old.endpoint.slot))
    self.stream(now)?.pipe.start()
  }

  /// How a stream goes on, its endpoint being as it is now.
  private func current(_ old: PipeParameters) -> PipeParameters {
    switch old.type {
    case .interrupt: interruptParameters(old.endpoint)
    case .isochronous: isoParameters(old.endpoint, packets: old.isoPackets, urbs: old.depth)
    case .bulk, .control: old
    }
  }

  /// Streams of endpoints that are not what they were. Nothing is posted there.
  func forgetStreams(_ slots: UInt32) {
    for slot in 0..<EndpointTable.count where slots & 1 << UInt32(slot) != 0 {
      guard let stream = streams[slot] else { continue }
      stream.retry?.stop()
      streams[slot] = nil
    }
  }

  /// Those of bulk endpoints. Interrupt packets go ahead of what waits, and each such stream has a mark of its own
  /// (B4.9); what the guest does not read of an isochronous one in time is dropped (B6.4).
  func pauseStreams() {
    for stream in streams where stream?.pipe.parameters.type == .bulk { stream?.input?.pause() }
  }

  func resumeStreams() {
    for stream in streams where stream?.pipe.parameters.type == .bulk { stream?.input?.resume() }
  }

  /// The endpoint's stream, a new one when the old one was for other transfers; nil while those are still
  /// coming back.
  private func stream(_ parameters: PipeParameters) -> Stream? {
    let slot = parameters.endpoint.slot
    if let stream = streams[slot] {
      // B4.1: who receives already goes on as it does.
      if stream.pipe.parameters == parameters || stream.pipe.isStarted { return stream }
      guard stream.pipe.isIdle else { return nil }
    }
    let stream = makeStream(parameters)
    streams[slot] = stream
    return stream
  }

  private func makeStream(_ parameters: PipeParameters) -> Stream {
    guard parameters.endpoint.isIn else {
      return Stream(sending: IsoOutPipe(parameters, device: device, owner: self))
    }
    let stream = Stream(receiving: InterruptPipe(parameters, device: device, owner: self), session.value.loop)
    // B4.9 holds for what begins while the guest does not read as well.
    if parameters.type == .bulk && session.value.isAboveHighWater { stream.input?.pause() }
    return stream
  }

  private func sendStatus(_ status: Status, _ stream: Stream, id: UInt64) {
    let parameters = stream.pipe.parameters
    session.value.sendStatus(
      status, parameters.endpoint, parameters.type, streamID: parameters.streamID, id: id)
  }

  // MARK: what the pipe tells

  func pipe(_ pipe: InterruptPipe, received buffer: PacketBuffer, sequence: UInt64) {
    guard isAttached else { return buffer.release() }
    session.value.counters.reports += 1
    sendData(pipe, buffer, .success, sequence)
  }

  func pipe(_ pipe: InterruptPipe, failed status: TransferStatus, sequence: UInt64) {
    guard isAttached else { return }
    if pipe.parameters.type == .isochronous { return sendPacketErrors(pipe, status, sequence) }
    session.value.counters.streamErrors += 1
    sendData(pipe, session.value.smallBuffer(), Status(status), sequence)
  }

  private func sendData(_ pipe: InterruptPipe, _ buffer: PacketBuffer, _ status: Status, _ sequence: UInt64) {
    let parameters = pipe.parameters
    let endpoint = parameters.endpoint.rawValue
    if parameters.type == .bulk {
      let header = BufferedBulkPacketHeader(
        streamID: parameters.streamID, length: UInt32(buffer.count), endpoint: endpoint, status: status)
      session.value.send(buffer, header, id: sequence, .overtakable)
    } else {
      let header = InterruptPacketHeader(endpoint: endpoint, status: status, length: UInt16(buffer.count))
      session.value.send(buffer, header, id: sequence, .ahead)
    }
  }

  /// The stream is over: by the guest's wish, for an operation, or because it could not go on (B4.6).
  func streamEnded(_ pipe: any StreamPipe, _ reason: PipeEnd) {
    let parameters = pipe.parameters
    guard let stream = streams[parameters.endpoint.slot], stream.pipe === pipe else { return }
    switch reason {
    case .stopped: answerStop(stream)
    case .gone: session.value.deviceLost(self)
    case .finished: break
    case .stalled, .failed:
      let session = session.value
      let verb = parameters.endpoint.isIn ? "receiving" : "sending"
      session.warn(
        "\(device.label): \(verb) on \(parameters.endpoint.description) ended: \(reason.description)")
      session.sendEnded(parameters.endpoint, parameters.type, streamID: parameters.streamID)
    }
  }

  func pipeNeedsDelay(_ pipe: InterruptPipe, milliseconds: UInt32) {
    streams[pipe.parameters.endpoint.slot]?.retry?.start(milliseconds: milliseconds)
  }

  func pipePaused(_ pipe: InterruptPipe) {
    session.value.counters.pauses += 1
    streams[pipe.parameters.endpoint.slot]?.pausedSince = session.value.loop.clock.now
  }

  func pipeResumed(_ pipe: InterruptPipe) {
    guard let stream = streams[pipe.parameters.endpoint.slot], let since = stream.pausedSince else { return }
    stream.pausedSince = nil
    let pause = session.value.loop.clock.now - since
    guard pause > AttachedDevice.longPause else { return }
    session.value.warn(
      "\(device.label): \(pipe.parameters.endpoint.description) waited \(pause / 1_000_000) ms "
        + "for the guest to read")
  }
}

extension EndpointSlot {
  /// B4.2: transfers for 4 ms of the endpoint's interval, at least 4, at most 32.
  func defaultDepth(_ speed: Speed) -> Int {
    guard speed == .high || speed == .super else { return 4 }
    // bInterval is an exponent: 2^(bInterval - 1) microframes of 125 µs (USB 2.0, table 9-13); 32 of them are
    // 4 ms.
    let microframes = 1 << min(Int(interval) - 1, 5)
    return max(4, 32 / max(1, microframes))
  }
}
