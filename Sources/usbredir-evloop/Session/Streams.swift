// Interrupt receiving and buffered bulk receiving: the guest's start and stop, the pipe's reports on their way to the
// guest, and what the guest hears when a stream ends by itself (B4, B5.2).

extension Session {
  // MARK: what the guest asks

  func startInterruptReceiving(_ id: UInt64, _ header: StartInterruptReceivingHeader) {
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard let attached, endpoint.isValid, attached.endpoints[endpoint].type == .interrupt else {
      sendEnded(endpoint, .interrupt, streamID: 0)
      guard attached != nil else { return late() }
      return bad("start_interrupt_receiving", "\(endpoint.description) is no interrupt IN endpoint (B4.1)")
    }
    let slot = attached.endpoints[endpoint]
    attached.start(
      PipeParameters(
        endpoint: endpoint, type: .interrupt, transferLength: Int(slot.maxPacketSize),
        depth: limits.interruptDepth ?? slot.defaultDepth(attached.device.model.speed)),
      id: id)
  }

  func stopInterruptReceiving(_ id: UInt64, _ header: StopInterruptReceivingHeader) {
    stopReceiving(id, EndpointAddress(rawValue: header.endpoint), .interrupt, streamID: 0)
  }

  func startBulkReceiving(_ id: UInt64, _ header: StartBulkReceivingHeader) {
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard let attached else {
      sendEnded(endpoint, .bulk, streamID: header.streamID)
      return late()
    }
    let slot = attached.endpoints[endpoint]
    let length = Int(header.bytesPerTransfer)
    let fits = length > 0 && length <= limits.maxTransfer && (1...16).contains(header.transfers)
    guard endpoint.isValid, slot.type == .bulk, fits, slot.maxPacketSize > 0, length % Int(slot.maxPacketSize) == 0 else {
      sendEnded(endpoint, .bulk, streamID: header.streamID)
      return bad("start_bulk_receiving", "1…16 transfers of a multiple of max_packet_size it has to be (B5.2)")
    }
    attached.start(
      PipeParameters(
        endpoint: endpoint, type: .bulk, transferLength: length, depth: Int(header.transfers),
        streamID: header.streamID),
      id: id)
  }

  func stopBulkReceiving(_ id: UInt64, _ header: StopBulkReceivingHeader) {
    stopReceiving(id, EndpointAddress(rawValue: header.endpoint), .bulk, streamID: header.streamID)
  }

  private func stopReceiving(_ id: UInt64, _ endpoint: EndpointAddress, _ type: TransferType, streamID: UInt32) {
    guard let stream = attached?.streams[endpoint.slot], stream.pipe.parameters.type == type else {
      if attached == nil { late() }
      return sendStatus(.success, endpoint, type, streamID: streamID, id: id)
    }
    stream.startAfterStop = nil
    stream.stopping = id
    // Nothing to stop any more: the answer is due at once (B4.8).
    if !stream.pipe.stop() { attached?.answerStop(stream) }
  }

  // MARK: what the guest hears

  /// `interrupt_receiving_status` or `bulk_receiving_status`.
  func sendStatus(_ status: Status, _ endpoint: EndpointAddress, _ type: TransferType, streamID: UInt32, id: UInt64) {
    if type == .bulk {
      send(BulkReceivingStatusHeader(streamID: streamID, endpoint: endpoint.rawValue, status: status), id: id)
    } else {
      send(InterruptReceivingStatusHeader(status: status, endpoint: endpoint.rawValue), id: id)
    }
  }

  /// B4.6: a packet first, because the status alone never wakes a waiting URB on QEMU's xhci.
  func sendEnded(_ endpoint: EndpointAddress, _ type: TransferType, streamID: UInt32) {
    if type == .bulk {
      send(BufferedBulkPacketHeader(streamID: streamID, length: 0, endpoint: endpoint.rawValue, status: .success))
    } else {
      send(InterruptPacketHeader(endpoint: endpoint.rawValue, status: .stall, length: 0))
    }
    sendStatus(.stall, endpoint, type, streamID: streamID, id: 0)
  }
}

extension AttachedDevice {
  /// A pause longer than this is worth a line (B4.9), in nanoseconds.
  private static let longPause: UInt64 = 1_000_000_000

  /// Starts receiving on an endpoint, or lets it go on (B4.1).
  func start(_ parameters: PipeParameters, id: UInt64) {
    let stream = stream(parameters)
    isUsedSinceReset = true
    if stream.stopping != nil {
      stream.startAfterStop = id
      stream.pipe.start()
    } else {
      stream.pipe.start()
      sendStatus(.success, stream, id: id)
    }
  }

  /// Answers the guest's stop, and its start behind that.
  func answerStop(_ stream: Stream) {
    if let id = stream.stopping {
      stream.stopping = nil
      sendStatus(.success, stream, id: id)
    }
    if let id = stream.startAfterStop {
      stream.startAfterStop = nil
      sendStatus(.success, stream, id: id)
    }
  }

