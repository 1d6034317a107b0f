// What a virtual device is, as plain values, and the descriptors and the model made from them. One source for
// both, so that what the guest reads and what we announce cannot differ. USB 2.0, 9.6.

/// An alternate setting and its class-specific descriptors, which stand behind its interface descriptor.
struct SettingDescription {
  var setting: AlternateSetting
  var classDescriptors: [UInt8] = []
}

/// An interface with its alternate settings, the first of them number 0.
struct InterfaceDescription {
  var number: UInt8
  var settings: [SettingDescription]
}

/// One configuration.
struct ConfigurationDescription {
  /// bConfigurationValue, 1 or more.
  var value: UInt8
  /// bmAttributes without its reserved bit 7.
  var attributes: UInt8 = 0
  /// Milliamperes, 0…500.
  var maxPower: UInt16 = 100
  var interfaces: [InterfaceDescription]

  static let selfPowered: UInt8 = 0x40
  static let remoteWakeup: UInt8 = 0x20
}

/// A whole device.
struct DeviceDescription {
  var speed = Speed.full
  /// bcdUSB.
  var usbVersion: UInt16 = 0x0110
  var vendor: UInt16
  var product: UInt16
  /// bcdDevice.
  var release: UInt16 = 0x0100
  var classCode: UInt8 = 0
  var subclass: UInt8 = 0
  var `protocol`: UInt8 = 0
  var maxPacketSize0: UInt8 = 64
  var manufacturerName: String
  var productName: String
  var serialNumber: String
  /// At least one; the first is in force when the device is plugged in.
  var configurations: [ConfigurationDescription]

  /// The configuration with this bConfigurationValue.
  func configuration(_ value: UInt8) -> ConfigurationDescription? {
    configurations.first { $0.value == value }
  }

  /// The model with configuration `value` in force and every interface at setting 0; unconfigured when
  /// there is no such configuration.
  func model(configuration value: UInt8) -> DeviceModel {
    let chosen = configuration(value)
    return DeviceModel(
      speed: speed, vendor: vendor, product: product, release: release, usbVersion: usbVersion,
      classCode: classCode, subclass: subclass, protocol: `protocol`, maxPacketSize0: maxPacketSize0,
      configuration: chosen?.value ?? 0,
      interfaces: (chosen?.interfaces ?? []).map { interface in
        InterfaceModel(number: interface.number, alternateSettings: interface.settings.map { $0.setting })
      })
  }
}

/// What descriptions are made of.
extension DeviceDescription {
  /// A setting of class vendor-specific.
  static func vendorSetting(_ number: UInt8, _ endpoints: [EndpointModel]) -> SettingDescription {
    SettingDescription(
      setting: AlternateSetting(
        number: number, classCode: 0xff, subclass: 0, protocol: 0, endpoints: endpoints))
  }

  /// An IN endpoint and an OUT endpoint of the same number.
  static func pair(_ number: UInt8, _ type: TransferType, size: UInt16, interval: UInt8) -> [EndpointModel] {
    [0x80 | number, number].map {
      EndpointModel(
        address: EndpointAddress(rawValue: $0), type: type, rawMaxPacketSize: size, interval: interval)
    }
  }
}

/// bDescriptorType. USB 2.0, table 9-5.
enum DescriptorType {
  static let device: UInt8 = 1
  static let configuration: UInt8 = 2
  static let string: UInt8 = 3
  static let interface: UInt8 = 4
  static let endpoint: UInt8 = 5
  static let deviceQualifier: UInt8 = 6
  static let otherSpeedConfiguration: UInt8 = 7
}

/// The descriptors' bytes.
extension DeviceDescription {
  /// The device descriptor, 18 bytes. USB 2.0, table 9-8.
  func deviceDescriptor() -> [UInt8] {
    var bytes: [UInt8] = [18, DescriptorType.device]
    bytes.append(littleEndian: usbVersion)
    bytes += [classCode, subclass, `protocol`, maxPacketSize0]
    bytes.append(littleEndian: vendor)
    bytes.append(littleEndian: product)
    bytes.append(littleEndian: release)
    bytes += [1, 2, 3, UInt8(configurations.count)]
    return bytes
  }

