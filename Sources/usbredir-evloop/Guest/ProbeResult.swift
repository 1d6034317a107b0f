// What came of a task, as a short table: each kind of task only says which values it has, and one piece of code
// writes them all, for people and for programs.

/// A value of a result.
enum ProbeValue: Equatable {
  case none
  case text(String)
  case number(UInt64)
  /// A number with so many decimals, and its unit; programs know that from the documentation.
  case decimal(UInt64, Int, String)
  case data([UInt8])

  /// More bytes than one line shows well.
  fileprivate var isDump: Bool {
    if case .data(let bytes) = self { bytes.count > 16 } else { false }
  }
}

/// One line of a result, or one object.
struct ProbeResult: Equatable {
  struct Field: Equatable {
    var key: String
    var value: ProbeValue
  }

  /// What it is about: `read`, `control`.
  var event: String
  /// For the lines of a tree, which do not begin with the event: the indentation.
  var depth: Int?
  /// The first says of what, and has no label in the text.
  private(set) var fields: [Field]

  /// `key` and `subject` are the first field.
  init(_ event: String, _ key: String, _ subject: String, depth: Int? = nil) {
    self.event = event
    self.depth = depth
    fields = [Field(key: key, value: .text(subject))]
  }

  // Out of line: a result is mostly these calls.
  @inline(never) mutating func add(_ key: String, _ value: ProbeValue) {
    fields.append(Field(key: key, value: value))
  }

  @inline(never) mutating func add(_ key: String, _ number: UInt64) { add(key, .number(number)) }

  @inline(never) mutating func add(_ key: String, text: String?) { add(key, text.map { .text($0) } ?? .none) }

  /// Seconds from nanoseconds.
  @inline(never) mutating func add(_ key: String, seconds nanoseconds: UInt64) {
    add(key, .decimal(nanoseconds / 1000, 6, "s"))
  }

  /// Microseconds from nanoseconds.
  @inline(never) mutating func add(_ key: String, microseconds nanoseconds: UInt64) {
    add(key, .decimal(nanoseconds, 3, "µs"))
  }

  /// `read 0x82: success, bytes 4096, …`
  var text: String {
    var text = depth == nil ? event + " " : String(repeating: " ", count: 2 * (depth ?? 0))
    for (index, field) in fields.enumerated() {
      if case .none = field.value { continue }
      text += index == 0 ? "" : index == 1 ? ": " : ", "
      if index > 0, field.key != "status" {
        text += field.key.split(at: "_").joined(separator: " ")
        text += field.value.isDump ? "" : " "
      }
      switch field.value {
      case .none: break
      case .text(let value): text += printable(value)
      case .number(let value): text += String(value)
      case .decimal(let value, let places, let unit): text += fixedText(value, places) + " " + unit
      case .data(let bytes): text += dumpText(bytes)
      }
    }
    return text + "\n"
  }

  /// Members of an object.
  var members: [(String, String)] {
    [("event", jsonString(event))] + fields.map { ($0.key, ProbeResult.json($0.value)) }
  }

  private static func json(_ value: ProbeValue) -> String {
    switch value {
    case .none: "null"
    case .text(let text): jsonString(text)
    case .number(let number): String(number)
    case .decimal(let value, let places, _): fixedText(value, places)
    case .data(let bytes): jsonString(Hex.text(bytes.span))
    }
  }

  /// Bytes in the line when they are few, else sixteen to a line behind their offset.
  private func dumpText(_ bytes: [UInt8]) -> String {
    var text = ""
    for (index, byte) in bytes.enumerated() {
      if bytes.count > 16, index % 16 == 0 { text += "\n  " + Hex.text(UInt32(index), digits: 4) + " " }
      text += (index == 0 && bytes.count <= 16 ? "" : " ") + Hex.text(UInt32(byte), digits: 2)
    }
    return text
  }
}

/// How often a second, for what happened `count` times.
func perSecond(_ count: UInt64, _ nanoseconds: UInt64) -> UInt64 {
  // Microseconds are exact enough for anything, and keep 2⁴⁴ of whatever is counted from overflowing; of more, which
  // took hours, seconds do.
  guard count >> 44 == 0 else { return count / max(1, nanoseconds / 1_000_000_000) }
  return count * 1_000_000 / max(1, nanoseconds / 1000)
}

/// A number of the smallest of `places` decimals, 1 or more, with its point: 12345 and 2 are `123.45`.
func fixedText(_ value: UInt64, _ places: Int) -> String {
  var scale: UInt64 = 1
  for _ in 0..<places { scale *= 10 }
  let fraction = String(value % scale)
  return String(value / scale) + "." + String(repeating: "0", count: places - fraction.utf8.count) + fraction
}
