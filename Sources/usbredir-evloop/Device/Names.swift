// Names and numbers of devices as people and programs read them, the same in every listing.

/// The four-digit form that lsusb(8) and udev rules have: `046d:c31c`.
func deviceID(_ vendor: UInt16, _ product: UInt16) -> String {
  Hex.text(UInt32(vendor), digits: 4) + ":" + Hex.text(UInt32(product), digits: 4)
}

/// A binary-coded version, bcdUSB or bcdDevice: `1.10`.
func bcdText(_ bcd: UInt16) -> String {
  Hex.text(UInt32(bcd >> 8), digits: 1) + "." + Hex.text(UInt32(bcd & 0xff), digits: 2)
}

extension Speed {
  /// The word of USB 2.0 and 3.2; nil for an unknown one.
  var name: String? {
    switch self {
    case .low: "low"
    case .full: "full"
    case .high: "high"
    case .super: "super"
    case .unknown: nil
    }
  }
}

extension TransferType {
  /// The word of USB 2.0, 4.7.
  var name: String {
    switch self {
    case .control: "control"
    case .isochronous: "isochronous"
    case .bulk: "bulk"
    case .interrupt: "interrupt"
    }
  }
}

/// The name of a device's or interface's class, by usb.org's defined class codes.
func className(_ code: UInt8) -> String {
  switch code {
  case 0x00: return "by-interface"
  case 0x01: return "audio"
  case 0x02: return "communications"
  case 0x03: return "hid"
  case 0x05: return "physical"
  case 0x06: return "image"
  case 0x07: return "printer"
  case 0x08: return "mass-storage"
  case 0x09: return "hub"
  case 0x0a: return "cdc-data"
  case 0x0b: return "smart-card"
  case 0x0d: return "content-security"
  case 0x0e: return "video"
  case 0x0f: return "healthcare"
  case 0x10: return "audio-video"
  case 0xdc: return "diagnostic"
  case 0xe0: return "wireless"
  case 0xef: return "miscellaneous"
  case 0xfe: return "application-specific"
  case 0xff: return "vendor-specific"
  default: return "0x" + String(code, radix: 16)
  }
}

/// Bus and port numbers as sysfs writes them: `1-2.3`, and `usb1` for a root hub.
func portPath(_ bus: UInt8, _ ports: [UInt8]) -> String {
  guard !ports.isEmpty else { return "usb" + String(bus) }
  return String(bus) + "-" + ports.map { String($0) }.joined(separator: ".")
}
