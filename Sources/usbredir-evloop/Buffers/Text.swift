// String interpolation, kept out of line. Embedded Swift compiles the standard library into the product and would
// otherwise inline every piece of every log line; these few functions shadow the inlined ones for the whole module. They also
// are the only ones a value can go through without a `description` being asked for by name.

extension DefaultStringInterpolation {
  @inline(never) mutating func appendLiteral(_ literal: String) {
    write(literal)
  }

  @inline(never) mutating func appendInterpolation(_ value: String) {
    write(value)
  }

  @inline(never) mutating func appendInterpolation(_ value: Int) {
    write(String(value))
  }

  @inline(never) mutating func appendInterpolation(_ value: UInt64) {
    write(String(value))
  }

  mutating func appendInterpolation(_ value: UInt32) {
    appendInterpolation(UInt64(value))
  }

  mutating func appendInterpolation(_ value: UInt16) {
    appendInterpolation(UInt64(value))
  }

  mutating func appendInterpolation(_ value: UInt8) {
    appendInterpolation(UInt64(value))
  }

  mutating func appendInterpolation(_ value: Int32) {
    appendInterpolation(Int(value))
  }
}

extension String {
  @inline(never) static func + (left: String, right: String) -> String {
    var text = left
    text.append(right)
    return text
  }

  @inline(never) static func += (left: inout String, right: String) {
    left.append(right)
  }
}
