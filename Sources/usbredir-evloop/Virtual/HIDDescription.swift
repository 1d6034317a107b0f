// What a HID device says of itself: the numbers of its class, and descriptors from a few values. HID 1.11.

/// The requests of HID 1.11, 7.2, and its descriptor types, 7.1.
enum HID {
  static let getReport: UInt8 = 1
  static let getIdle: UInt8 = 2
  static let getProtocol: UInt8 = 3
  static let setReport: UInt8 = 9
  static let setIdle: UInt8 = 10
  static let setProtocol: UInt8 = 11
  static let hidDescriptor: UInt16 = 0x2100
  static let reportDescriptor: UInt16 = 0x2200
  static let inputReport: UInt16 = 0x0100
  static let outputReport: UInt16 = 0x0200
}

/// A HID device with one interface, one kind of report in, and perhaps one out.
struct HIDDescription {
  /// idProduct. 1209:0001 to 1209:0010 is what pid.codes keeps for tests (https://pid.codes/1209/0001).
  var product: UInt16
  var productName: String
  /// bInterfaceProtocol: 1 keyboard, 2 mouse; other than 0 it is a boot interface. HID 1.11, 4.2 and 4.3.
  var bootProtocol: UInt8 = 0
  /// bCountryCode. HID 1.11, 6.2.1.
  var country: UInt8 = 0
  /// Bytes of a report, and of its packet.
  var reportSize: Int
  /// Bytes of the input report that tell a change: zero when the report is repeated.
  var changes = 0..<0
  /// bInterval, milliseconds.
  var interval: UInt8
  /// Has an interrupt OUT endpoint for reports to the device.
  var hasOutput = false
  /// Repeats its report when the guest asks for that. HID 1.11, 7.2.4.
  var canRepeat = true
  /// HID 1.11, 6.2.2.
  var reportDescriptor: [UInt8]

  /// HID 1.11, 6.2.1.
  var descriptor: [UInt8] {
    [9, 0x21, 0x11, 0x01, country, 1, 0x22, UInt8(reportDescriptor.count), 0]
  }

  /// The whole device.
  var device: DeviceDescription {
    DeviceDescription(
      vendor: 0x1209, product: product, maxPacketSize0: 8,
      manufacturerName: "usbredir-evloop", productName: productName, serialNumber: "1",
      configurations: [
        ConfigurationDescription(
          value: 1, attributes: ConfigurationDescription.remoteWakeup,
          interfaces: [
            InterfaceDescription(
              number: 0, settings: [SettingDescription(setting: setting, classDescriptors: descriptor)])
          ])
      ])
  }

  private var setting: AlternateSetting {
    let addresses = hasOutput ? [HIDDevice.input, HIDDevice.output] : [HIDDevice.input]
    return AlternateSetting(
      number: 0, classCode: 3, subclass: bootProtocol == 0 ? 0 : 1, protocol: bootProtocol,
      endpoints: addresses.map {
        EndpointModel(
          address: $0, type: .interrupt, rawMaxPacketSize: UInt16(reportSize), interval: interval)
      })
  }
}
