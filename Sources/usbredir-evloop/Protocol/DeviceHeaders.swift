// Type headers of the packets that introduce an end and a device: hello, device_connect, interface_info,
// ep_info.

/// hello, both directions; 64 bytes, with capability words behind it (`Capabilities(decoding:)`).
struct HelloHeader {
  /// Free text, NUL-padded; the peer's may lack the NUL (B1.2).
  var version = InlineArray<64, UInt8>(repeating: 0)

  /// - Parameter text: cut to 63 bytes, so that a NUL follows.
  init(version text: String) {
    let bytes = text.utf8.span
    for index in 0..<min(63, bytes.count) { version[index] = bytes[index] }
  }

  /// The text up to its NUL, for a log: anything but printable ASCII reads as `?`.
  var versionText: String {
    var text = ""
    for index in 0..<64 {
      let byte = version[index]
      if byte == 0 { break }
      text.unicodeScalars.append(Unicode.Scalar(0x20..<0x7f ~= byte ? byte : UInt8(ascii: "?")))
    }
    return text
  }
}

extension HelloHeader: TypeHeader {
  static var type: PacketType { .hello }

  static func size(_ capabilities: Capabilities) -> Int { 64 }

  init(decoding bytes: Span<UInt8>) {
    for index in 0..<64 {
      version[index] = bytes[index]
    }
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    for index in 0..<64 {
      span.put(version[index], at: offset + index)
    }
  }
}

/// device_connect, to the usb-guest; 8 bytes, 10 with connect_device_version.
struct DeviceConnectHeader: Equatable {
  /// low 0, full 1, high 2, super 3, unknown 255.
  var speed: UInt8
  var deviceClass: UInt8
  var deviceSubclass: UInt8
  var deviceProtocol: UInt8
  var vendor: UInt16
  var product: UInt16
  /// bcdDevice; 0 when it was not sent.
  var deviceVersion: UInt16
}

extension DeviceConnectHeader: TypeHeader {
  static var type: PacketType { .deviceConnect }

  static func size(_ capabilities: Capabilities) -> Int {
    capabilities.contains(.connectDeviceVersion) ? 10 : 8
  }

  init(decoding bytes: Span<UInt8>) {
    speed = bytes[0]
    deviceClass = bytes[1]
    deviceSubclass = bytes[2]
    deviceProtocol = bytes[3]
    vendor = bytes.u16(at: 4)
    product = bytes.u16(at: 6)
    deviceVersion = bytes.count >= 10 ? bytes.u16(at: 8) : 0
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(speed, at: offset)
    span.put(deviceClass, at: offset + 1)
    span.put(deviceSubclass, at: offset + 2)
    span.put(deviceProtocol, at: offset + 3)
    span.put(vendor, at: offset + 4)
    span.put(product, at: offset + 6)
    if capabilities.contains(.connectDeviceVersion) {
      span.put(deviceVersion, at: offset + 8)
    }
  }
}

/// interface_info, to the usb-guest; 132 bytes: a count, then one array of 32 for each field.
struct InterfaceInfoHeader {
  /// One interface of the configuration in force, its class that of the alternate setting in force.
  struct Interface: Equatable {
    /// bInterfaceNumber.
    var number: UInt8 = 0
    var classCode: UInt8 = 0
    var subclass: UInt8 = 0
    var `protocol`: UInt8 = 0
  }

  /// How many of `interfaces` count, 0…32; 0 for an unconfigured device (B2.5).
  var count: UInt32 = 0
  var interfaces = InlineArray<32, Interface>(repeating: Interface())
}

extension InterfaceInfoHeader: TypeHeader {
  static var type: PacketType { .interfaceInfo }

  static func size(_ capabilities: Capabilities) -> Int { 132 }

  init(decoding bytes: Span<UInt8>) {
    count = bytes.u32(at: 0)
    for index in 0..<32 {
      interfaces[index] = Interface(
        number: bytes[4 + index], classCode: bytes[36 + index], subclass: bytes[68 + index],
        protocol: bytes[100 + index])
    }
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(count, at: offset)
    for index in 0..<32 {
      let interface = interfaces[index]
      span.put(interface.number, at: offset + 4 + index)
      span.put(interface.classCode, at: offset + 36 + index)
      span.put(interface.subclass, at: offset + 68 + index)
      span.put(interface.protocol, at: offset + 100 + index)
    }
  }
}

/// ep_info, to the usb-guest; 96 bytes, 160 with ep_info_max_packet_size, 288 with bulk_streams: one array of
/// 32 for each field, OUT 0…15 and then IN 16…31 (B2.4).
struct EndpointInfoHeader {
  /// One endpoint, or an unused slot.
  struct Slot: Equatable {
    /// control 0, iso 1, bulk 2, interrupt 3, unused 255.
    var type: UInt8 = EndpointInfoHeader.unused
    var interval: UInt8 = 0
    /// bInterfaceNumber of the interface the endpoint belongs to.
    var interface: UInt8 = 0
    /// 0 when it was not sent.
    var maxPacketSize: UInt16 = 0
    /// 0 when it was not sent.
    var maxStreams: UInt32 = 0
  }

  /// `usb_redir_type_invalid`: the slot has no endpoint.
  static let unused: UInt8 = 255
  var slots = InlineArray<32, Slot>(repeating: Slot())
}

extension EndpointInfoHeader: TypeHeader {
  static var type: PacketType { .endpointInfo }

  static func size(_ capabilities: Capabilities) -> Int {
    if capabilities.contains([.bulkStreams, .endpointInfoMaxPacketSize]) { return 288 }
    return capabilities.contains(.endpointInfoMaxPacketSize) ? 160 : 96
  }

  init(decoding bytes: Span<UInt8>) {
    for index in 0..<32 {
      slots[index] = Slot(
        type: bytes[index], interval: bytes[32 + index], interface: bytes[64 + index],
        maxPacketSize: bytes.count >= 160 ? bytes.u16(at: 96 + 2 * index) : 0,
        maxStreams: bytes.count >= 288 ? bytes.u32(at: 160 + 4 * index) : 0)
    }
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    let size = EndpointInfoHeader.size(capabilities)
    for index in 0..<32 {
      let slot = slots[index]
      span.put(slot.type, at: offset + index)
      span.put(slot.interval, at: offset + 32 + index)
      span.put(slot.interface, at: offset + 64 + index)
      if size >= 160 { span.put(slot.maxPacketSize, at: offset + 96 + 2 * index) }
      if size >= 288 { span.put(slot.maxStreams, at: offset + 160 + 4 * index) }
    }
  }
}
