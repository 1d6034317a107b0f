// Requests of a usb-guest: each has an id, goes out at once and gets one answer. An answer that fits no
// request is dropped and counted.

/// What a control request brought: a status, and the data of an IN request, valid during the call.
typealias ControlCompletion = (Status, Span<UInt8>) -> Void
/// What any request brought: a status, the bytes moved (or the setting in force), and the data of an IN request.
typealias GuestCompletion = (Status, Int, Span<UInt8>) -> Void

/// The requests in flight.
struct GuestRequests {
  fileprivate struct Request {
    let id: UInt64
    /// Of the answer.
    let type: PacketType
    /// What the answer has to name again: an endpoint, an interface, or bmRequestType and bRequest.
    let name: UInt16
    /// The most that the answer may count.
    let limit: Int
    let then: GuestCompletion
  }

  /// Few, in the order they were asked for.
  fileprivate var pending: [Request] = []
  private var lastID: UInt32 = 0

  /// How many wait for their answer.
  var count: Int { pending.count }

  /// The id of a new request. 32 bits, because a peer may have no more.
  fileprivate mutating func add(
    _ type: PacketType, _ name: UInt16, limit: Int, then: @escaping GuestCompletion
  ) -> UInt64 {
    repeat { lastID &+= 1 } while lastID == 0 || index(UInt64(lastID)) != nil
    pending.append(Request(id: UInt64(lastID), type: type, name: name, limit: limit, then: then))
    return UInt64(lastID)
  }

  fileprivate func index(_ id: UInt64) -> Int? {
    pending.firstIndex { $0.id == id }
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
    try checkDevice()
    let buffer = buffers.take(data.count)
    buffer.copy(data)
    let header = ControlPacketHeader(
      endpoint: setup.requestType & 0x80, request: setup.request, requestType: setup.requestType,
      status: .success,
      value: setup.value, index: setup.index, length: setup.length)
    let id = requests.add(.controlPacket, controlName(header), limit: Int(setup.length)) { status, _, data in
      then(status, data)
    }
    send(buffer, header, id: id)
  }

  /// GET_DESCRIPTOR (USB 2.0, 9.4.3); `then` as in `control`.
  func getDescriptor(
    _ type: UInt8, index: UInt8, language: UInt16 = 0, length: UInt16, then: @escaping ControlCompletion
  ) throws(GuestError) {
    let setup = SetupPacket(
      requestType: 0x80, request: StandardRequest.getDescriptor, value: UInt16(type) << 8 | UInt16(index),
      index: language, length: length)
    try control(setup, then: then)
  }

  /// Sends `data`, at most 65535 bytes, to an interrupt OUT endpoint; `then` as in `control`, with the bytes
  /// that the device took. Returns the id for `cancel`.
  @discardableResult func interruptOut(
    _ endpoint: EndpointAddress, _ data: Span<UInt8>, then: @escaping (Status, Int) -> Void
  ) throws(GuestError) -> UInt64 {
    precondition(data.count <= 65535)
    try checkEndpoint(endpoint, .interrupt, isIn: false)
    let buffer = buffers.take(data.count)
    buffer.copy(data)
    let header = InterruptPacketHeader(
      endpoint: endpoint.rawValue, status: .success, length: UInt16(data.count))
    let name = UInt16(endpoint.rawValue)
    let id = requests.add(.interruptPacket, name, limit: data.count) { status, count, _ in
      then(status, count)
    }
    send(buffer, header, id: id)
    return id
  }

  /// Asks a bulk IN endpoint for up to `length` bytes; `then` as in `control`. Returns the id for `cancel`.
  @discardableResult func bulkIn(
    _ endpoint: EndpointAddress, length: Int, then: @escaping GuestCompletion
  ) throws(GuestError) -> UInt64 {
    try bulk(endpoint, buffers.take(0), length: length, isIn: true, then)
  }

  /// Sends the payload of `buffer`, which is the session's from here on, to a bulk OUT endpoint; `then` as in
  /// `control`. Returns the id for `cancel`.
  @discardableResult func bulkOut(
    _ endpoint: EndpointAddress, _ buffer: PacketBuffer, then: @escaping GuestCompletion
  ) throws(GuestError) -> UInt64 {
    try bulk(endpoint, buffer, length: buffer.count, isIn: false, then)
  }

  /// The longest bulk transfer that can be asked for: without 32-bit lengths the largest below 64 KiB that is
  /// whole packets at every speed.
  var maxBulkLength: Int {
    capabilities.contains(.bulkLength32) ? Int(PacketLimits().maxTransfer) : 0xfc00
  }

