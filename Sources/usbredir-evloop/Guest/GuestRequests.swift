// Requests of a usb-guest: each has an id, goes out at once and gets one answer. An answer that fits no
// request is dropped and counted.

/// What a control request brought: a status, and the data of an IN request, valid during the call.
typealias ControlCompletion = (Status, Span<UInt8>) -> Void

/// The requests in flight.
struct GuestRequests {
  fileprivate enum Request {
    case control(SetupPacket, ControlCompletion)
    case interruptOut(EndpointAddress, count: Int, (Status, Int) -> Void)
    case configuration((Status, UInt8) -> Void)
  }

  /// Few, in the order they were asked for.
  fileprivate var pending: [(id: UInt64, request: Request)] = []
  private var lastID: UInt32 = 0

  /// How many wait for their answer.
  var count: Int { pending.count }

  /// The id of a new request. 32 bits, because a peer may have no more.
  fileprivate mutating func add(_ request: Request) -> UInt64 {
    repeat { lastID &+= 1 } while lastID == 0 || self[UInt64(lastID)] != nil
    pending.append((UInt64(lastID), request))
    return UInt64(lastID)
  }

  fileprivate subscript(_ id: UInt64) -> Request? {
    pending.first { $0.id == id }?.request
  }

  fileprivate mutating func remove(_ id: UInt64) {
    pending.removeAll { $0.id == id }
  }
}

extension GuestSession {
  /// Sends a control request.
  /// - Parameters:
  ///   - data: the data stage of an OUT request, `setup.length` bytes; empty for IN.
  ///   - then: called once with the answer, with `ioerror` when the device went first, with `cancelled` when the
  ///     connection did. Not after `close`.
  func control(
    _ setup: SetupPacket, _ data: Span<UInt8> = Span(), then: @escaping ControlCompletion
  ) throws(GuestError) {
    precondition(data.count == (setup.isIn ? 0 : Int(setup.length)))
    guard device != nil else { throw .noDevice }
    let buffer = buffers.take(data.count)
    buffer.copy(data)
    let header = ControlPacketHeader(
      endpoint: setup.requestType & 0x80, request: setup.request, requestType: setup.requestType,
      status: .success,
      value: setup.value, index: setup.index, length: setup.length)
    send(buffer, header, id: requests.add(.control(setup, then)))
  }

  /// Sends `data`, at most 65535 bytes, to an interrupt OUT endpoint; `then` as in `control`, with the bytes
  /// that the device took.
  func interruptOut(
    _ endpoint: EndpointAddress, _ data: Span<UInt8>, then: @escaping (Status, Int) -> Void
  ) throws(GuestError) {
    precondition(data.count <= 65535)
    guard let device else { throw .noDevice }
    guard device[endpoint]?.type == .interrupt, !endpoint.isIn else {
      throw .noSuchEndpoint(endpoint, .interrupt)
    }
    let buffer = buffers.take(data.count)
    buffer.copy(data)
    let header = InterruptPacketHeader(
      endpoint: endpoint.rawValue, status: .success, length: UInt16(data.count))
    send(buffer, header, id: requests.add(.interruptOut(endpoint, count: data.count, then)))
  }

  /// Asks for bConfigurationValue of the configuration in force; `then` as in `control`.
  func getConfiguration(then: @escaping (Status, UInt8) -> Void) throws(GuestError) {
    guard device != nil else { throw .noDevice }
    send(.getConfiguration, id: requests.add(.configuration(then)))
  }

  // MARK: answers

  func answered(_ id: UInt64, _ header: ControlPacketHeader, _ data: Span<UInt8>) {
    guard case .control(let setup, let then) = requests[id] else { return late() }
    guard header.requestType == setup.requestType, header.request == setup.request else {
      return bad("control_packet that answers another request than it names")
    }
    requests.remove(id)
    guard data.count <= Int(setup.length) else {
      bad("control_packet with \(data.count) bytes for a request of \(setup.length)")
      return then(.babble, Span())
    }
    then(header.status, data)
  }

  func answered(_ id: UInt64, _ header: ConfigurationStatusHeader) {
    guard case .configuration(let then) = requests[id] else { return late() }
    requests.remove(id)
    then(header.status, header.configuration)
  }

  func answered(_ id: UInt64, _ header: InterruptPacketHeader) {
    guard case .interruptOut(let endpoint, let count, let then) = requests[id] else { return late() }
    guard header.endpoint == endpoint.rawValue, Int(header.length) <= count else {
      return bad("interrupt_packet that answers another request than it names")
    }
    requests.remove(id)
    then(header.status, Int(header.length))
  }

  /// Ends everything that is in flight, in the order it was asked for.
  func failRequests(_ status: Status) {
    let failed = requests.pending
    requests.pending = []
    for (_, request) in failed {
      switch request {
      case .control(_, let then): then(status, Span())
      case .interruptOut(_, _, let then): then(status, 0)
      case .configuration(let then): then(status, 0)
      }
    }
  }
}
