// Type headers of the packets about bulk endpoints: USB 3 streams and buffered receiving.

/// alloc_bulk_streams, to the usb-host; 8 bytes.
struct AllocBulkStreamsHeader: Equatable {
  /// Bit n is slot n of ep_info.
  var endpoints: UInt32
  /// How many on each.
  var streams: UInt32
}

extension AllocBulkStreamsHeader: TypeHeader {
  static var type: PacketType { .allocBulkStreams }

  static func size(_ capabilities: Capabilities) -> Int { 8 }

  init(decoding bytes: Span<UInt8>) {
    endpoints = bytes.u32(at: 0)
    streams = bytes.u32(at: 4)
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoints, at: offset)
    span.put(streams, at: offset + 4)
  }
}

/// free_bulk_streams, to the usb-host; 4 bytes.
struct FreeBulkStreamsHeader: Equatable {
  /// Bit n is slot n of ep_info.
  var endpoints: UInt32
}

extension FreeBulkStreamsHeader: TypeHeader {
  static var type: PacketType { .freeBulkStreams }

  static func size(_ capabilities: Capabilities) -> Int { 4 }

  init(decoding bytes: Span<UInt8>) {
    endpoints = bytes.u32(at: 0)
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoints, at: offset)
  }
}

/// bulk_streams_status, to the usb-guest; 9 bytes.
struct BulkStreamsStatusHeader: Equatable {
  /// Bit n is slot n of ep_info.
  var endpoints: UInt32
  /// How many on each, 0 after free_bulk_streams.
  var streams: UInt32
  var status: Status
}

extension BulkStreamsStatusHeader: TypeHeader {
  static var type: PacketType { .bulkStreamsStatus }

  static func size(_ capabilities: Capabilities) -> Int { 9 }

  init(decoding bytes: Span<UInt8>) {
    endpoints = bytes.u32(at: 0)
    streams = bytes.u32(at: 4)
    status = Status(wire: bytes[8])
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoints, at: offset)
    span.put(streams, at: offset + 4)
    span.put(status.rawValue, at: offset + 8)
  }
}

/// start_bulk_receiving, to the usb-host; 10 bytes.
struct StartBulkReceivingHeader: Equatable {
  var streamID: UInt32
  /// A multiple of the endpoint's max packet size.
  var bytesPerTransfer: UInt32
  /// An IN endpoint.
  var endpoint: UInt8
  /// 1…16.
  var transfers: UInt8
}

extension StartBulkReceivingHeader: TypeHeader {
  static var type: PacketType { .startBulkReceiving }

  static func size(_ capabilities: Capabilities) -> Int { 10 }

  init(decoding bytes: Span<UInt8>) {
    streamID = bytes.u32(at: 0)
    bytesPerTransfer = bytes.u32(at: 4)
    endpoint = bytes[8]
    transfers = bytes[9]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(streamID, at: offset)
    span.put(bytesPerTransfer, at: offset + 4)
    span.put(endpoint, at: offset + 8)
    span.put(transfers, at: offset + 9)
  }
}

/// stop_bulk_receiving, to the usb-host; 5 bytes.
struct StopBulkReceivingHeader: Equatable {
  var streamID: UInt32
  /// An IN endpoint.
  var endpoint: UInt8
}

extension StopBulkReceivingHeader: TypeHeader {
  static var type: PacketType { .stopBulkReceiving }

  static func size(_ capabilities: Capabilities) -> Int { 5 }

  init(decoding bytes: Span<UInt8>) {
    streamID = bytes.u32(at: 0)
    endpoint = bytes[4]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(streamID, at: offset)
    span.put(endpoint, at: offset + 4)
  }
}

/// bulk_receiving_status, to the usb-guest; 6 bytes.
struct BulkReceivingStatusHeader: Equatable {
  var streamID: UInt32
  /// An IN endpoint.
  var endpoint: UInt8
  var status: Status
}

extension BulkReceivingStatusHeader: TypeHeader {
  static var type: PacketType { .bulkReceivingStatus }

  static func size(_ capabilities: Capabilities) -> Int { 6 }

  init(decoding bytes: Span<UInt8>) {
    streamID = bytes.u32(at: 0)
    endpoint = bytes[4]
    status = Status(wire: bytes[5])
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(streamID, at: offset)
    span.put(endpoint, at: offset + 4)
    span.put(status.rawValue, at: offset + 5)
  }
}
