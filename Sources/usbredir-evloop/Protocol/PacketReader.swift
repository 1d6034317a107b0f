// Bytes in, packets out, whatever pieces the bytes come in. What is handed out has passed `PacketRules`;
// what has not is reported at once and its data skipped as it arrives, so that nothing is held for it.

/// Gets what a reader finds. The spans are valid during the call. May set `isPaused` from within; may not
/// use the reader itself. Loop thread only.
protocol PacketReceiver: AnyObject {
  /// While true nothing is handed out; call `drain` again when it is false.
  var isPaused: Bool { get }
  /// A packet that is right in itself: direction, capability, lengths and limits are checked.
  /// `header.type` is a type, and `typeHeader` has the size it has with the capabilities in force.
  func receive(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>)
  /// A packet that is framed right and wrong in itself (B1.7); the stream goes on behind it. `typeHeader`
  /// is empty when the header alone was wrong.
  func rejected(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ fault: PacketFault)
  /// The stream cannot be trusted any more (B1.7). Comes once, and nothing after it.
  func broken(_ fault: PacketFault)
}

/// The receiving half of one connection, without the connection. Loop thread only.
final class PacketReader {
  /// Bytes of the receive region: one `recv` takes this much, and all but bulk packets fit.
  static let regionCapacity = 64 << 10

  /// In force (B1.3) since the peer's hello was read; empty before.
  var capabilities: Capabilities { rules.capabilities }
  /// What the peer's hello offered, bits of later versions included.
  private(set) var peerCapabilities: Capabilities = []
  /// True since the peer's hello was read.
  private(set) var hasHello = false
  private let ours: Capabilities
  private var rules: PacketRules
  private let buffer = ReceiveBuffer(capacity: PacketReader.regionCapacity)
  /// Bytes of a refused packet that are still to be thrown away.
  private var toSkip: UInt32 = 0
  private var isBroken = false
  /// Guards the spans that a receiver holds.
  private var isDraining = false

  /// - Parameters:
  ///   - role: who we are; the peer is the other one.
  ///   - ours: what our hello offers.
  init(role: Role, capabilities ours: Capabilities, limits: PacketLimits = PacketLimits()) {
    self.ours = ours
    rules = PacketRules(sender: role.peer, capabilities: [], maxTransfer: limits.maxTransfer)
  }

  /// Memory the reader holds, in bytes.
  var memory: Int { buffer.capacity }

  /// Lets `body` (a `recv`) write into free memory; it returns how many bytes came, 0 for none. After a
  /// `drain` that was not paused there is always room; while the receiver is paused it ends, and then
  /// `body` is not called.
  func withFree(_ body: (UnsafeMutableRawBufferPointer) -> Int) {
    precondition(!isDraining)
    unsafe buffer.withFree(body)
  }

  /// Hands out what is complete, until more bytes are needed or the receiver is paused.
  func drain(_ receiver: any PacketReceiver) {
    guard !isDraining else { return }
    isDraining = true
    while !isBroken, !receiver.isPaused, next(receiver) {}
    isDraining = false
  }

  /// Deals with one packet, or with what is to be skipped. False when more bytes are needed.
  private func next(_ receiver: any PacketReceiver) -> Bool {
    guard toSkip == 0 else { return skip() }
    return act(on: buffer.withUnread { read($0, receiver) }, receiver)
  }

  private func act(on step: Step, _ receiver: any PacketReceiver) -> Bool {
    switch step {
    case .needs(let count):
      buffer.wanted = count
      return buffer.makeRoom()
        ? false : act(on: buffer.withUnread { refuseForMemory($0, receiver) }, receiver)
    case .took(let count, let skipping):
      buffer.wanted = 0
      buffer.take(count)
      toSkip = skipping
      return true
    case .broke:
      buffer.wanted = 0
      isBroken = true
      return false
    }
  }

  private func skip() -> Bool {
    let count = min(toSkip, UInt32(buffer.count))
    buffer.take(Int(count))
    toSkip -= count
    return toSkip == 0
  }

