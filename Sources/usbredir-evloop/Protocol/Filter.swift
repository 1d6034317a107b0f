// Filters: an ordered list of rules by which a usb-guest takes or refuses a device. Grammar and verdicts
// are those of the C library's usbredirfilter.h, oddities included, because QEMU judges by them as well
// (B2.2).

/// One rule. `usbredirfilter_rule`; nil stands for its -1, "any".
struct FilterRule: Equatable, CustomStringConvertible {
  var deviceClass: UInt8?
  var vendor: UInt16?
  var product: UInt16?
  /// bcdDevice.
  var deviceVersion: UInt16?
  var allow: Bool

  /// As it goes over the wire: `0x03,0x046d,-1,-1,1`.
  var description: String {
    [
      deviceClass.map { hex(UInt16($0), digits: 2) } ?? "-1", vendor.map { hex($0, digits: 4) } ?? "-1",
      product.map { hex($0, digits: 4) } ?? "-1", deviceVersion.map { hex($0, digits: 4) } ?? "-1",
      allow ? "1" : "0",
    ].joined(separator: ",")
  }

  private func hex(_ value: UInt16, digits: Int) -> String {
    let text = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: digits - text.utf8.count) + text
  }

  fileprivate func matches(_ device: FilteredDevice, classCode: UInt8) -> Bool {
    (deviceClass ?? classCode) == classCode && (vendor ?? device.vendor) == device.vendor
      && (product ?? device.product) == device.product
      && (deviceVersion ?? device.deviceVersion) == device.deviceVersion
  }
}

/// What a filter looks at.
struct FilteredDevice {
  struct Interface: Equatable {
    var classCode: UInt8
    var subclass: UInt8
    var `protocol`: UInt8

    /// HID, but neither keyboard nor mouse: the volume buttons of a headset, say.
    fileprivate var isPlainHID: Bool { classCode == 0x03 && subclass == 0 && `protocol` == 0 }
  }

  var deviceClass: UInt8
  var vendor: UInt16
  var product: UInt16
  var deviceVersion: UInt16
  /// Each in its alternate setting in force.
  var interfaces: [Interface]
}

/// What a filter says.
enum FilterVerdict: Equatable {
  case allowed
  /// Denied by the rule of that index.
  case denied(rule: Int)
  /// No rule is about this class of the device, which denies it too.
  case noMatch(classCode: UInt8)
}

/// A filter text that is none.
struct FilterError: Error, Equatable, CustomStringConvertible {
  /// The rule that cannot be read, counted from 1.
  let rule: Int

  var description: String {
    "filter rule \(rule) cannot be read: write class,vendor,product,version,allow as numbers, -1 for any"
  }
}

/// Rules in the order in which they are asked.
struct Filter: Equatable, CustomStringConvertible {
  var rules: [FilterRule]

  init(rules: [FilterRule]) {
    self.rules = rules
  }

  /// Reads a filter's text up to its end or its first NUL. Separators in a row count as one, numbers are
  /// decimal, 0x… or, with a leading 0, octal; any allow but 0 allows; no rules at all are a filter too.
  /// - Parameter separator: between the numbers of a rule; `,` on the wire, `:` in QEMU's options. Rules are
  ///   always separated by `|`.
  init(parsing text: Span<UInt8>, separator: UInt8 = UInt8(ascii: ",")) throws(FilterError) {
    rules = []
    var end = 0
    while end < text.count, text[end] != 0 { end += 1 }
    var start = 0
    while let rule = nextToken(of: text, from: start, to: end, separator: UInt8(ascii: "|")) {
      start = rule.upperBound
      guard let rule = FilterRule(parsing: text.extracting(rule), separator) else {
        throw FilterError(rule: rules.count + 1)
      }
      rules.append(rule)
    }
  }

  /// The text as it goes over the wire, without the NUL.
  var description: String {
    rules.map { $0.description }.joined(separator: "|")
  }

  /// Asks the rules about the device's class, unless that is 0x00 or 0xef (see interfaces), and about each
  /// interface's. Of several interfaces plain HID ones are left out, unless there are no others.
  func verdict(on device: FilteredDevice) -> FilterVerdict {
    if device.deviceClass != 0x00, device.deviceClass != 0xef {
      let verdict = verdict(on: device, classCode: device.deviceClass)
      guard verdict == .allowed else { return verdict }
    }
    let leavesOut = device.interfaces.count > 1 && !device.interfaces.allSatisfy { $0.isPlainHID }
    for interface in device.interfaces where !(leavesOut && interface.isPlainHID) {
      let verdict = verdict(on: device, classCode: interface.classCode)
      guard verdict == .allowed else { return verdict }
    }
    return .allowed
  }

