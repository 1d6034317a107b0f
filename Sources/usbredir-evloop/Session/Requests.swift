// Control, bulk and interrupt OUT packets: each becomes a request on its endpoint and gets one answer, in the
// order of the requests (B3.1, B3.2, B4.10, B5.1).

extension Session {
  /// libusb and usbfs carry no longer control data stage than a page (B3.1).
  static let maxControlLength = 4096
  /// Milliseconds a control transfer may take (B3.1).
  static let controlTimeout: UInt32 = 5000

  // MARK: control

  func control(_ id: UInt64, _ header: ControlPacketHeader, _ data: Span<UInt8>) {
    guard let attached else {
      late()
      return sendControl(id, header, .ioerror)
    }
    let request = attached.queue(.controlOut).make(id: id)
    prepare(request.transfer, header)
    if let rule = controlFault(header, data) {
      attached.refuse(request, .inval)
      return bad("control_packet", rule)
    }
    guard isWithinBudget(attached, data.count) else {
      return refuseOverBudget(request, attached, "control_packet")
    }
    if route(request, attached) { return }
    let setup = request.transfer.setup
    guard let buffer = buffers.takeIfPossible(Int(setup.length)) else {
      return refuseForMemory(request, attached, "control_packet")
    }
    if !setup.isIn { buffer.copy(data) }
    request.transfer.buffer = buffer
    attached.submit(request)
  }

  private func prepare(_ transfer: Transfer, _ header: ControlPacketHeader) {
    transfer.type = .control
    transfer.endpoint = EndpointAddress(rawValue: header.endpoint)
    transfer.timeout = Session.controlTimeout
    let isIn = header.requestType & 0x80 != 0
    let length = isIn ? min(header.length, UInt16(Session.maxControlLength)) : header.length
    transfer.length = Int(length)
    transfer.setup = SetupPacket(
      requestType: header.requestType, request: header.request, value: header.value, index: header.index,
      length: length)
  }

  private func controlFault(_ header: ControlPacketHeader, _ data: Span<UInt8>) -> String? {
    guard header.endpoint == 0 || header.endpoint == 0x80 else {
      return "endpoint 0x00 or 0x80 it has to be (B3.1)"
    }
    guard header.endpoint == header.requestType & 0x80 else {
      return "endpoint and bmRequestType disagree (B3.1)"
    }
    guard header.endpoint != 0 || data.count <= Session.maxControlLength else {
      return "an OUT data stage over \(Session.maxControlLength) bytes (B3.1)"
    }
    return nil
  }

  /// Standard requests that change state on this side are never sent raw (B3.2). True when it was one.
  private func route(_ request: Request, _ attached: AttachedDevice) -> Bool {
    let setup = request.transfer.setup
    switch (setup.requestType, setup.request) {
    case (RequestType.toDevice, StandardRequest.setAddress):
      attached.refuse(request, .success)
    case (RequestType.toDevice, StandardRequest.setConfiguration):
      guard let value = UInt8(exactly: setup.value) else { return stall(request, attached) }
      setConfiguration(value, attached, .control(request))
    case (RequestType.toInterface, StandardRequest.setInterface):
      guard let interface = UInt8(exactly: setup.index), let alt = UInt8(exactly: setup.value) else {
        return stall(request, attached)
      }
      setAltSetting(interface, alt, attached, .control(request))
    case (RequestType.toEndpoint, StandardRequest.clearFeature):
      guard setup.value == Feature.endpointHalt, setup.index & 0x0f != 0 else { return false }
      guard let endpoint = UInt8(exactly: setup.index).map(EndpointAddress.init(rawValue:)), endpoint.isValid
      else {
        return stall(request, attached)
      }
      clearHalt(endpoint, attached, request)
    default:
      return false
    }
    return true
  }

  /// What a device says to a request that names what no device has.
  private func stall(_ request: Request, _ attached: AttachedDevice) -> Bool {
    attached.refuse(request, .stall)
    return true
  }

  private func sendControl(_ id: UInt64, _ header: ControlPacketHeader, _ status: Status) {
    var answer = header
    answer.status = status
    answer.length = 0
    send(answer, id: id)
  }

  // MARK: bulk and interrupt OUT

  func bulk(_ id: UInt64, _ header: BulkPacketHeader, _ data: Span<UInt8>) {
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard let attached else {
      late()
      var answer = header
      answer.status = .ioerror
      answer.length = 0
      return send(answer, id: id)
    }
    let request = attached.queue(endpoint).make(id: id)
    request.transfer.type = .bulk
    request.transfer.streamID = header.streamID
    transferData(request, attached, endpoint, length: Int(header.length), data, "bulk_packet")
  }

  func interruptOut(_ id: UInt64, _ header: InterruptPacketHeader, _ data: Span<UInt8>) {
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard let attached else {
      late()
      return send(InterruptPacketHeader(endpoint: header.endpoint, status: .ioerror, length: 0), id: id)
    }
    let request = attached.queue(endpoint).make(id: id)
    request.transfer.type = .interrupt
    transferData(request, attached, endpoint, length: data.count, data, "interrupt_packet")
  }

