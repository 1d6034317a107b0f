// Type headers of the packets that start, stop and end streams: iso, interrupt receiving, bulk receiving.

/// start_iso_stream, to the usb-host; 3 bytes.
struct StartIsoStreamHeader: Equatable {
  var endpoint: UInt8
  /// 1…32.
  var packetsPerURB: UInt8
  /// 1…16.
  var urbs: UInt8
}

extension StartIsoStreamHeader: TypeHeader {
  static var type: PacketType { .startIsoStream }

  static func size(_ capabilities: Capabilities) -> Int { 3 }

  init(decoding bytes: Span<UInt8>) {
    endpoint = bytes[0]
    packetsPerURB = bytes[1]
    urbs = bytes[2]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoint, at: offset)
    span.put(packetsPerURB, at: offset + 1)
    span.put(urbs, at: offset + 2)
  }
}

/// stop_iso_stream, to the usb-host; 1 byte.
struct StopIsoStreamHeader: Equatable {
  var endpoint: UInt8
}

extension StopIsoStreamHeader: TypeHeader {
  static var type: PacketType { .stopIsoStream }

  static func size(_ capabilities: Capabilities) -> Int { 1 }

  init(decoding bytes: Span<UInt8>) {
    endpoint = bytes[0]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoint, at: offset)
  }
}

/// iso_stream_status, to the usb-guest; 2 bytes.
struct IsoStreamStatusHeader: Equatable {
  var status: Status
  var endpoint: UInt8
}

extension IsoStreamStatusHeader: TypeHeader {
  static var type: PacketType { .isoStreamStatus }

  static func size(_ capabilities: Capabilities) -> Int { 2 }

  init(decoding bytes: Span<UInt8>) {
    status = Status(wire: bytes[0])
    endpoint = bytes[1]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(status.rawValue, at: offset)
    span.put(endpoint, at: offset + 1)
  }
}

/// start_interrupt_receiving, to the usb-host; 1 byte.
struct StartInterruptReceivingHeader: Equatable {
  /// An IN endpoint.
  var endpoint: UInt8
}

extension StartInterruptReceivingHeader: TypeHeader {
  static var type: PacketType { .startInterruptReceiving }

  static func size(_ capabilities: Capabilities) -> Int { 1 }

  init(decoding bytes: Span<UInt8>) {
    endpoint = bytes[0]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoint, at: offset)
  }
}

/// stop_interrupt_receiving, to the usb-host; 1 byte.
struct StopInterruptReceivingHeader: Equatable {
  /// An IN endpoint.
  var endpoint: UInt8
}

extension StopInterruptReceivingHeader: TypeHeader {
  static var type: PacketType { .stopInterruptReceiving }

  static func size(_ capabilities: Capabilities) -> Int { 1 }

  init(decoding bytes: Span<UInt8>) {
    endpoint = bytes[0]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(endpoint, at: offset)
  }
}

/// interrupt_receiving_status, to the usb-guest; 2 bytes.
struct InterruptReceivingStatusHeader: Equatable {
  var status: Status
  /// An IN endpoint.
  var endpoint: UInt8
}

extension InterruptReceivingStatusHeader: TypeHeader {
  static var type: PacketType { .interruptReceivingStatus }

  static func size(_ capabilities: Capabilities) -> Int { 2 }

  init(decoding bytes: Span<UInt8>) {
    status = Status(wire: bytes[0])
    endpoint = bytes[1]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(status.rawValue, at: offset)
    span.put(endpoint, at: offset + 1)
  }
}