  /// What became of the packet at the front.
  private enum Step {
    /// It is not complete; that many bytes of it are needed in one piece.
    case needs(Int)
    /// That many bytes are dealt with, and the next `skipping` ones are of no use.
    case took(Int, skipping: UInt32)
    case broke
  }

  /// Judges the packet at the front as far as it is there, and hands it out when it is complete.
  private func read(_ bytes: Span<UInt8>, _ receiver: any PacketReceiver) -> Step {
    let headerSize = PacketHeader.size(capabilities)
    guard bytes.count >= headerSize else { return .needs(headerSize) }
    let header = PacketHeader(decoding: bytes, capabilities)
    if let fault = streamFault(header) { return broke(fault, receiver) }
    guard let type = header.type else {
      return refuse(header, headerSize, .unknownType(header.typeNumber), receiver)
    }
    if let fault = rules.fault(type, length: header.length) {
      return refuse(header, headerSize, fault, receiver)
    }

    let typeHeaderEnd = headerSize + type.typeHeaderSize(capabilities)
    guard bytes.count >= typeHeaderEnd else { return .needs(typeHeaderEnd) }
    let typeHeader = bytes.extracting(headerSize..<typeHeaderEnd)
    let end = headerSize + Int(header.length)
    if let fault = rules.fault(type, typeHeader, dataCount: UInt32(end - typeHeaderEnd)) {
      return refuse(header, typeHeader, headerSize, fault, receiver)
    }

    guard bytes.count >= end else { return .needs(end) }
    let data = bytes.extracting(typeHeaderEnd..<end)
    if let fault = PacketRules.fault(type, data: data) {
      receiver.rejected(header, typeHeader, fault)
    } else {
      if type == .hello { agree(Capabilities(decoding: data)) }
      receiver.receive(header, typeHeader, data)
    }
    return .took(end, skipping: 0)
  }

  /// The region is full of one packet, whose headers are there and right, and there is no memory for the rest.
  private func refuseForMemory(_ bytes: Span<UInt8>, _ receiver: any PacketReceiver) -> Step {
    let headerSize = PacketHeader.size(capabilities)
    let header = PacketHeader(decoding: bytes, capabilities)
    guard let type = header.type else {
      return refuse(header, headerSize, .unknownType(header.typeNumber), receiver)
    }
    let typeHeader = bytes.extracting(headerSize..<headerSize + type.typeHeaderSize(capabilities))
    return refuse(header, typeHeader, headerSize, .noMemory(type, length: header.length), receiver)
  }

  /// What ends the stream, as far as a header tells (B1.5, B1.7).
  private func streamFault(_ header: PacketHeader) -> PacketFault? {
    if header.length > PacketLimits.packet { return .hugeLength(header.length) }
    if header.typeNumber == PacketType.hello.rawValue { return hasHello ? .secondHello : nil }
    return hasHello ? nil : .notHello(typeNumber: header.typeNumber)
  }

  /// From here on the capabilities are in force, the header's size among them: the next packet may lie
  /// right behind.
  private func agree(_ theirs: Capabilities) {
    peerCapabilities = theirs
    hasHello = true
    rules.capabilities = Capabilities.negotiated(ours, theirs)
  }

  private func broke(_ fault: PacketFault, _ receiver: any PacketReceiver) -> Step {
    receiver.broken(fault)
    return .broke
  }

  /// Refuses a packet by its header alone.
  private func refuse(
    _ header: PacketHeader, _ headerSize: Int, _ fault: PacketFault, _ receiver: any PacketReceiver
  ) -> Step {
    guard hasHello else { return broke(fault, receiver) }
    receiver.rejected(header, Span(), fault)
    return .took(headerSize, skipping: header.length)
  }

  /// Refuses a packet whose type header is there.
  private func refuse(
    _ header: PacketHeader, _ typeHeader: Span<UInt8>, _ headerSize: Int, _ fault: PacketFault,
    _ receiver: any PacketReceiver
  ) -> Step {
    guard hasHello else { return broke(fault, receiver) }
    receiver.rejected(header, typeHeader, fault)
    return .took(headerSize + typeHeader.count, skipping: header.length - UInt32(typeHeader.count))
  }
}