  private func transferData(
    _ request: Request, _ attached: AttachedDevice, _ endpoint: EndpointAddress, length: Int,
    _ data: Span<UInt8>,
    _ packet: String
  ) {
    request.transfer.endpoint = endpoint
    request.transfer.length = length
    request.transfer.timeout = 0
    guard endpoint.isValid, attached.endpoints[endpoint].type == request.transfer.type else {
      attached.refuse(request, .inval)
      return bad(packet, "the device has no such endpoint as \(endpoint.description) (B1.7)")
    }
    guard isWithinBudget(attached, length) else { return refuseOverBudget(request, attached, packet) }
    guard let buffer = buffers.takeIfPossible(length) else {
      return refuseForMemory(request, attached, packet)
    }
    if !endpoint.isIn { buffer.copy(data) }
    request.transfer.buffer = buffer
    attached.submit(request)
  }

  // MARK: budget

  private func isWithinBudget(_ attached: AttachedDevice, _ length: Int) -> Bool {
    attached.budget.count <= limits.maxRequests && attached.budget.bytes + length <= limits.maxRequestBytes
  }

  /// B1.8: over the budget a request is refused, in its turn.
  private func refuseOverBudget(_ request: Request, _ attached: AttachedDevice, _ packet: String) {
    attached.refuse(request, .inval)
    bad(packet, "more requests than this export allows (max-requests, B1.8)")
  }

  /// B1.8: without memory a request fails, in its turn; the guest has done nothing wrong.
  private func refuseForMemory(_ request: Request, _ attached: AttachedDevice, _ packet: String) {
    attached.refuse(request, .ioerror)
    warn("refused: no memory for a \(packet) of \(request.transfer.length) bytes (B1.8)")
  }

  func cancelDataPacket(_ id: UInt64) {
    guard let attached, attached.cancel(id: id) else { return late() }
    cancelled()
  }

  // MARK: answers

  /// The answer of a request whose turn it is: the header as it came, the status, and what moved.
  func answer(_ request: Request) {
    let transfer = request.transfer
    let endpoint = transfer.endpoint.rawValue
    counters.requests += 1
    switch transfer.type {
    case .control:
      let setup = transfer.setup
      let header = ControlPacketHeader(
        endpoint: endpoint, request: setup.request, requestType: setup.requestType, status: request.status,
        value: setup.value, index: setup.index, length: UInt16(truncatingIfNeeded: request.moved))
      send(takeData(request), header, id: request.id)
    case .bulk:
      let header = BulkPacketHeader(
        endpoint: endpoint, status: request.status, length: UInt32(request.moved), streamID: transfer.streamID
      )
      send(takeData(request), header, id: request.id, .overtakable)
    case .interrupt, .isochronous:
      let header = InterruptPacketHeader(
        endpoint: endpoint, status: request.status, length: UInt16(truncatingIfNeeded: request.moved))
      send(takeData(request), header, id: request.id, .ahead)
    }
  }

  /// The buffer with what an IN request brought; an empty one for everything else.
  private func takeData(_ request: Request) -> PacketBuffer {
    guard request.transfer.endpoint.isIn, request.moved > 0, let buffer = request.transfer.buffer else {
      return smallBuffer()
    }
    request.transfer.buffer = nil
    buffer.setPayload(count: request.moved)
    return buffer
  }

  /// B1.7: a packet that is wrong in itself is answered `inval` where it has a legal answer, in its turn.
  /// `ioerror` for one that is right and has no memory (B1.8).
  func refuse(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ status: Status) {
    guard let type = header.type, typeHeader.count == type.typeHeaderSize(capabilities) else { return }
    if type == .startBulkReceiving {
      return refuseStart(header.id, StartBulkReceivingHeader(decoding: typeHeader))
    }
    guard let attached else { return }
    switch type {
    case .controlPacket:
      let request = attached.queue(.controlOut).make(id: header.id)
      prepare(request.transfer, ControlPacketHeader(decoding: typeHeader))
      attached.refuse(request, status)
    case .bulkPacket:
      let bulk = BulkPacketHeader(decoding: typeHeader)
      refuse(
        header.id, .bulk, EndpointAddress(rawValue: bulk.endpoint), streamID: bulk.streamID, attached, status)
    case .interruptPacket:
      let endpoint = EndpointAddress(rawValue: InterruptPacketHeader(decoding: typeHeader).endpoint)
      // An interrupt packet for an IN endpoint has no legal answer (B4.10).
      if !endpoint.isIn { refuse(header.id, .interrupt, endpoint, streamID: 0, attached, status) }
    default: break
    }
  }

  private func refuse(
    _ id: UInt64, _ type: TransferType, _ endpoint: EndpointAddress, streamID: UInt32,
    _ attached: AttachedDevice, _ status: Status
  ) {
    let request = attached.queue(endpoint).make(id: id)
    request.transfer.type = type
    request.transfer.endpoint = endpoint
    request.transfer.streamID = streamID
    attached.refuse(request, status)
  }
}
