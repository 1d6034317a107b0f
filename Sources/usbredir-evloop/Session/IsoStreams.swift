// Isochronous streams: the guest's start and stop, packets in both directions, and what is dropped when the guest
// or the device falls behind (B6).

extension Session {
  // MARK: what the guest asks

  /// B6.1: `stall` is the one refusal after which QEMU takes the stream for stopped.
  func startIsoStream(_ id: UInt64, _ header: StartIsoStreamHeader) {
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard let attached else {
      late()
      return sendStatus(.stall, endpoint, .isochronous, streamID: 0, id: id)
    }
    let parameters = attached.isoParameters(
      endpoint, packets: Int(header.packetsPerURB), urbs: Int(header.urbs))
    if let rule = isoFault(parameters, attached) {
      if let stream = attached.started(endpoint, .isochronous) {
        attached.start(stream.pipe.parameters, id: id)
      } else {
        sendStatus(.stall, endpoint, .isochronous, streamID: 0, id: id)
      }
      return bad("start_iso_stream", rule)
    }
    attached.start(parameters, id: id)
  }

  private func isoFault(_ parameters: PipeParameters, _ attached: AttachedDevice) -> String? {
    let endpoint = parameters.endpoint
    guard endpoint.isValid, attached.endpoints[endpoint].type == .isochronous else {
      return "\(endpoint.description) is no isochronous endpoint (B6.1)"
    }
    guard (1...32).contains(parameters.isoPackets), (1...16).contains(parameters.depth) else {
      return "1…32 packets in each of 1…16 URBs it has to be (B6.1)"
    }
    guard parameters.transferLength > 0 else { return "\(endpoint.description) carries no data (B6.1)" }
    guard attached.bytesPosted(besides: endpoint) + parameters.bytes <= UInt64(limits.maxRequestBytes) else {
      return "with what is out already more than max-request-bytes (B1.8)"
    }
    return nil
  }

  func stopIsoStream(_ id: UInt64, _ header: StopIsoStreamHeader) {
    stopStream(id, EndpointAddress(rawValue: header.endpoint), .isochronous, streamID: 0)
  }

  /// A packet for the device; there is no answer (B6.3).
  func isoOut(_ header: IsoPacketHeader, _ data: Span<UInt8>) {
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard let attached, endpoint.isValid, let stream = attached.streams[endpoint.slot],
      let pipe = stream.output, pipe.isStarted
    else { return late() }
    guard data.count <= pipe.parameters.packetLength else {
      return bad(
        "iso_packet", "over the \(pipe.parameters.packetLength) bytes of \(endpoint.description) (B6.3)")
    }
    attached.put(data, stream, pipe)
  }
}

extension AttachedDevice {
  /// usbfs takes no longer packet: sixteen of 1024 bytes, three times, are the most of a SuperSpeed interval.
  private static let maxPacketLength = 49_152

  /// How an isochronous endpoint is used, as it is now: each packet with room for all of an interval (B2.4).
  func isoParameters(_ endpoint: EndpointAddress, packets: Int, urbs: Int) -> PipeParameters {
    let length = min(Int(endpoints[endpoint].maxPacketSize), AttachedDevice.maxPacketLength)
    return PipeParameters(
      endpoint: endpoint, type: .isochronous, transferLength: length * packets, depth: urbs,
      isoPackets: packets)
  }

  // MARK: OUT

  fileprivate func put(_ data: Span<UInt8>, _ stream: Stream, _ pipe: IsoOutPipe) {
    if !pipe.put(data) { dropped(stream, "the device is behind") }
  }

  func pipe(_ pipe: IsoOutPipe, failed status: TransferStatus) {
    guard isAttached else { return }
    let session = session.value
    session.counters.streamErrors += 1
    session.sendStatus(Status(status), pipe.parameters.endpoint, .isochronous, streamID: 0, id: 0)
  }

  func pipeRanDry(_ pipe: IsoOutPipe) {
    session.value.counters.underruns += 1
  }

  // MARK: IN

  func pipe(
    _ pipe: InterruptPipe, received packets: [IsoPacket], in buffer: PacketBuffer, sequence: UInt64
  ) {
    defer { buffer.release() }
    guard isAttached, let stream = streams[pipe.parameters.endpoint.slot] else { return }
    let first = sequence * UInt64(packets.count)
    let stride = pipe.parameters.packetLength
    for index in 0..<packets.count {
      let packet = packets[index]
      let id = first + UInt64(index)
      guard packet.status == .completed else {
        sendPacketError(stream, packet.status, id)
        continue
      }
      let start = index * stride
      buffer.withPayload { data in
        send(data.extracting(start..<start + Int(packet.actualLength)), stream, id)
      }
    }
  }

  /// Every packet of a transfer that failed as a whole failed: the guest's clock runs on.
  func sendPacketErrors(_ pipe: InterruptPipe, _ status: TransferStatus, _ sequence: UInt64) {
    guard let stream = streams[pipe.parameters.endpoint.slot] else { return }
    let count = pipe.parameters.isoPackets
    for index in 0..<count { sendPacketError(stream, status, sequence * UInt64(count) + UInt64(index)) }
  }

  private func sendPacketError(_ stream: Stream, _ status: TransferStatus, _ id: UInt64) {
    session.value.counters.streamErrors += 1
    send(Span(), stream, id, Status(status))
  }

  private func send(_ data: Span<UInt8>, _ stream: Stream, _ id: UInt64, _ status: Status = .success) {
    guard let pool = stream.packets, !stream.isBehind else {
      return dropped(stream, "the guest does not read")
    }
    let session = session.value
    if status == .success { session.counters.reports += 1 }
    let buffer = pool.take()
    buffer.copy(data)
    let endpoint = stream.pipe.parameters.endpoint.rawValue
    session.send(
      buffer, IsoPacketHeader(endpoint: endpoint, status: status, length: UInt16(data.count)), id: id)
  }

  /// B6.3, B6.4: counted, and told once for each start.
  private func dropped(_ stream: Stream, _ reason: String) {
    let session = session.value
    session.counters.droppedIsoPackets += 1
    guard !stream.hasToldDrops else { return }
    stream.hasToldDrops = true
    session.warn(
      "\(device.label): dropping packets of \(stream.pipe.parameters.endpoint.description): \(reason)")
  }
}
