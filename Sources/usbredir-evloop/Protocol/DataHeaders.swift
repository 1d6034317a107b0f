// Type headers of the five packets that move a device's data. Data follows in one direction only (B1.6).

/// control_packet, a request of the usb-guest or the answer to it; 10 bytes.
struct ControlPacketHeader: Equatable {
  /// 0x00 or 0x80.
  var endpoint: UInt8
  /// bRequest.
  var request: UInt8
  /// bmRequestType.
  var requestType: UInt8
  var status: Status
  /// wValue.
  var value: UInt16
  /// wIndex.
  var index: UInt16
  /// wLength of a request, bytes moved in an answer.
  var length: UInt16
}

extension ControlPacketHeader: TypeHeader {
  static var type: PacketType { .controlPacket }

  static func size(_ capabilities: Capabilities) -> Int { 10 }

  init(decoding bytes: Span<UInt8>) {
    endpoint = bytes[0]
    request = bytes[1]
    requestType = bytes[2]
    status = Status(wire: bytes[3])
    value = bytes.u16(at: 4)
    index = bytes.u16(at: 6)
    length = bytes.u16(at: 8)
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoint, at: offset)
    span.put(request, at: offset + 1)
    span.put(requestType, at: offset + 2)
    span.put(status.rawValue, at: offset + 3)
    span.put(value, at: offset + 4)
    span.put(index, at: offset + 6)
    span.put(length, at: offset + 8)
  }
}

/// bulk_packet, a request of the usb-guest or the answer to it; 8 bytes, 10 with 32bits_bulk_length.
struct BulkPacketHeader: Equatable {
  var endpoint: UInt8
  var status: Status
  /// Bytes that were asked for, that follow, or that were moved, by direction and endpoint (B1.6).
  /// The low half lies here, the high half behind the stream id; without 32bits_bulk_length at most 65535.
  var length: UInt32
  /// 0 for none.
  var streamID: UInt32
}

extension BulkPacketHeader: TypeHeader {
  static var type: PacketType { .bulkPacket }

  static func size(_ capabilities: Capabilities) -> Int {
    capabilities.contains(.bulkLength32) ? 10 : 8
  }

  init(decoding bytes: Span<UInt8>) {
    endpoint = bytes[0]
    status = Status(wire: bytes[1])
    streamID = bytes.u32(at: 4)
    let high = bytes.count >= 10 ? bytes.u16(at: 8) : 0
    length = UInt32(high) << 16 | UInt32(bytes.u16(at: 2))
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoint, at: offset)
    span.put(status.rawValue, at: offset + 1)
    span.put(UInt16(truncatingIfNeeded: length), at: offset + 2)
    span.put(streamID, at: offset + 4)
    if capabilities.contains(.bulkLength32) {
      span.put(UInt16(truncatingIfNeeded: length >> 16), at: offset + 8)
    }
  }
}

/// iso_packet, with the data of one packet; 4 bytes.
struct IsoPacketHeader: Equatable {
  var endpoint: UInt8
  var status: Status
  /// Bytes that follow.
  var length: UInt16
}

extension IsoPacketHeader: TypeHeader {
  static var type: PacketType { .isoPacket }

  static func size(_ capabilities: Capabilities) -> Int { 4 }

  init(decoding bytes: Span<UInt8>) {
    endpoint = bytes[0]
    status = Status(wire: bytes[1])
    length = bytes.u16(at: 2)
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoint, at: offset)
    span.put(status.rawValue, at: offset + 1)
    span.put(length, at: offset + 2)
  }
}

/// interrupt_packet: a report to the usb-guest, a request to the usb-host or the answer to it; 4 bytes.
struct InterruptPacketHeader: Equatable {
  var endpoint: UInt8
  var status: Status
  /// Bytes that follow; in the answer to a request bytes moved.
  var length: UInt16
}

extension InterruptPacketHeader: TypeHeader {
  static var type: PacketType { .interruptPacket }

  static func size(_ capabilities: Capabilities) -> Int { 4 }

  init(decoding bytes: Span<UInt8>) {
    endpoint = bytes[0]
    status = Status(wire: bytes[1])
    length = bytes.u16(at: 2)
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoint, at: offset)
    span.put(status.rawValue, at: offset + 1)
    span.put(length, at: offset + 2)
  }
}

/// buffered_bulk_packet, to the usb-guest; 10 bytes.
struct BufferedBulkPacketHeader: Equatable {
  var streamID: UInt32
  /// Bytes that follow.
  var length: UInt32
  /// An IN endpoint.
  var endpoint: UInt8
  var status: Status
}

extension BufferedBulkPacketHeader: TypeHeader {
  static var type: PacketType { .bufferedBulkPacket }

  static func size(_ capabilities: Capabilities) -> Int { 10 }

  init(decoding bytes: Span<UInt8>) {
    streamID = bytes.u32(at: 0)
    length = bytes.u32(at: 4)
    endpoint = bytes[8]
    status = Status(wire: bytes[9])
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(streamID, at: offset)
    span.put(length, at: offset + 4)
    span.put(endpoint, at: offset + 8)
    span.put(status.rawValue, at: offset + 9)
  }
}
