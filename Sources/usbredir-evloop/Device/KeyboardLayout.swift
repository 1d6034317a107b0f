// Which keys make a character on a US keyboard. HID Usage Tables, page 7 (Keyboard/Keypad).

/// A key with the modifiers that are held while it goes down; usage 0 means that no key is down.
struct KeyStroke: Equatable {
  var usage: UInt8
  /// One bit each, from the lowest: left control, shift, alt, GUI, then the right ones.
  var modifiers: UInt8 = 0

  static let leftShift: UInt8 = 0x02
  static let released = KeyStroke(usage: 0)
}

/// A character that has no key: `cannot type 'é' (U+00E9) on a US layout`.
struct KeyboardTextError: Error, Equatable, CustomStringConvertible {
  let character: Unicode.Scalar

  var description: String {
    let digits = Hex.text(character.value, digits: 4, uppercase: true)
    // A control character would do something to the terminal instead of being seen.
    let isControl = character.value < 0x20 || (0x7f...0x9f).contains(character.value)
    let name = isControl ? "U+\(digits)" : "'\(String(character))' (U+\(digits))"
    return "cannot type \(name) on a US layout"
  }
}

/// The US layout: printable ASCII, Enter (newline), Tab, Backspace (8) and Escape (27).
enum KeyboardLayout {
  /// Keys beside letters and digits: the usage, and what it types without and with shift.
  private static let others: [(usage: UInt8, plain: Unicode.Scalar, shifted: Unicode.Scalar)] = [
    (45, "-", "_"), (46, "=", "+"), (47, "[", "{"), (48, "]", "}"), (49, "\\", "|"), (51, ";", ":"),
    (52, "'", "\""), (53, "`", "~"), (54, ",", "<"), (55, ".", ">"), (56, "/", "?"),
    (30, "1", "!"), (31, "2", "@"), (32, "3", "#"), (33, "4", "$"), (34, "5", "%"),
    (35, "6", "^"), (36, "7", "&"), (37, "8", "*"), (38, "9", "("), (39, "0", ")"),
  ]

  static func keyStroke(for character: Unicode.Scalar) throws(KeyboardTextError) -> KeyStroke {
    switch character {
    case "a"..."z": return KeyStroke(usage: UInt8(character.value - 97 + 4))
    case "A"..."Z":
      return KeyStroke(usage: UInt8(character.value - 65 + 4), modifiers: KeyStroke.leftShift)
    case "\n": return KeyStroke(usage: 40)
    case "\u{1b}": return KeyStroke(usage: 41)
    case "\u{8}": return KeyStroke(usage: 42)
    case "\t": return KeyStroke(usage: 43)
    case " ": return KeyStroke(usage: 44)
    default: break
    }
    for key in others {
      if key.plain == character { return KeyStroke(usage: key.usage) }
      if key.shifted == character { return KeyStroke(usage: key.usage, modifiers: KeyStroke.leftShift) }
    }
    throw KeyboardTextError(character: character)
  }

  /// What the key types, the other way round: nil for a key that types nothing, Escape and Backspace among
  /// them, and with any modifier but shift.
  static func character(of key: KeyStroke) -> Unicode.Scalar? {
    let rightShift = KeyStroke.leftShift << 4
    guard key.modifiers & ~(KeyStroke.leftShift | rightShift) == 0 else { return nil }
    let isShifted = key.modifiers != 0
    switch key.usage {
    case 4...29: return Unicode.Scalar((isShifted ? 65 : 97) + key.usage - 4)
    case 40: return "\n"
    case 43: return "\t"
    case 44: return " "
    default: return others.first { $0.usage == key.usage }.map { isShifted ? $0.shifted : $0.plain }
    }
  }

  /// Throws for the first character of `text` that cannot be typed.
  static func check(_ text: String) throws(KeyboardTextError) {
    // A carriage return is an Enter, alone and before a newline.
    for character in text.unicodeScalars where character != "\r" {
      _ = try keyStroke(for: character)
    }
  }
}
