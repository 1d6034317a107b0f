// Bytes to characters, resumable at any byte: UTF-8 (RFC 3629), and every kind of line end as one newline.

/// Decodes one stream of text. What is not UTF-8 comes out as U+FFFD.
struct TextDecoder {
  /// What a byte amounted to.
  enum Step: Equatable {
    /// The byte is used up and more are needed.
    case more
    /// The byte is used up and ends a character.
    case character(Unicode.Scalar)
    /// What came before is no character. The byte has to be decoded again.
    case malformed(Unicode.Scalar)
  }

  private static let replacement: Unicode.Scalar = "\u{fffd}"

  private var value: UInt32 = 0
  private var missing = 0
  /// The smallest value that needs as many bytes as this character has.
  private var least: UInt32 = 0
  private var endedLine = false

  mutating func decode(_ byte: UInt8) -> Step {
    if missing > 0 {
      guard byte & 0xc0 == 0x80 else {
        missing = 0
        return .malformed(TextDecoder.replacement)
      }
      value = value << 6 | UInt32(byte & 0x3f)
      missing -= 1
      return missing > 0 ? .more : finish()
    }
    switch byte {
    case 0x00...0x7f: begin(byte, missing: 0, least: 0)
    case 0xc2...0xdf: begin(byte & 0x1f, missing: 1, least: 0x80)
    case 0xe0...0xef: begin(byte & 0x0f, missing: 2, least: 0x800)
    case 0xf0...0xf4: begin(byte & 0x07, missing: 3, least: 0x1_0000)
    default:
      endedLine = false
      return .character(TextDecoder.replacement)
    }
    return missing > 0 ? .more : finish()
  }

  /// The end of the stream: a character that is still incomplete.
  mutating func end() -> Unicode.Scalar? {
    guard missing > 0 else { return nil }
    missing = 0
    return TextDecoder.replacement
  }

  private mutating func begin(_ bits: UInt8, missing: Int, least: UInt32) {
    value = UInt32(bits)
    self.missing = missing
    self.least = least
  }

  private mutating func finish() -> Step {
    let isCarriageReturn = value == 13
    defer { endedLine = isCarriageReturn }
    if isCarriageReturn { return .character("\n") }
    if value == 10 && endedLine { return .more }
    guard value >= least, let character = Unicode.Scalar(value) else {
      return .character(TextDecoder.replacement)
    }
    return .character(character)
  }
}
