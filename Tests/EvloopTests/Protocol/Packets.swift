// Helpers of the protocol tests: packets as arrays of bytes, and a receiver that notes what it gets.
import Testing

@testable import usbredir_evloop

/// What a reader handed out.
enum Received: Equatable {
  case packet(PacketHeader, [UInt8], [UInt8])
  case rejected(PacketHeader, [UInt8], PacketFault)
  case broken(PacketFault)

  /// The packet's type where it is a packet.
  var type: PacketType? {
    if case .packet(let header, _, _) = self { return header.type }
    return nil
  }

  /// The fault where it is one.
  var fault: PacketFault? {
    switch self {
    case .packet: nil
    case .rejected(_, _, let fault), .broken(let fault): fault
    }
  }
}

final class Recorder: PacketReceiver {
  var isPaused = false
  /// Called with each thing that is received, after it was noted.
  var onEach: (Received) -> Void = { _ in }
  private(set) var all: [Received] = []

  func receive(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>) {
    note(.packet(header, array(typeHeader), array(data)))
  }

  func rejected(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ fault: PacketFault) {
    note(.rejected(header, array(typeHeader), fault))
  }

  func broken(_ fault: PacketFault) {
    note(.broken(fault))
  }

  private func note(_ received: Received) {
    all.append(received)
    onEach(received)
  }
}

func array(_ span: Span<UInt8>) -> [UInt8] {
  span.indices.map { span[$0] }
}

/// The bytes of a packet with `header` in front of `data`.
func packet<Header: TypeHeader>(
  _ header: Header, id: UInt64 = 0, data: [UInt8] = [], _ capabilities: Capabilities
) -> [UInt8] {
  let buffer = BufferPool(capacity: max(data.count, PacketBuffer.controlCapacity), keep: 0).take()
  buffer.copy(data.span)
  buffer.finish(header, id: id, capabilities)
  return buffer.withBytes(array)
}

/// The bytes of a packet without type header.
func packet(_ type: PacketType, id: UInt64 = 0, data: [UInt8] = [], _ capabilities: Capabilities) -> [UInt8] {
  let buffer = BufferPool(capacity: data.count, keep: 0).take()
  buffer.copy(data.span)
  buffer.finish(type, id: id, capabilities)
  return buffer.withBytes(array)
}

/// The header in `bytes`.
func decoded<Header: TypeHeader>(_ type: Header.Type, _ bytes: [UInt8]) -> Header {
  Header(decoding: bytes.span)
}

/// What `PacketChecker` says to `bytes`.
func checked(_ bytes: [UInt8], sentBy sender: Role, _ capabilities: Capabilities) -> PacketFault? {
  PacketChecker.fault(in: bytes.span, sentBy: sender, capabilities)
}

/// The bytes of a packet that follows no rule: `length` may lie.
func rawPacket(
  _ type: UInt32, length: UInt32? = nil, id: UInt64 = 0, _ body: [UInt8], _ capabilities: Capabilities
) -> [UInt8] {
  var header: [UInt8] = []
  append(type, to: &header)
  append(length ?? UInt32(body.count), to: &header)
  append(UInt32(truncatingIfNeeded: id), to: &header)
  if capabilities.contains(.ids64) { append(UInt32(id >> 32), to: &header) }
  return header + body
}

private func append(_ value: UInt32, to bytes: inout [UInt8]) {
  for shift in [0, 8, 16, 24] as [UInt32] {
    bytes.append(UInt8(truncatingIfNeeded: value >> shift))
  }
}

/// The bytes of a hello.
func hello(_ capabilities: Capabilities) -> [UInt8] {
  let buffer = BufferPool(capacity: 68, keep: 0).take()
  buffer.finishHello(version: "test", offering: capabilities)
  return buffer.withBytes(array)
}

/// Lets `reader` read `bytes` in pieces of at most `piece` and hands out after each.
func feed(_ reader: PacketReader, _ bytes: [UInt8], piece: Int = .max, _ receiver: any PacketReceiver) {
  var rest = bytes[...]
  while !rest.isEmpty {
    let before = rest.count
    give(reader, &rest, piece: piece)
    reader.drain(receiver)
    if rest.count == before { return }
  }
}

/// One `withFree`, filled from the front of `bytes`.
func give(_ reader: PacketReader, _ bytes: inout ArraySlice<UInt8>, piece: Int = .max) {
  let all = bytes
  var taken = 0
  unsafe reader.withFree { free in
    taken = min(all.count, piece, free.count)
    unsafe free.copyBytes(from: all.prefix(taken))
    return taken
  }
  bytes = all.dropFirst(taken)
}

/// A reader in `role` whose peer's hello offered `capabilities`.
func reader(_ role: Role, _ capabilities: Capabilities, maxTransfer: UInt32 = 8 << 20) -> PacketReader {
  var limits = PacketLimits()
  limits.maxTransfer = maxTransfer
  let reader = PacketReader(role: role, capabilities: .all, limits: limits)
  feed(reader, hello(capabilities), Recorder())
  return reader
}

/// What a reader in `role` makes of `bytes` behind a hello with `capabilities`.
func received(
  _ role: Role, _ capabilities: Capabilities, _ bytes: [UInt8], piece: Int = .max,
  maxTransfer: UInt32 = 8 << 20
) -> [Received] {
  let recorder = Recorder()
  feed(reader(role, capabilities, maxTransfer: maxTransfer), bytes, piece: piece, recorder)
  return recorder.all
}

/// A small generator whose numbers depend on its seed alone (SplitMix64), so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
