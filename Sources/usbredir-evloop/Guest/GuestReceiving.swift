// Streams as a usb-guest sees them, interrupt receiving, buffered bulk receiving and isochronous: start and stop
// on each endpoint, what comes from it, and its end.

/// What happened to receiving on an endpoint.
enum ReceivingChange: Equatable {
  case started
  case stopped
  /// A start or a stop failed, or the usb-host gave up by itself: nothing more comes (B4.6).
  case ended(Status)
}

/// Which endpoints have a stream, and which answers are due.
struct GuestReceiving {
  /// One bit per slot: started and not stopped, the answer there or not.
  fileprivate(set) var slots: UInt32 = 0
  /// The usb-host answers in the order it was asked: a start or a stop each.
  fileprivate var asked = [[Asked]](repeating: [], count: EndpointTable.count)

  fileprivate enum Asked {
    case start, stop
  }

  /// True from start until stop, or until it ended.
  func isOn(_ endpoint: EndpointAddress) -> Bool { slots & 1 << UInt32(endpoint.slot) != 0 }

  /// True while a start or a stop waits for its answer.
  var awaitsAnswers: Bool { asked.contains { !$0.isEmpty } }

  fileprivate mutating func start(_ endpoint: EndpointAddress) {
    slots |= 1 << UInt32(endpoint.slot)
    asked[endpoint.slot].append(.start)
  }

  fileprivate mutating func stop(_ endpoint: EndpointAddress) {
    asked[endpoint.slot].append(.stop)
  }
}

extension GuestSession {
  /// Asks for the reports of an interrupt IN endpoint; the owner hears how it went.
  func startInterruptReceiving(_ endpoint: EndpointAddress) throws(GuestError) {
    try checkEndpoint(endpoint, .interrupt, isIn: true)
    receiving.start(endpoint)
    send(StartInterruptReceivingHeader(endpoint: endpoint.rawValue), id: 0)
  }

  /// Asks for no more reports; those on their way still come, then the owner hears how it went.
  func stopInterruptReceiving(_ endpoint: EndpointAddress) throws(GuestError) {
    try checkEndpoint(endpoint, .interrupt, isIn: true)
    receiving.stop(endpoint)
    send(StopInterruptReceivingHeader(endpoint: endpoint.rawValue), id: 0)
  }

  /// Lets the usb-host read a bulk IN endpoint by itself, in transfers of so many bytes; the owner hears how it went
  /// (B5.2).
  func startBulkReceiving(
    _ endpoint: EndpointAddress, bytesPerTransfer: Int, transfers: Int
  ) throws(GuestError) {
    try checkEndpoint(endpoint, .bulk, isIn: true)
    guard capabilities.contains(.bulkReceiving) else { throw .noBufferedReceiving }
    receiving.start(endpoint)
    let header = StartBulkReceivingHeader(
      streamID: 0, bytesPerTransfer: UInt32(bytesPerTransfer), endpoint: endpoint.rawValue,
      transfers: UInt8(transfers))
    send(header, id: 0)
  }

  /// As `stopInterruptReceiving`.
  func stopBulkReceiving(_ endpoint: EndpointAddress) throws(GuestError) {
    try checkEndpoint(endpoint, .bulk, isIn: true)
    receiving.stop(endpoint)
    send(StopBulkReceivingHeader(streamID: 0, endpoint: endpoint.rawValue), id: 0)
  }

  /// Starts the stream of an isochronous endpoint, IN or OUT; the owner hears how it went (B6.1).
  func startIsoStream(_ endpoint: EndpointAddress, packetsPerURB: Int, urbs: Int) throws(GuestError) {
    try checkEndpoint(endpoint, .isochronous, isIn: endpoint.isIn)
    receiving.start(endpoint)
    let header = StartIsoStreamHeader(
      endpoint: endpoint.rawValue, packetsPerURB: UInt8(packetsPerURB), urbs: UInt8(urbs))
    send(header, id: 0)
  }

  /// As `stopInterruptReceiving`.
  func stopIsoStream(_ endpoint: EndpointAddress) throws(GuestError) {
    try checkEndpoint(endpoint, .isochronous, isIn: endpoint.isIn)
    receiving.stop(endpoint)
    send(StopIsoStreamHeader(endpoint: endpoint.rawValue), id: 0)
  }

  /// Sends the payload of `buffer`, which is the session's from here on, as one packet of a stream that was
  /// started. There is no answer.
  func isoOut(_ endpoint: EndpointAddress, _ buffer: PacketBuffer, sequence: UInt64) {
    let header = IsoPacketHeader(
      endpoint: endpoint.rawValue, status: .success, length: UInt16(buffer.count))
    send(buffer, header, id: sequence)
  }

  // MARK: what the usb-host says

  func streamStatus(_ type: PacketType, _ endpoint: UInt8, _ status: Status) {
    let endpoint = EndpointAddress(rawValue: endpoint)
    guard endpoint.isValid else { return bad(type.description + " for endpoint " + endpoint.description) }
    let asked = receiving.asked[endpoint.slot].first
    guard asked != nil || receiving.isOn(endpoint) && status != .success else { return late() }
    if asked != nil { receiving.asked[endpoint.slot].removeFirst() }
    guard status == .success else {
      receiving.slots &= ~(1 << UInt32(endpoint.slot))
      return unsafe owner.guest(self, .ended(status), on: endpoint)
    }
    if asked == .stop { stopped(endpoint) }
    unsafe owner.guest(self, asked == .stop ? .stopped : .started, on: endpoint)
  }

  /// A start behind the stop keeps the endpoint on.
  private func stopped(_ endpoint: EndpointAddress) {
    if receiving.asked[endpoint.slot].isEmpty { receiving.slots &= ~(1 << UInt32(endpoint.slot)) }
  }

  /// A report, or the answer to an OUT request.
  func interruptPacket(_ id: UInt64, _ header: InterruptPacketHeader, _ data: Span<UInt8>) {
    guard header.endpoint & 0x80 != 0 else { return answered(id, header) }
    streamPacket(.interruptPacket, id, header.endpoint, header.status, data)
  }

  /// What a stream brings.
  func streamPacket(
    _ type: PacketType, _ id: UInt64, _ endpoint: UInt8, _ status: Status, _ data: Span<UInt8>
  ) {
    let endpoint = EndpointAddress(rawValue: endpoint)
    guard endpoint.isValid else { return bad(type.description + " for endpoint " + endpoint.description) }
    guard receiving.isOn(endpoint) else { return late() }
    unsafe owner.guest(self, received: data, from: endpoint, status, sequence: id)
  }
}
