// An input of the fuzzer as a source of decisions: each takes a few bytes, and when none are left everything is 0.

struct FuzzInput {
  private let bytes: [UInt8]
  private var position = 0

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  var isEmpty: Bool { position >= bytes.count }

  mutating func byte() -> UInt8 {
    guard position < bytes.count else { return 0 }
    position += 1
    return bytes[position - 1]
  }

  mutating func u16() -> UInt16 { UInt16(byte()) | UInt16(byte()) << 8 }

  mutating func u32() -> UInt32 { UInt32(u16()) | UInt32(u16()) << 16 }

  /// 0 ..< limit, which is 256 at most.
  mutating func number(_ limit: Int) -> Int { Int(byte()) % limit }

  /// True once in 256 for each `share`.
  mutating func chance(_ share: UInt8) -> Bool { byte() > 255 - share }

  mutating func choose<Value>(_ values: [Value]) -> Value { values[number(values.count)] }

  /// Up to `most` bytes: short ones from the input, long ones a pattern, so that a large transfer needs no large
  /// input.
  mutating func data(atMost most: Int) -> [UInt8] {
    let count = Int(byte())
    guard count < 0xc0 else {
      let length = min(most, Int(u16()) << (count & 7))
      let first = byte()
      return (0..<length).map { first &+ UInt8(truncatingIfNeeded: $0) }
    }
    return take(min(most, count))
  }

  /// At most `count` bytes, fewer when there are fewer.
  mutating func take(_ count: Int) -> [UInt8] {
    let end = min(bytes.count, position + count)
    defer { position = end }
    return Array(bytes[position..<end])
  }

  mutating func rest() -> [UInt8] { take(bytes.count) }
}
