// Interrupt receiving as a usb-guest sees it: start and stop of each IN endpoint, what comes from it, and its
// end.

/// What happened to receiving on an endpoint.
enum ReceivingChange: Equatable {
  case started
  case stopped
  /// A start or a stop failed, or the usb-host gave up by itself: nothing more comes (B4.6).
  case ended(Status)
}

/// Which endpoints are being received on, and which answers are due.
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
}

extension GuestSession {
  /// Asks for the reports of an interrupt IN endpoint; the owner hears how it went.
  func startInterruptReceiving(_ endpoint: EndpointAddress) throws(GuestError) {
    try checkInterruptIn(endpoint)
    receiving.slots |= 1 << UInt32(endpoint.slot)
    receiving.asked[endpoint.slot].append(.start)
    send(StartInterruptReceivingHeader(endpoint: endpoint.rawValue), id: 0)
  }

  /// Asks for no more reports; those on their way still come, then the owner hears how it went.
  func stopInterruptReceiving(_ endpoint: EndpointAddress) throws(GuestError) {
    try checkInterruptIn(endpoint)
    receiving.asked[endpoint.slot].append(.stop)
    send(StopInterruptReceivingHeader(endpoint: endpoint.rawValue), id: 0)
  }

  private func checkInterruptIn(_ endpoint: EndpointAddress) throws(GuestError) {
    guard let device else { throw .noDevice }
    guard device[endpoint]?.isInterruptIn == true else { throw .noSuchEndpoint(endpoint, .interrupt) }
  }

  func receivingStatus(_ header: InterruptReceivingStatusHeader) {
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard endpoint.isValid else {
      return bad("interrupt_receiving_status for endpoint " + endpoint.description)
    }
    let asked = receiving.asked[endpoint.slot].first
    guard asked != nil || receiving.isOn(endpoint) && header.status != .success else { return late() }
    if asked != nil { receiving.asked[endpoint.slot].removeFirst() }
    guard header.status == .success else {
      receiving.slots &= ~(1 << UInt32(endpoint.slot))
      return unsafe owner.guest(self, .ended(header.status), on: endpoint)
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
    let endpoint = EndpointAddress(rawValue: header.endpoint)
    guard endpoint.isValid else { return bad("interrupt_packet for endpoint " + endpoint.description) }
    guard endpoint.isIn else { return answered(id, header) }
    guard receiving.isOn(endpoint) else { return late() }
    unsafe owner.guest(self, received: data, from: endpoint, header.status, sequence: id)
  }
}