  /// The first rule that matches decides.
  private func verdict(on device: FilteredDevice, classCode: UInt8) -> FilterVerdict {
    for (index, rule) in rules.enumerated() where rule.matches(device, classCode: classCode) {
      return rule.allow ? .allowed : .denied(rule: index)
    }
    return .noMatch(classCode: classCode)
  }
}

extension FilterRule {
  /// Reads exactly five numbers, all within their ranges; nil otherwise.
  fileprivate init?(parsing text: Span<UInt8>, _ separator: UInt8) {
    var numbers = InlineArray<5, Int32>(repeating: 0)
    var count = 0
    var start = 0
    while let token = nextToken(of: text, from: start, to: text.count, separator: separator) {
      start = token.upperBound
      guard count < 5, let number = parseNumber(text.extracting(token)) else { return nil }
      numbers[count] = number
      count += 1
    }
    guard count == 5, -1...255 ~= numbers[0], -1...65535 ~= numbers[1], -1...65535 ~= numbers[2],
      -1...65535 ~= numbers[3]
    else { return nil }
    self.init(
      deviceClass: UInt8(exactly: numbers[0]), vendor: UInt16(exactly: numbers[1]),
      product: UInt16(exactly: numbers[2]), deviceVersion: UInt16(exactly: numbers[3]), allow: numbers[4] != 0
    )
  }
}

/// The next run of bytes that are not `separator`, as `strtok` finds it; nil when there is none.
private func nextToken(of text: Span<UInt8>, from: Int, to end: Int, separator: UInt8) -> Range<Int>? {
  var start = from
  while start < end, text[start] == separator { start += 1 }
  guard start < end else { return nil }
  var stop = start
  while stop < end, text[stop] != separator { stop += 1 }
  return start..<stop
}

/// A whole token as `strtol` with base 0 reads it and an `int` keeps it: space in front and a sign are
/// fine, what is too large for 64 bits stops there, and only the low 32 bits are kept. nil for anything
/// else.
private func parseNumber(_ token: Span<UInt8>) -> Int32? {
  var index = 0
  while index < token.count, isSpace(token[index]) { index += 1 }
  var isNegative = false
  if index < token.count, token[index] == UInt8(ascii: "-") || token[index] == UInt8(ascii: "+") {
    isNegative = token[index] == UInt8(ascii: "-")
    index += 1
  }
  var radix: Int64 = 10
  if index < token.count, token[index] == UInt8(ascii: "0") {
    radix = 8
    if index + 1 < token.count, token[index + 1] | 0x20 == UInt8(ascii: "x") {
      radix = 16
      index += 2
    }
  }
  guard index < token.count else { return nil }
  var value: Int64 = 0
  while index < token.count {
    guard let digit = digitValue(token[index]), digit < radix else { return nil }
    value = saturating(value, radix, isNegative ? -digit : digit)
    index += 1
  }
  return Int32(truncatingIfNeeded: value)
}

/// `value * radix + digit`, or the end of the range that it passes.
private func saturating(_ value: Int64, _ radix: Int64, _ digit: Int64) -> Int64 {
  let (product, tooLarge) = value.multipliedReportingOverflow(by: radix)
  let (sum, passed) = product.addingReportingOverflow(digit)
  guard tooLarge || passed else { return sum }
  return value < 0 || digit < 0 ? .min : .max
}

private func isSpace(_ byte: UInt8) -> Bool {
  byte == 0x20 || 0x09...0x0d ~= byte
}

private func digitValue(_ byte: UInt8) -> Int64? {
  switch byte {
  case UInt8(ascii: "0")...UInt8(ascii: "9"): Int64(byte - UInt8(ascii: "0"))
  case UInt8(ascii: "a")...UInt8(ascii: "f"): Int64(byte - UInt8(ascii: "a")) + 10
  case UInt8(ascii: "A")...UInt8(ascii: "F"): Int64(byte - UInt8(ascii: "A")) + 10
  default: nil
  }
}