  /// The device qualifier of a device of high speed: what it would be at full speed, 10 bytes. USB 2.0, table 9-9.
  func deviceQualifier() -> [UInt8] {
    let device = deviceDescriptor()
    return [10, DescriptorType.deviceQualifier] + device[2..<8] + [device[17], 0]
  }

  /// String descriptor `index`: 0 lists the languages (US English alone), 1…3 are manufacturer, product and
  /// serial number. nil for any other. USB 2.0, tables 9-15 and 9-16.
  func stringDescriptor(_ index: UInt8) -> [UInt8]? {
    switch index {
    case 0: return [4, DescriptorType.string, 0x09, 0x04]
    case 1: return encode(manufacturerName)
    case 2: return encode(productName)
    case 3: return encode(serialNumber)
    default: return nil
    }
  }

  /// The configuration descriptor at `index` (not bConfigurationValue) with all that belongs to it:
  /// interfaces, class-specific descriptors, endpoints. nil when there is none. USB 2.0, table 9-10.
  /// - Parameter atFullSpeed: the other speed's configuration of a device of high speed (table 9-11): with packets of
  ///   64 bytes.
  func configurationDescriptor(index: Int, atFullSpeed: Bool = false) -> [UInt8]? {
    guard index < configurations.count else { return nil }
    let configuration = configurations[index]
    var rest: [UInt8] = []
    for interface in configuration.interfaces {
      for setting in interface.settings {
        rest += interfaceDescriptor(interface.number, setting, largest: atFullSpeed ? 64 : .max)
      }
    }
    var bytes: [UInt8] = [
      9, atFullSpeed ? DescriptorType.otherSpeedConfiguration : DescriptorType.configuration,
    ]
    bytes.append(littleEndian: UInt16(9 + rest.count))
    bytes += [
      UInt8(configuration.interfaces.count), configuration.value, 0, 0x80 | configuration.attributes,
      UInt8(configuration.maxPower / 2),
    ]
    return bytes + rest
  }

  /// USB 2.0, tables 9-12 and 9-13.
  private func interfaceDescriptor(
    _ number: UInt8, _ description: SettingDescription, largest: UInt16
  ) -> [UInt8] {
    let setting = description.setting
    var bytes: [UInt8] = [
      9, DescriptorType.interface, number, setting.number, UInt8(setting.endpoints.count),
      setting.classCode, setting.subclass, setting.protocol, 0,
    ]
    bytes += description.classDescriptors
    for endpoint in setting.endpoints {
      bytes += [7, DescriptorType.endpoint, endpoint.address.rawValue, endpoint.type.rawValue]
      bytes.append(littleEndian: min(endpoint.rawMaxPacketSize, largest))
      bytes.append(endpoint.interval)
    }
    return bytes
  }

  /// bLength has one byte, so 126 UTF-16 units at most, and no half of a pair.
  private func encode(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = [2, DescriptorType.string]
    // Encoded here: the standard library's view of UTF-16 is several KB.
    for scalar in text.unicodeScalars {
      let isPair = scalar.value > 0xffff
      guard bytes.count + (isPair ? 4 : 2) <= 2 + 2 * 126 else { break }
      if isPair { bytes.append(littleEndian: UInt16(0xd7c0 + scalar.value >> 10)) }
      bytes.append(littleEndian: UInt16(isPair ? 0xdc00 + scalar.value & 0x3ff : scalar.value))
    }
    bytes[0] = UInt8(bytes.count)
    return bytes
  }
}

extension Array where Element == UInt8 {
  fileprivate mutating func append(littleEndian value: UInt16) {
    append(UInt8(value & 0xff))
    append(UInt8(value >> 8))
  }
}
