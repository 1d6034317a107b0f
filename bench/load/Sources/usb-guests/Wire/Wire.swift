// The words of the usbredir protocol that a usb-guest under load needs: packet types, statuses, endpoint
// types, and the capabilities it can do with or without.

/// Packet types.
enum PacketType {
  static let hello: UInt32 = 0
  static let deviceConnect: UInt32 = 1
  static let deviceDisconnect: UInt32 = 2
  static let interfaceInfo: UInt32 = 4
  static let endpointInfo: UInt32 = 5
  static let startInterruptReceiving: UInt32 = 15
  static let stopInterruptReceiving: UInt32 = 16
  static let interruptReceivingStatus: UInt32 = 17
  static let bulk: UInt32 = 101
  static let interrupt: UInt32 = 103
}

/// Statuses of answers.
enum Status {
  static let success: UInt8 = 0
  static let stall: UInt8 = 4
}

/// Transfer types, as in endpoint infos.
enum EndpointType: UInt8 {
  case bulk = 2
  case interrupt = 3
}

/// Capability bits of a hello.
struct Capabilities: OptionSet {
  let rawValue: UInt32

  static let connectDeviceVersion = Capabilities(rawValue: 1 << 1)
  static let endpointInfoMaxPacketSize = Capabilities(rawValue: 1 << 4)
  static let ids64 = Capabilities(rawValue: 1 << 5)
  static let bulkLength32 = Capabilities(rawValue: 1 << 6)

  /// What a guest of ours offers unless told otherwise.
  static let all: Capabilities = [.connectDeviceVersion, .endpointInfoMaxPacketSize, .ids64, .bulkLength32]

  /// Bytes of a packet header.
  var headerSize: Int { contains(.ids64) ? 16 : 12 }
  /// Bytes of a bulk_packet's type header.
  var bulkHeaderSize: Int { contains(.bulkLength32) ? 10 : 8 }
  /// Bytes that one bulk request can ask for.
  var bulkLimit: Int { contains(.bulkLength32) ? 8 << 20 : 65535 }
}

/// An endpoint that a device has.
struct Endpoint: Equatable {
  let address: UInt8
  let type: UInt8
  let maxPacketSize: Int
}

extension UnsafeRawPointer {
  @inline(__always) func u8(_ offset: Int) -> UInt8 { load(fromByteOffset: offset, as: UInt8.self) }
  @inline(__always) func u16(_ offset: Int) -> UInt16 {
    UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
  @inline(__always) func u32(_ offset: Int) -> UInt32 {
    UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
  @inline(__always) func u64(_ offset: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}

extension UnsafeMutableRawPointer {
  @inline(__always) func put<Value: FixedWidthInteger>(_ value: Value, _ offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: Value.self)
  }
}
