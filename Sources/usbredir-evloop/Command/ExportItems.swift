// The text of one export, taken apart: `key=value,key=value`, each key known and given once. What the keys
// mean is `ExportParser`'s business.

/// Every key of an export, in the order in which the help lists them.
let exportKeys = [
  "id", "serial", "nth", "port", "address", "fd", "virtual", "text", "input", "delay", "events",
  "answer-first", "image", "ro", "cdrom", "script", "listen", "connect", "reconnect", "takeover", "name",
  "interrupt-depth", "max-transfer", "max-requests", "max-request-bytes", "hello-timeout", "keepalive",
  "user-timeout", "window-probes",
]

/// The items of one export. Readers take out what they understand; what is left did not belong.
struct ExportItems {
  private struct Item {
    let key: String
    /// nil for a key that stood alone.
    let value: String?
  }

  private var items: [Item] = []

  init(_ text: String) throws(OptionsError) {
    for (index, part) in try splitItems(text).enumerated() {
      let item = Self.item(part, isFirst: index == 0)
      guard exportKeys.contains(item.key) else {
        throw OptionsError("unknown key '" + item.key + "'" + suggestion(for: item.key, among: exportKeys))
      }
      guard !has(item.key) else { throw OptionsError("'" + item.key + "' is given twice") }
      items.append(item)
    }
  }

  /// A plain VID:PID may open the list.
  private static func item(_ part: String, isFirst: Bool) -> Item {
    if let (key, value) = part.cut(at: "=") { return Item(key: key, value: value) }
    let isID = isFirst && part.cut(at: ":") != nil
    return isID ? Item(key: "id", value: part) : Item(key: part, value: nil)
  }

  func has(_ key: String) -> Bool {
    items.contains { $0.key == key }
  }

  /// A key that nobody took.
  var firstKey: String? { items.first?.key }

  /// Takes a key that must have a value; nil if it was not given.
  mutating func take(_ key: String) throws(OptionsError) -> String? {
    guard has(key) else { return nil }
    guard let value = remove(key), !value.isEmpty else { throw OptionsError("'" + key + "' needs a value") }
    return value
  }

  /// Takes a key and reads its value; an error names the key.
  mutating func take<Value>(
    _ key: String, _ parse: (String) throws(OptionsError) -> Value
  ) throws(OptionsError) -> Value? {
    guard let text = try take(key) else { return nil }
    do throws(OptionsError) {
      return try parse(text)
    } catch {
      throw OptionsError(key + ": " + error.description)
    }
  }

  /// Takes `key`, `key=on` or `key=off`; false if it was not given.
  mutating func takeSwitch(_ key: String) throws(OptionsError) -> Bool {
    guard has(key) else { return false }
    switch remove(key) {
    case nil, "on": return true
    case "off": return false
    default: throw OptionsError(key + ": say 'on' or 'off'")
    }
  }

  private mutating func remove(_ key: String) -> String? {
    guard let index = items.firstIndex(where: { $0.key == key }) else { return nil }
    return items.remove(at: index).value
  }
}

/// Splits at commas. In a value `\,` is a comma, `\\` a backslash, `\n` a new line (Enter) and `\t` a tab.
private func splitItems(_ text: String) throws(OptionsError) -> [String] {
  var items: [String] = []
  var item = ""
  var isEscaped = false
  for character in text.unicodeScalars {
    if isEscaped {
      item.unicodeScalars.append(try unescaped(character))
      isEscaped = false
    } else if character == "\\" {
      isEscaped = true
    } else if character == "," {
      items.append(item)
      item = ""
    } else {
      item.unicodeScalars.append(character)
    }
  }
  guard !isEscaped else { throw OptionsError("ends in a lone backslash; write \\\\ for one") }
  items.append(item)
  guard !items.contains("") else { throw OptionsError("has an empty item; write \\, for a comma in a value") }
  return items
}

private func unescaped(_ character: UnicodeScalar) throws(OptionsError) -> UnicodeScalar {
  switch character {
  case ",", "\\": return character
  case "n": return "\n"
  case "t": return "\t"
  default: throw OptionsError("'\\" + String(character) + "' is no escape; write \\\\ for a backslash")
  }
}
