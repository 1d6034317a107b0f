// JSON text for what is printed with `--json`. Strings of devices and peers are not to be trusted with quotes,
// control characters or terminals.

/// `text` as a JSON string with its quotes. RFC 8259, section 7. DEL and C1 are escaped too, for terminals.
func jsonString(_ text: String) -> String {
  var json = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": json += "\\\""
    case "\\": json += "\\\\"
    case "\n": json += "\\n"
    case "\t": json += "\\t"
    case _ where isControl(scalar): json += "\\u" + Hex.text(scalar.value, digits: 4)
    default: json.unicodeScalars.append(scalar)
    }
  }
  return json + "\""
}

/// An object of members whose values are JSON already, in their order.
func jsonObject(_ members: [(String, String)]) -> String {
  "{" + members.map { jsonString($0.0) + ": " + $0.1 }.joined(separator: ", ") + "}"
}

/// `text` with a `?` for each control character: what may go to a terminal.
func printable(_ text: String) -> String {
  var clean = ""
  for scalar in text.unicodeScalars { clean.unicodeScalars.append(isControl(scalar) ? "?" : scalar) }
  return clean
}

/// C0, DEL and C1.
private func isControl(_ scalar: UnicodeScalar) -> Bool {
  scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
}
