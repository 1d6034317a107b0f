// What a boot keyboard says of itself: descriptors, the numbers of its class requests, its LEDs. HID 1.11.

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

/// The keyboard's LEDs, one bit each. HID Usage Tables, page 8.
struct KeyboardLEDs: OptionSet, CustomStringConvertible {
  let rawValue: UInt8

  static let num = KeyboardLEDs(rawValue: 1)
  static let caps = KeyboardLEDs(rawValue: 2)
  static let scroll = KeyboardLEDs(rawValue: 4)
  static let compose = KeyboardLEDs(rawValue: 8)
  static let kana = KeyboardLEDs(rawValue: 16)

  /// `num caps`, or `none`.
  var description: String {
    let names: [(KeyboardLEDs, String)] = [
      (.num, "num"), (.caps, "caps"), (.scroll, "scroll"), (.compose, "compose"), (.kana, "kana"),
    ]
    let lit = names.filter { contains($0.0) }.map { $0.1 }
    return lit.isEmpty ? "none" : lit.joined(separator: " ")
  }
}

extension DeviceDescription {
  /// bInterval of 4 ms: 125 characters a second are quicker than anybody types, and still slow enough for a
  /// guest that is emulated and for the few keys that firmware remembers. 1209:0001 is what pid.codes keeps
  /// for tests (https://pid.codes/1209/0001).
  static let keyboard = DeviceDescription(
    vendor: 0x1209, product: 0x0001, maxPacketSize0: 8,
    manufacturerName: "usbredir-evloop", productName: "Virtual Keyboard", serialNumber: "1",
    configurations: [
      ConfigurationDescription(
        value: 1, attributes: ConfigurationDescription.remoteWakeup,
        interfaces: [
          InterfaceDescription(
            number: 0,
            settings: [SettingDescription(setting: keyboardSetting, classDescriptors: hidDescriptor)])
        ])
    ])

  /// Class HID, subclass boot interface, protocol keyboard. HID 1.11, 4.1…4.3.
  private static let keyboardSetting = AlternateSetting(
    number: 0, classCode: 3, subclass: 1, protocol: 1,
    endpoints: [UInt8(0x81), 0x01].map {
      EndpointModel(
        address: EndpointAddress(rawValue: $0), type: .interrupt,
        rawMaxPacketSize: UInt16(KeyboardReports.size), interval: 4)
    })

  /// HID 1.11, 6.2.1; country code 33 is the US.
  static let hidDescriptor: [UInt8] = [
    9, 0x21, 0x11, 0x01, 33, 1, 0x22, UInt8(reportDescriptor.count), 0,
  ]

  /// One byte of modifiers, one reserved, six keys in; five LEDs and three bits of padding out.
  /// HID 1.11, 6.2.2.
  static let reportDescriptor: [UInt8] = [
    0x05, 0x01,  // Usage Page (Generic Desktop)
    0x09, 0x06,  // Usage (Keyboard)
    0xa1, 0x01,  // Collection (Application)
    0x05, 0x07,  //   Usage Page (Keyboard)
    0x19, 0xe0, 0x29, 0xe7,  //   Usages: left control … right GUI
    0x15, 0x00, 0x25, 0x01,  //   Values 0…1
    0x75, 0x01, 0x95, 0x08,  //   8 times 1 bit
    0x81, 0x02,  //   Input (Data, Variable)
    0x75, 0x08, 0x95, 0x01,  //   1 time 8 bits
    0x81, 0x01,  //   Input (Constant)
    0x05, 0x08,  //   Usage Page (LEDs)
    0x19, 0x01, 0x29, 0x05,  //   Usages: Num Lock … Kana
    0x75, 0x01, 0x95, 0x05,  //   5 times 1 bit
    0x91, 0x02,  //   Output (Data, Variable)
    0x75, 0x03, 0x95, 0x01,  //   1 time 3 bits
    0x91, 0x01,  //   Output (Constant)
    0x05, 0x07,  //   Usage Page (Keyboard)
    0x19, 0x00, 0x29, 0x65,  //   Usages: no key … Application
    0x15, 0x00, 0x25, 0x65,  //   Values 0…101
    0x75, 0x08, 0x95, 0x06,  //   6 times 8 bits
    0x81, 0x00,  //   Input (Data, Array)
    0xc0,  // End Collection
  ]
}
