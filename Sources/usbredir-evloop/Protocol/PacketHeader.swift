// The header in front of every packet, and what all type headers have in common.

/// The packet header: 12 bytes, or 16 where 64-bit ids are in force. `usbredirproto.h`, `usb_redir_header`.
struct PacketHeader: Equatable {
  /// The type as it was sent; it may be one that nobody knows.
  var typeNumber: UInt32
  /// Bytes behind this header: type header and data.
  var length: UInt32
  /// The request this packet is or answers; a counter in streams; 0 elsewhere.
  var id: UInt64

  init(type: PacketType, length: UInt32, id: UInt64) {
    typeNumber = type.rawValue
    self.length = length
    self.id = id
  }

  /// Reads `size(capabilities)` bytes.
  init(decoding bytes: Span<UInt8>, _ capabilities: Capabilities) {
    typeNumber = bytes.u32(at: 0)
    length = bytes.u32(at: 4)
    id = capabilities.contains(.ids64) ? bytes.u64(at: 8) : UInt64(bytes.u32(at: 8))
  }

  /// nil for a number that usbredir 0.7 does not have.
  var type: PacketType? { PacketType(rawValue: typeNumber) }

  /// Bytes of the header with `capabilities` in force. A hello's is always that of the empty set.
  static func size(_ capabilities: Capabilities) -> Int {
    capabilities.contains(.ids64) ? 16 : 12
  }

  /// Writes `size(capabilities)` bytes at `offset`; a 32-bit id is the low half.
  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(typeNumber, at: offset)
    span.put(length, at: offset + 4)
    if capabilities.contains(.ids64) {
      span.put(id, at: offset + 8)
    } else {
      span.put(UInt32(truncatingIfNeeded: id), at: offset + 8)
    }
  }
}

/// A type header: one table of the protocol's text, its stored properties in wire order.
protocol TypeHeader {
  static var type: PacketType { get }
  /// Bytes with `capabilities` in force (B1.4).
  static func size(_ capabilities: Capabilities) -> Int
  /// Reads a header; `bytes.count` is one of its sizes and tells which.
  init(decoding bytes: Span<UInt8>)
  /// Writes `size(capabilities)` bytes at `offset`.
  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities)
}
