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

  /// Seconds from nanoseconds.
  static func seconds(_ nanoseconds: UInt64) -> ProbeValue { .decimal(nanoseconds / 1000, 6, "s") }
  /// Microseconds from nanoseconds.
  static func microseconds(_ nanoseconds: UInt64) -> ProbeValue { .decimal(nanoseconds, 3, "µs") }
  /// Millions of bytes a second.
  static func throughput(_ bytes: UInt64, in nanoseconds: UInt64) -> ProbeValue {
    .decimal(perSecond(bytes, nanoseconds) / 10_000, 2, "MB/s")
  }
}

/// One line of a result, or one object.
struct ProbeResult: Equatable {
  typealias Field = (key: String, value: ProbeValue)

  /// What it is about: `read`, `control`.
  var event: String
  /// For the lines of a tree, which do not begin with the event: the indentation.
  var depth: Int?
  /// The first says of what, and has no label in the text.
  var fields: [Field]

  static func == (left: ProbeResult, right: ProbeResult) -> Bool {
    left.event == right.event && left.depth == right.depth && left.fields.count == right.fields.count
      && zip(left.fields, right.fields).allSatisfy { $0.0 == $1.0 && $0.1 == $1.1 }
  }

  /// `read 0x82: success, bytes 4096, …`
  var text: String {
    var parts: [String] = []
    var dump = ""
    for field in fields.dropFirst() {
      let label = field.key.split(at: "_").joined(separator: " ")
      switch field.value {
      case .none: break
      case .text(let text): parts.append((label == "status" ? "" : label + " ") + printable(text))
      case .number(let number): parts.append(label + " " + String(number))
      case .decimal(let value, let places, let unit):
        parts.append(label + " " + fixedText(value, places) + " " + unit)
      case .data(let bytes): dump = dumpText(bytes)
      }
    }
    var head = depth == nil ? event + " " : String(repeating: " ", count: 2 * (depth ?? 0))
    switch fields.first?.value {
    case .text(let subject): head += printable(subject)
    case .number(let number): head += String(number)
    default: break
    }
    return head + ": " + parts.joined(separator: ", ") + dump + "\n"
  }

  /// Members of an object.
  var members: [(String, String)] {
    [("event", jsonString(event))]
      + fields.map { field in
        switch field.value {
        case .none: (field.key, "null")
        case .text(let text): (field.key, jsonString(text))
        case .number(let number): (field.key, String(number))
        case .decimal(let value, let places, _): (field.key, fixedText(value, places))
        case .data(let bytes): (field.key, jsonString(Hex.text(bytes.span)))
        }
      }
  }

  /// Bytes in the line when they are few, else sixteen to a line behind their offset.
  private func dumpText(_ bytes: [UInt8]) -> String {
    var text = ""
    for (index, byte) in bytes.enumerated() {
      if bytes.count > 16, index % 16 == 0 { text += "\n  " + Hex.text(UInt32(index), digits: 4) + " " }
      text += (index == 0 && bytes.count <= 16 ? ", " : " ") + Hex.text(UInt32(byte), digits: 2)
    }
    return text
  }
}

/// How often a second, for what happened `count` times.
func perSecond(_ count: UInt64, _ nanoseconds: UInt64) -> UInt64 {
  // Microseconds keep 2⁴⁴ of whatever is counted from overflowing.
  count * 1_000_000 / max(1, nanoseconds / 1000)
}

/// A number of the smallest decimal, with its point: 12345 and 2 are `123.45`.
func fixedText(_ value: UInt64, _ places: Int) -> String {
  var scale: UInt64 = 1
  for _ in 0..<places { scale *= 10 }
  let fraction = String(value % scale)
  return String(value / scale) + "." + String(repeating: "0", count: places - fraction.utf8.count) + fraction
}
