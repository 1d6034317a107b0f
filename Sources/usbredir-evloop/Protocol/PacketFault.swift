// What can be wrong with a packet in itself. One word for each rule, so that a warning names the rule (B1.7).

/// Why a packet was refused, or why a stream of bytes is no usbredir. The reader says which of the two it is.
enum PacketFault: Error, Equatable, CustomStringConvertible {
  /// The first packet is something else than a hello (B1.5).
  case notHello(typeNumber: UInt32)
  /// A second hello (B1.5).
  case secondHello
  /// A length that no packet has (B1.7).
  case hugeLength(UInt32)
  case unknownType(UInt32)
  /// Only the other end sends this type.
  case wrongDirection(PacketType)
  /// Needs a capability that is not in force (B1.4).
  case notNegotiated(PacketType)
  /// The header's length does not fit the type header.
  case wrongLength(PacketType, length: UInt32)
  /// Data packet: what follows the type header is not as long as its length field says (B1.6).
  case wrongDataLength(PacketType, announced: UInt32, found: UInt32)
  /// Data packet: data in the direction that has none (B1.6).
  case unexpectedData(PacketType, endpoint: UInt8)
  /// An endpoint whose direction this packet does not go with.
  case wrongEndpoint(PacketType, endpoint: UInt8)
  /// interface_info with more than 32 interfaces.
  case tooManyInterfaces(UInt32)
  /// More than a limit of `PacketLimits` (B1.8).
  case overLimit(PacketType, length: UInt32, limit: UInt32)
  /// There is no memory for a packet of this length: not the peer's fault.
  case noMemory(PacketType, length: UInt32)
  /// filter_filter: no text, or no NUL at its end.
  case unterminatedFilter

  var description: String {
    switch self {
    case .notHello(let number):
      "the first packet has type \(number) and not hello (0): the peer does not speak usbredir"
    case .secondHello: "a second hello"
    case .hugeLength(let length):
      "a length of \(length) bytes, no packet has more than \(PacketLimits.packet)"
    case .unknownType(let number): "unknown packet type \(number)"
    case .wrongDirection(let type): "\(type.description) in the wrong direction"
    case .notNegotiated(let type):
      "\(type.description) without capability \(type.requiredCapabilities.description)"
    case .wrongLength(let type, let length): "\(type.description) with a wrong length of \(length) bytes"
    case .wrongDataLength(let type, let announced, let found):
      "\(type.description) with \(found) bytes of data, its header says \(announced)"
    case .unexpectedData(let type, let endpoint):
      "\(type.description) with data on endpoint \(hex(endpoint)), which has none in this direction"
    case .wrongEndpoint(let type, let endpoint):
      "\(type.description) for endpoint \(hex(endpoint)), whose direction does not fit"
    case .tooManyInterfaces(let count): "interface_info with \(count) interfaces, the most is 32"
    case .overLimit(let type, let length, let limit):
      "\(type.description) of \(length) bytes, the limit is \(limit)"
    case .noMemory(let type, let length): "no memory for a \(type.description) of \(length) bytes"
    case .unterminatedFilter: "filter_filter without a NUL at its end"
    }
  }

  private func hex(_ endpoint: UInt8) -> String {
    "0x" + (endpoint < 16 ? "0" : "") + String(endpoint, radix: 16)
  }
}
