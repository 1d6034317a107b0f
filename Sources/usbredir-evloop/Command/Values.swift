// Words of the command line → numbers. Each function names the range that it wants when it refuses.

/// Decimal digits only, within `range`.
func parseNumber(_ text: String, _ range: ClosedRange<Int>) throws(OptionsError) -> Int {
  guard let value = text.number().flatMap({ Int(exactly: $0) }), range.contains(value) else {
    throw OptionsError(
      "'" + text + "' is not a number from " + String(range.lowerBound) + " to " + String(range.upperBound))
  }
  return value
}

/// Bytes, with an optional K, M (binary) behind the digits, within `range`.
func parseSize(_ text: String, _ range: ClosedRange<Int>) throws(OptionsError) -> Int {
  let shift: Int
  switch text.dropFirst(text.utf8.count - 1) {
  case "K", "k": shift = 10
  case "M", "m": shift = 20
  default: shift = 0
  }
  let digits = shift > 0 ? text.dropLast(1) : text
  let limit = UInt32(range.upperBound >> shift)
  if let count = digits.number(atMost: limit), range.contains(Int(count) << shift) {
    return Int(count) << shift
  }
  throw OptionsError(
    "'" + text + "' is not a size from " + sizeText(range.lowerBound) + " to " + sizeText(range.upperBound)
      + " (a number of bytes, K or M)")
}

/// `VID:PID`, one to four hexadecimal digits each. A vendor of 0 is none.
func parseDeviceID(_ text: String) throws(OptionsError) -> (vendor: UInt16, product: UInt16) {
  let parts = text.split(at: ":")
  if parts.count == 2, let vendor = hexadecimal(parts[0]), let product = hexadecimal(parts[1]), vendor != 0 {
    return (vendor, product)
  }
  throw OptionsError("'" + text + "' is not VENDOR:PRODUCT in hexadecimal, as in 046d:c31c")
}

/// `BUS-PORT.PORT`, one to seven ports: the deepest path that a USB tree can have (USB 3.2, 10.16.2.8).
func parsePortPath(_ text: String) throws(OptionsError) -> (bus: UInt8, ports: [UInt8]) {
  let halves = text.split(at: "-")
  if halves.count == 2, let bus = byte(halves[0]) {
    let words = halves[1].split(at: ".")
    let ports = words.compactMap { byte($0) }
    if ports.count == words.count, ports.count <= 7 { return (bus, ports) }
  }
  throw OptionsError("'" + text + "' is not BUS-PORT.PORT, as in 1-2.3")
}

/// `BUS-ADDRESS`, decimal; leading zeros as `lsusb` prints them are fine.
func parseBusAddress(_ text: String) throws(OptionsError) -> (bus: UInt8, address: UInt8) {
  let halves = text.split(at: "-")
  if halves.count == 2, let bus = byte(halves[0]), let address = byte(halves[1]), address < 128 {
    return (bus, address)
  }
  throw OptionsError("'" + text + "' is not BUS-ADDRESS, as in 1-4")
}

/// A power-of-two size in its largest unit, for messages and help.
func sizeText(_ bytes: Int) -> String {
  if bytes != 0, bytes & 0xf_ffff == 0 { return String(bytes >> 20) + "M" }
  if bytes != 0, bytes & 0x3ff == 0 { return String(bytes >> 10) + "K" }
  return String(bytes)
}

/// A number of a bus, port or device: none of them is 0.
private func byte(_ text: String) -> UInt8? {
  guard let value = text.number(atMost: 0xff), value > 0 else { return nil }
  return UInt8(value)
}

private func hexadecimal(_ text: String) -> UInt16? {
  guard text.utf8.count <= 4 else { return nil }
  return text.number(radix: 16).map { UInt16($0) }
}