  private func bulk(
    _ endpoint: EndpointAddress, _ buffer: PacketBuffer, length: Int, isIn: Bool,
    _ then: @escaping GuestCompletion
  ) throws(GuestError) -> UInt64 {
    precondition(length <= maxBulkLength)
    do throws(GuestError) {
      try checkEndpoint(endpoint, .bulk, isIn: isIn)
    } catch {
      buffer.release()
      throw error
    }
    let id = requests.add(.bulkPacket, UInt16(endpoint.rawValue), limit: length, then: then)
    let header = BulkPacketHeader(
      endpoint: endpoint.rawValue, status: .success, length: UInt32(length), streamID: 0)
    send(buffer, header, id: id)
    return id
  }

  /// Asks for the end of a data request; its answer comes all the same, usually `cancelled`.
  func cancel(_ id: UInt64) {
    guard requests.index(id) != nil else { return }
    send(.cancelDataPacket, id: id)
  }

  /// Asks for bConfigurationValue of the configuration in force; `then` as in `control`.
  func getConfiguration(then: @escaping (Status, UInt8) -> Void) throws(GuestError) {
    try checkDevice()
    send(.getConfiguration, id: requests.add(.configurationStatus, 0, limit: 255, then: setting(then)))
  }

  /// Changes the configuration; `then` as in `control`, with the one in force.
  func setConfiguration(
    _ configuration: UInt8, then: @escaping (Status, UInt8) -> Void
  ) throws(GuestError) {
    try checkDevice()
    let id = requests.add(.configurationStatus, 0, limit: 255, then: setting(then))
    send(SetConfigurationHeader(configuration: configuration), id: id)
  }

  /// Changes the alternate setting of an interface; `then` as in `control`, with the one in force.
  func setAlternateSetting(
    _ interface: UInt8, _ setting: UInt8, then: @escaping (Status, UInt8) -> Void
  ) throws(GuestError) {
    try checkDevice()
    let id = requests.add(.altSettingStatus, UInt16(interface), limit: 255, then: self.setting(then))
    send(SetAltSettingHeader(interface: interface, alt: setting), id: id)
  }

  /// Resets the device's port. There is no answer; what is asked next is answered when it is over.
  func reset() throws(GuestError) {
    try checkDevice()
    send(.reset)
  }

  private func setting(_ then: @escaping (Status, UInt8) -> Void) -> GuestCompletion {
    { status, value, _ in then(status, UInt8(truncatingIfNeeded: value)) }
  }

  private func checkDevice() throws(GuestError) {
    if device == nil { throw .noDevice }
  }

  func checkEndpoint(_ endpoint: EndpointAddress, _ type: TransferType, isIn: Bool) throws(GuestError) {
    try checkDevice()
    guard device?[endpoint]?.type == type, endpoint.isIn == isIn else {
      throw .noSuchEndpoint(endpoint, type)
    }
  }

  // MARK: answers

  func answered(_ id: UInt64, _ header: ControlPacketHeader, _ data: Span<UInt8>) {
    answered(id, .controlPacket, controlName(header), header.status, data.count, data)
  }

  func answered(_ id: UInt64, _ header: InterruptPacketHeader) {
    answered(id, .interruptPacket, UInt16(header.endpoint), header.status, Int(header.length))
  }

  func answered(_ id: UInt64, _ header: BulkPacketHeader, _ data: Span<UInt8>) {
    answered(id, .bulkPacket, UInt16(header.endpoint), header.status, Int(header.length), data)
  }

  func answered(_ id: UInt64, _ header: ConfigurationStatusHeader) {
    answered(id, .configurationStatus, 0, header.status, Int(header.configuration))
  }

  func answered(_ id: UInt64, _ header: AltSettingStatusHeader) {
    answered(id, .altSettingStatus, UInt16(header.interface), header.status, Int(header.alt))
  }

  private func controlName(_ header: ControlPacketHeader) -> UInt16 {
    UInt16(header.requestType) << 8 | UInt16(header.request)
  }

  private func answered(
    _ id: UInt64, _ type: PacketType, _ name: UInt16, _ status: Status, _ count: Int,
    _ data: Span<UInt8> = Span()
  ) {
    guard let index = requests.index(id), requests.pending[index].type == type else { return late() }
    let request = requests.pending[index]
    guard request.name == name, count <= request.limit || !data.isEmpty else {
      return bad(type.description + " that answers another request than it names")
    }
    requests.pending.remove(at: index)
    guard count <= request.limit else {
      bad("\(type.description) with \(count) bytes for a request of \(request.limit)")
      return request.then(.babble, 0, Span())
    }
    request.then(status, count, data)
  }

  /// Ends everything that is in flight, in the order it was asked for.
  func failRequests(_ status: Status) {
    let failed = requests.pending
    requests.pending = []
    for request in failed { request.then(status, 0, Span()) }
  }
}
