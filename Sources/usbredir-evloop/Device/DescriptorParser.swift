// Descriptor bytes → `DeviceModel`. Any bytes are taken: what is wrong costs itself or ends the parse, and
// what was good before it stays. Where a choice is to be made it is the Linux kernel's, whose view of the
// device usbfs gives us.

/// Reads device and configuration descriptors. USB 2.0, 9.5 and 9.6; USB 3.2, 9.6.
enum DescriptorParser {
  /// Bytes of a device descriptor; the configurations of a usbfs node stand behind them.
  static let deviceLength = 18

  /// The model of a device whose usbfs node reads as `descriptors`: the device descriptor, then each
  /// configuration, wTotalLength bytes apart.
  /// - Parameter configuration: bConfigurationValue in force, 0 for none.
  static func model(descriptors: Span<UInt8>, configuration: UInt8, speed: Speed) -> DeviceModel {
    var model = device(descriptors, speed: speed)
    model.configuration = configuration
    guard configuration != 0 else { return model }
    var start = deviceLength
    while let end = configurationEnd(descriptors, from: start) {
      if descriptors[start + 5] == configuration {
        model.interfaces = interfaces(descriptors, from: start, to: end)
        return model
      }
      start = end
    }
    return model
  }

  /// The model of a device with this device descriptor and this configuration (all of it, wTotalLength bytes)
  /// in force; unconfigured when `configuration` does not begin with a configuration descriptor.
  static func model(deviceDescriptor: Span<UInt8>, configuration: Span<UInt8>, speed: Speed) -> DeviceModel {
    var model = device(deviceDescriptor, speed: speed)
    guard let end = configurationEnd(configuration, from: 0) else { return model }
    model.configuration = configuration[5]
    model.interfaces = interfaces(configuration, from: 0, to: end)
    return model
  }

  private static func device(_ bytes: Span<UInt8>, speed: Speed) -> DeviceModel {
    var model = DeviceModel(speed: speed)
    guard bytes.count >= deviceLength else { return model }
    model.usbVersion = bytes.u16(at: 2)
    model.classCode = bytes[4]
    model.subclass = bytes[5]
    model.protocol = bytes[6]
    model.maxPacketSize0 = bytes[7]
    model.vendor = bytes.u16(at: 8)
    model.product = bytes.u16(at: 10)
    model.release = bytes.u16(at: 12)
    return model
  }

  /// Where the configuration that begins at `start` ends: at most at the end of the bytes; nil when none
  /// begins there.
  private static func configurationEnd(_ bytes: Span<UInt8>, from start: Int) -> Int? {
    guard start + 9 <= bytes.count, bytes[start] >= 9, bytes[start + 1] == Kind.configuration else {
      return nil
    }
    let length = Int(bytes.u16(at: start + 2))
    guard length >= 9 else { return nil }
    return min(start + length, bytes.count)
  }

  private static func interfaces(_ bytes: Span<UInt8>, from start: Int, to end: Int) -> [InterfaceModel] {
    var builder = ConfigurationBuilder()
    var offset = start + Int(bytes[start])
    // A descriptor that is shorter than its own head or longer than what is left: nothing behind it has a
    // known place.
    while offset + 2 <= end, bytes[offset] >= 2, offset + Int(bytes[offset]) <= end {
      builder.add(bytes, at: offset, length: Int(bytes[offset]))
      offset += Int(bytes[offset])
    }
    return builder.interfaces
  }

  /// bDescriptorType. USB 2.0, table 9-5; USB 3.2, table 9-6.
  fileprivate enum Kind {
    static let configuration: UInt8 = 0x02
    static let interface: UInt8 = 0x04
    static let endpoint: UInt8 = 0x05
    static let superSpeedCompanion: UInt8 = 0x30
    static let superSpeedPlusIsoCompanion: UInt8 = 0x31
  }
}

/// Takes a configuration's descriptors in their order. What belongs to a descriptor that was passed over is
/// passed over with it.
private struct ConfigurationBuilder {
  var interfaces: [InterfaceModel] = []
  /// Index of the interface, and in it of the setting and the endpoint, that the next descriptors belong to.
  private var interface: Int?
  private var setting = 0
  private var endpoint: Int?

  mutating func add(_ bytes: Span<UInt8>, at offset: Int, length: Int) {
    switch bytes[offset + 1] {
    case DescriptorParser.Kind.interface: addInterface(bytes, at: offset, length: length)
    case DescriptorParser.Kind.endpoint: addEndpoint(bytes, at: offset, length: length)
    case DescriptorParser.Kind.superSpeedCompanion where length >= 6:
      companion { endpoint in
        endpoint.maxBurst = bytes[offset + 2]
        endpoint.companionAttributes = bytes[offset + 3]
        endpoint.bytesPerInterval = bytes.u16(at: offset + 4)
      }
    case DescriptorParser.Kind.superSpeedPlusIsoCompanion where length >= 8:
      companion { $0.isoBytesPerInterval = bytes.u32(at: offset + 4) }
    default: break
    }
  }

  private mutating func addInterface(_ bytes: Span<UInt8>, at offset: Int, length: Int) {
    interface = nil
    endpoint = nil
    guard length >= 9 else { return }
    let number = bytes[offset + 2]
    let new = AlternateSetting(
      number: bytes[offset + 3], classCode: bytes[offset + 5], subclass: bytes[offset + 6],
      protocol: bytes[offset + 7], endpoints: [])
    guard let index = interfaces.firstIndex(where: { $0.number == number }) else {
      interfaces.append(InterfaceModel(number: number, alternateSettings: [new], current: new.number))
      return select(interfaces.count - 1, 0)
    }
    guard !interfaces[index].alternateSettings.contains(where: { $0.number == new.number }) else { return }
    interfaces[index].alternateSettings.append(new)
    if new.number == 0 { interfaces[index].current = 0 }
    select(index, interfaces[index].alternateSettings.count - 1)
  }

  private mutating func select(_ interface: Int, _ setting: Int) {
    self.interface = interface
    self.setting = setting
  }

  private mutating func addEndpoint(_ bytes: Span<UInt8>, at offset: Int, length: Int) {
    endpoint = nil
    guard let interface, length >= 7 else { return }
    let address = EndpointAddress(rawValue: bytes[offset + 2])
    guard address.isValid, address.number != 0, !isTaken(address) else { return }
    guard let type = TransferType(rawValue: bytes[offset + 3] & 3) else { return }
    interfaces[interface].alternateSettings[setting].endpoints.append(
      EndpointModel(
        address: address, type: type, rawMaxPacketSize: bytes.u16(at: offset + 4), interval: bytes[offset + 6]
      ))
    endpoint = interfaces[interface].alternateSettings[setting].endpoints.count - 1
  }

  /// True when another interface, or this very setting, has the endpoint already. Settings of one interface
  /// share them.
  private func isTaken(_ address: EndpointAddress) -> Bool {
    interfaces.indices.contains { index in
      interfaces[index].alternateSettings.indices.contains { other in
        (index != interface || other == setting)
          && interfaces[index].alternateSettings[other].endpoints.contains { $0.address == address }
      }
    }
  }

  private mutating func companion(_ change: (inout EndpointModel) -> Void) {
    guard let interface, let endpoint else { return }
    change(&interfaces[interface].alternateSettings[setting].endpoints[endpoint])
  }
}
