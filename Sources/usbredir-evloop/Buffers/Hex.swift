// Bytes and numbers in hexadecimal, as scripts and labels write them.

enum Hex {
  /// At least `digits` digits, without a prefix.
  static func text(_ value: UInt32, digits: Int, uppercase: Bool = false) -> String {
    let text = String(value, radix: 16, uppercase: uppercase)
    return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
  }

  /// Two digits a byte: `01ff`.
  static func text(_ bytes: Span<UInt8>) -> String {
    var result = ""
    for index in bytes.indices { result += text(UInt32(bytes[index]), digits: 2) }
    return result
  }

  /// The bytes that `digits` spell, two digits each; nil when it is anything else.
  static func bytes(_ digits: Substring) -> [UInt8]? {
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in digits {
      guard let value = digit.hexDigitValue else { return nil }
      if let first = high {
        bytes.append(first << 4 | UInt8(value))
        high = nil
      } else {
        high = UInt8(value)
      }
    }
    return high == nil ? bytes : nil
  }
}
