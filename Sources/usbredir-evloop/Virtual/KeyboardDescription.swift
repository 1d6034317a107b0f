// What a boot keyboard says of itself: its descriptors and its LEDs. HID 1.11.

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
  static var keyboard: DeviceDescription { HIDDescription.keyboard.device }
}

extension HIDDescription {
  /// bInterval of 4 ms: 125 characters a second are quicker than anybody types, and still slow enough for a
  /// guest that is emulated and for the few keys that firmware remembers. Country code 33 is the US.
  static var keyboard: HIDDescription {
    HIDDescription(
      product: 0x0001, productName: "Virtual Keyboard", bootProtocol: 1, country: 33,
      reportSize: KeyboardReports.size, interval: 4, hasOutput: true, reportDescriptor: keyboardReports)
  }

  /// One byte of modifiers, one reserved, six keys in; five LEDs and three bits of padding out.
  /// HID 1.11, 6.2.2.
  private static let keyboardReports: [UInt8] = [
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
