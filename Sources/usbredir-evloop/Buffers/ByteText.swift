// Text compared and taken apart by its bytes. Keys, separators and digits are ASCII, and in UTF-8 no byte of
// any other character looks like one, so what stands between them passes through unharmed. The members that
// shadow the standard library's do without Unicode's idea of equality and of characters: its tables and
// what works with them would be a fifth of the Embedded build, which is linked without them.

extension String {
  /// True for the same bytes; canonical equivalents are different texts here.
  @inline(never) static func == (left: String, right: String) -> Bool {
    left.utf8.count == right.utf8.count && left.hasPrefix(right)
  }

  static func != (left: String, right: String) -> Bool {
    !(left == right)
  }

  /// What `switch` asks for a case.
  static func ~= (pattern: String, text: String) -> Bool {
    pattern == text
  }

  @inline(never) func hasPrefix(_ prefix: String) -> Bool {
    let bytes = utf8.span
    let prefix = prefix.utf8.span
    guard bytes.count >= prefix.count else { return false }
    for index in prefix.indices where bytes[index] != prefix[index] { return false }
    return true
  }

  @inline(never) func hasSuffix(_ suffix: String) -> Bool {
    utf8.count >= suffix.utf8.count && dropFirst(utf8.count - suffix.utf8.count) == suffix
  }

  /// The text behind its first `count` bytes: empty when there are no more, all of it for a negative count.
  @inline(never) func dropFirst(_ count: Int) -> String {
    piece(min(max(0, count), utf8.count)..<utf8.count)
  }

  /// The text before its last `count` bytes; empty when there are no more.
  func dropLast(_ count: Int) -> String {
    piece(0..<max(0, utf8.count - count))
  }

  /// What stands between the `separators`, the empty pieces too: one more than there are separators.
  @inline(never) func split(at separators: Unicode.Scalar...) -> [String] {
    let bytes = utf8.span
    var pieces: [String] = []
    var start = 0
    for index in bytes.indices where separators.contains(Unicode.Scalar(bytes[index])) {
      pieces.append(piece(start..<index))
      start = index + 1
    }
    pieces.append(piece(start..<bytes.count))
    return pieces
  }

  /// The text before and behind the first `separator`; nil when there is none.
  @inline(never) func cut(at separator: Unicode.Scalar) -> (head: String, tail: String)? {
    let bytes = utf8.span
    for index in bytes.indices where bytes[index] == UInt8(ascii: separator) {
      return (piece(0..<index), piece(index + 1..<bytes.count))
    }
    return nil
  }

  /// The number that the text spells, in digits alone: no sign, no blank. nil for anything else, and for what
  /// is above `limit`.
  @inline(never) func number(radix: UInt8 = 10, atMost limit: UInt32 = .max) -> UInt32? {
    let bytes = utf8.span
    guard !bytes.isEmpty else { return nil }
    var number: UInt64 = 0
    for index in bytes.indices {
      guard let digit = Hex.digit(bytes[index]), digit < radix else { return nil }
      number = number * UInt64(radix) + UInt64(digit)
      guard number <= UInt64(limit) else { return nil }
    }
    return UInt32(number)
  }

  /// Some of the text's bytes.
  @inline(never) private func piece(_ range: Range<Int>) -> String {
    unsafe utf8.span.extracting(range).withUnsafeBufferPointer {
      unsafe String(utf8: UnsafeRawBufferPointer($0))
    }
  }

  /// The text of these bytes; what is not UTF-8 becomes U+FFFD.
  @inline(never) init(utf8 bytes: UnsafeRawBufferPointer) {
    self = unsafe String(decoding: bytes, as: UTF8.self)
  }

  /// How many columns the text takes, if each of its scalars takes one.
  @inline(never) var width: Int {
    let bytes = utf8.span
    var width = 0
    // Bytes that continue a scalar are 10xxxxxx.
    for index in bytes.indices where bytes[index] & 0xc0 != 0x80 { width += 1 }
    return width
  }
}

extension String? {
  static func == (left: String?, right: String?) -> Bool {
    switch (left, right) {
    case (let left?, let right?): left == right
    case (nil, nil): true
    default: false
    }
  }

  static func != (left: String?, right: String?) -> Bool {
    !(left == right)
  }

  static func ~= (pattern: String, text: String?) -> Bool {
    pattern == text
  }
}

extension [String] {
  func contains(_ text: String) -> Bool {
    firstIndex(of: text) != nil
  }

  @inline(never) func firstIndex(of text: String) -> Int? {
    firstIndex { $0 == text }
  }

  @inline(never) func joined(separator: String = "") -> String {
    var joined = ""
    for (index, text) in enumerated() {
      if index > 0 { joined += separator }
      joined += text
    }
    return joined
  }
}
