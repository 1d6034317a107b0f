// Type headers of the packets about the configuration and the alternate settings of a device.

/// set_configuration, to the usb-host; 1 byte.
struct SetConfigurationHeader: Equatable {
  /// bConfigurationValue, 0 to leave the device unconfigured.
  var configuration: UInt8
}

extension SetConfigurationHeader: TypeHeader {
  static var type: PacketType { .setConfiguration }

  static func size(_ capabilities: Capabilities) -> Int { 1 }

  init(decoding bytes: Span<UInt8>) {
    configuration = bytes[0]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(configuration, at: offset)
  }
}

/// configuration_status, to the usb-guest; 2 bytes.
struct ConfigurationStatusHeader: Equatable {
  var status: Status
  /// The one in force.
  var configuration: UInt8
}

extension ConfigurationStatusHeader: TypeHeader {
  static var type: PacketType { .configurationStatus }

  static func size(_ capabilities: Capabilities) -> Int { 2 }

  init(decoding bytes: Span<UInt8>) {
    status = Status(wire: bytes[0])
    configuration = bytes[1]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(status.rawValue, at: offset)
    span.put(configuration, at: offset + 1)
  }
}

/// set_alt_setting, to the usb-host; 2 bytes.
struct SetAltSettingHeader: Equatable {
  /// bInterfaceNumber.
  var interface: UInt8
  /// bAlternateSetting.
  var alt: UInt8
}

extension SetAltSettingHeader: TypeHeader {
  static var type: PacketType { .setAltSetting }

  static func size(_ capabilities: Capabilities) -> Int { 2 }

  init(decoding bytes: Span<UInt8>) {
    interface = bytes[0]
    alt = bytes[1]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(interface, at: offset)
    span.put(alt, at: offset + 1)
  }
}

/// get_alt_setting, to the usb-host; 1 byte.
struct GetAltSettingHeader: Equatable {
  /// bInterfaceNumber.
  var interface: UInt8
}

extension GetAltSettingHeader: TypeHeader {
  static var type: PacketType { .getAltSetting }

  static func size(_ capabilities: Capabilities) -> Int { 1 }

  init(decoding bytes: Span<UInt8>) {
    interface = bytes[0]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(interface, at: offset)
  }
}

/// alt_setting_status, to the usb-guest; 3 bytes.
struct AltSettingStatusHeader: Equatable {
  var status: Status
  /// bInterfaceNumber.
  var interface: UInt8
  /// The one in force.
  var alt: UInt8
}

extension AltSettingStatusHeader: TypeHeader {
  static var type: PacketType { .altSettingStatus }

  static func size(_ capabilities: Capabilities) -> Int { 3 }

  init(decoding bytes: Span<UInt8>) {
    status = Status(wire: bytes[0])
    interface = bytes[1]
    alt = bytes[2]
  }

  func encode(into span: inout MutableRawSpan, at offset: Int, _ capabilities: Capabilities) {
    span.put(status.rawValue, at: offset)
    span.put(interface, at: offset + 1)
    span.put(alt, at: offset + 2)
  }
}