  /// Streams that an operation suspended go on, from id 0.
  func restartStreams() {
    for stream in streams {
      guard let stream, stream.isSuspended else { continue }
      stream.isSuspended = false
      stream.pipe.start()
    }
  }

  /// Streams of endpoints that are not what they were.
  func forgetStreams(_ slots: UInt32) {
    for slot in 0..<EndpointTable.count where slots & 1 << UInt32(slot) != 0 {
      guard let stream = streams[slot] else { continue }
      stream.retry.stop()
      streams[slot] = nil
    }
  }

  func pauseStreams() {
    for stream in streams { stream?.pipe.pause() }
  }

  func resumeStreams() {
    for stream in streams { stream?.pipe.resume() }
  }

  private func stream(_ parameters: PipeParameters) -> Stream {
    let slot = parameters.endpoint.slot
    if let stream = streams[slot], stream.pipe.parameters == parameters { return stream }
    let pipe = InterruptPipe(parameters, device: device, owner: self)
    let retry = Timer(session.value.loop) { [pipe = Unowned(pipe)] in pipe.value.delayPassed() }
    let stream = Stream(pipe, retry: retry)
    streams[slot] = stream
    return stream
  }

  private func sendStatus(_ status: Status, _ stream: Stream, id: UInt64) {
    let parameters = stream.pipe.parameters
    session.value.sendStatus(status, parameters.endpoint, parameters.type, streamID: parameters.streamID, id: id)
  }

  // MARK: what the pipe tells

  func pipe(_ pipe: InterruptPipe, received buffer: PacketBuffer, sequence: UInt64) {
    guard isAttached else { return buffer.release() }
    session.value.counters.reports += 1
    sendData(pipe, buffer, .success, sequence)
  }

  func pipe(_ pipe: InterruptPipe, failed status: TransferStatus, sequence: UInt64) {
    guard isAttached else { return }
    session.value.counters.streamErrors += 1
    sendData(pipe, session.value.smallBuffer(), Status(status), sequence)
  }

  private func sendData(_ pipe: InterruptPipe, _ buffer: PacketBuffer, _ status: Status, _ sequence: UInt64) {
    let parameters = pipe.parameters
    let endpoint = parameters.endpoint.rawValue
    if parameters.type == .bulk {
      let header = BufferedBulkPacketHeader(
        streamID: parameters.streamID, length: UInt32(buffer.count), endpoint: endpoint, status: status)
      session.value.send(buffer, header, id: sequence)
    } else {
      let header = InterruptPacketHeader(endpoint: endpoint, status: status, length: UInt16(buffer.count))
      session.value.send(buffer, header, id: sequence)
    }
  }

  /// The stream is over: by the guest's wish, for an operation, or because it could not go on (B4.6).
  func streamEnded(_ pipe: InterruptPipe, _ reason: PipeEnd) {
    let parameters = pipe.parameters
    guard let stream = streams[parameters.endpoint.slot], stream.pipe === pipe else { return }
    stream.retry.stop()
    switch reason {
    case .stopped: answerStop(stream)
    case .gone, .finished: break
    case .stalled, .failed:
      let session = session.value
      session.log.warning("\(session.name): \(device.label): receiving on \(parameters.endpoint.description) ended: \(reason.description)")
      session.sendEnded(parameters.endpoint, parameters.type, streamID: parameters.streamID)
    }
  }

  func pipeNeedsDelay(_ pipe: InterruptPipe, milliseconds: UInt32) {
    streams[pipe.parameters.endpoint.slot]?.retry.start(milliseconds: milliseconds)
  }

  func pipePaused(_ pipe: InterruptPipe) {
    session.value.counters.pauses += 1
    streams[pipe.parameters.endpoint.slot]?.pausedSince = monotonicNanoseconds()
  }

  func pipeResumed(_ pipe: InterruptPipe) {
    guard let stream = streams[pipe.parameters.endpoint.slot], let since = stream.pausedSince else { return }
    stream.pausedSince = nil
    let pause = monotonicNanoseconds() - since
    guard pause > AttachedDevice.longPause else { return }
    let session = session.value
    session.log.warning(
      "\(session.name): \(device.label): \(pipe.parameters.endpoint.description) waited \(pause / 1_000_000) ms "
        + "for the guest to read")
  }
}

extension EndpointSlot {
  /// B4.2: transfers for 4 ms of the endpoint's interval, at least 4, at most 32.
  func defaultDepth(_ speed: Speed) -> Int {
    guard speed == .high || speed == .super else { return 4 }
    // bInterval is an exponent: 2^(bInterval - 1) microframes of 125 µs (USB 2.0, table 9-13); 32 of them are 4 ms.
    let microframes = 1 << min(Int(interval) - 1, 5)
    return max(4, 32 / max(1, microframes))
  }
}
