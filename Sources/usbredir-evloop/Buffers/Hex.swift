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

  /// The value of a digit, in either case; nil for any other character.
  static func digit(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  /// The bytes that `digits` spell, two digits each; nil when it is anything else.
  static func bytes(_ digits: String) -> [UInt8]? {
    var bytes: [UInt8] = []
    var high: UInt8?
    let text = digits.utf8.span
    for index in text.indices {
      guard let value = digit(text[index]) else { return nil }
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    return high == nil ? bytes : nil
  }
}
