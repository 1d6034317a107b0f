// Words of the command line → numbers. Each function names the range that it wants when it refuses.

/// Decimal digits only, within `range`.
func parseNumber(_ text: String, _ range: ClosedRange<Int>) throws(OptionsError) -> Int {
  guard let value = decimal(text), range.contains(value) else {
    throw OptionsError(
      "'" + text + "' is not a number from " + String(range.lowerBound) + " to " + String(range.upperBound))
  }
  return value
}

/// Bytes, with an optional K, M (binary) behind the digits, within `range`.
func parseSize(_ text: String, _ range: ClosedRange<Int>) throws(OptionsError) -> Int {
  var digits = Substring(text)
  var shift = 0
  if text.hasSuffix("K") || text.hasSuffix("k") { shift = 10 }
  if text.hasSuffix("M") || text.hasSuffix("m") { shift = 20 }
  if shift > 0 { digits = digits.dropLast() }
  if let count = decimal(String(digits)), count <= range.upperBound >> shift, range.contains(count << shift) {
    return count << shift
  }
  throw OptionsError(
    "'" + text + "' is not a size from " + sizeText(range.lowerBound) + " to " + sizeText(range.upperBound)
      + " (a number of bytes, K or M)")
}

/// `VID:PID`, one to four hexadecimal digits each. A vendor of 0 is none.
func parseDeviceID(_ text: String) throws(OptionsError) -> (vendor: UInt16, product: UInt16) {
  let parts = text.split(separator: ":", omittingEmptySubsequences: false)
  if parts.count == 2, let vendor = hexadecimal(parts[0]), let product = hexadecimal(parts[1]), vendor != 0 {
    return (vendor, product)
  }
  throw OptionsError("'" + text + "' is not VENDOR:PRODUCT in hexadecimal, as in 046d:c31c")
}

/// `BUS-PORT.PORT`, one to seven ports: the deepest path that a USB tree can have (USB 3.2, 10.16.2.8).
func parsePortPath(_ text: String) throws(OptionsError) -> (bus: UInt8, ports: [UInt8]) {
  let halves = text.split(separator: "-", omittingEmptySubsequences: false)
  if halves.count == 2, let bus = byte(halves[0]) {
    let ports = halves[1].split(separator: ".", omittingEmptySubsequences: false).compactMap { byte($0) }
    let dots = halves[1].utf8.count { $0 == UInt8(ascii: ".") }
    if ports.count == dots + 1, ports.count <= 7 { return (bus, ports) }
  }
  throw OptionsError("'" + text + "' is not BUS-PORT.PORT, as in 1-2.3")
}

/// `BUS-ADDRESS`, decimal; leading zeros as `lsusb` prints them are fine.
func parseBusAddress(_ text: String) throws(OptionsError) -> (bus: UInt8, address: UInt8) {
  let halves = text.split(separator: "-", omittingEmptySubsequences: false)
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

// `Int("+1")` is a number in Swift; on a command line it is a typing error.
private func decimal(_ text: String) -> Int? {
  text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 } ? Int(text) : nil
}

private func byte(_ text: Substring) -> UInt8? {
  guard let value = decimal(String(text)), value > 0 else { return nil }
  return UInt8(exactly: value)
}

private func hexadecimal(_ text: Substring) -> UInt16? {
  guard (1...4).contains(text.utf8.count), text.utf8.first != UInt8(ascii: "+") else { return nil }
  return UInt16(text, radix: 16)
}
