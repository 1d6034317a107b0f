// Endpoint addresses, transfer types and speeds, in the numbers that USB and usbredir share.

/// A USB transfer type, numbered as in bmAttributes (USB 2.0, table 9-13) and in usbredir's ep_info.
enum TransferType: UInt8 {
  case control = 0
  case isochronous = 1
  case bulk = 2
  case interrupt = 3
}

/// A device's speed, numbered as in usbredir's device_connect.
enum Speed: UInt8 {
  case low = 0
  case full = 1
  case high = 2
  case `super` = 3
  case unknown = 255
}

/// bEndpointAddress: bit 7 is the direction (1 = IN), bits 0…3 the number. USB 2.0, table 9-13.
struct EndpointAddress: RawRepresentable, Hashable, CustomStringConvertible {
  let rawValue: UInt8

  init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// The address of a slot of the endpoint table: OUT 0…15, then IN 16…31 (usbredir's ep_info order).
  init(slot: Int) {
    rawValue = UInt8(slot & 15) | (slot & 16 != 0 ? 0x80 : 0)
  }

  static let controlOut = EndpointAddress(rawValue: 0x00)
  static let controlIn = EndpointAddress(rawValue: 0x80)

  var number: UInt8 { rawValue & 15 }
  var isIn: Bool { rawValue & 0x80 != 0 }
  /// True when no reserved bit (4…6) is set.
  var isValid: Bool { rawValue & 0x70 == 0 }
  /// Index into a table of 32 slots: OUT 0…15, then IN 16…31.
  var slot: Int { Int(number) | (isIn ? 16 : 0) }

  /// As `lsusb` writes it: `0x81`.
  var description: String {
    "0x" + (rawValue < 16 ? "0" : "") + String(rawValue, radix: 16)
  }
}
