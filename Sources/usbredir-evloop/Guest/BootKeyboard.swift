// Boot keyboard reports → keys that went down and up. HID 1.11, appendix B.1: a byte of modifiers, a reserved
// one, six keys.

/// What changed between two reports of a keyboard.
struct KeyChanges: Equatable {
  /// A key that went down, and the character it types with the modifiers that are held.
  struct Press: Equatable {
    var key: String
    var character: Unicode.Scalar?
  }

  var pressed: [Press] = []
  var released: [String] = []
  /// More keys are down than the keyboard can tell apart (usage 1 in all places): nothing is known of them.
  var isRollover = false

  var isEmpty: Bool { pressed.isEmpty && released.isEmpty && !isRollover }
}

/// One keyboard, its last report remembered.
struct BootKeyboard {
  static let reportSize = 8
  /// Usages 1…3 are no keys but errors. HID Usage Tables, page 7.
  private static let firstKey: UInt8 = 4
  private static let rollover: UInt8 = 1
  private static let modifierNames = [
    "left-control", "left-shift", "left-alt", "left-gui", "right-control", "right-shift", "right-alt",
    "right-gui",
  ]

  private var modifiers: UInt8 = 0
  private var keys: [UInt8] = []

  /// Takes the next report; nil when it is none of a boot keyboard.
  mutating func changes(_ report: Span<UInt8>) -> KeyChanges? {
    guard report.count == BootKeyboard.reportSize else { return nil }
    var changes = KeyChanges()
    modifiersChanged(to: report[0], &changes)
    if report[2] == BootKeyboard.rollover {
      changes.isRollover = true
      return changes
    }
    var down: [UInt8] = []
    for index in 2..<BootKeyboard.reportSize {
      let usage = report[index]
      if usage >= BootKeyboard.firstKey, !down.contains(usage) { down.append(usage) }
    }
    for usage in down where !keys.contains(usage) {
      let character = KeyboardLayout.character(of: KeyStroke(usage: usage, modifiers: modifiers))
      changes.pressed.append(KeyChanges.Press(key: keyName(usage), character: character))
    }
    for usage in keys where !down.contains(usage) { changes.released.append(keyName(usage)) }
    keys = down
    return changes
  }

  private mutating func modifiersChanged(to now: UInt8, _ changes: inout KeyChanges) {
    for (bit, name) in BootKeyboard.modifierNames.enumerated() {
      let mask: UInt8 = 1 << UInt8(bit)
      if now & mask != 0, modifiers & mask == 0 { changes.pressed.append(KeyChanges.Press(key: name)) }
      if now & mask == 0, modifiers & mask != 0 { changes.released.append(name) }
    }
    modifiers = now
  }
}

/// The key with this usage of HID Usage Tables, page 7, by what stands on a US keyboard.
func keyName(_ usage: UInt8) -> String {
  switch usage {
  case 40: return "enter"
  case 41: return "escape"
  case 42: return "backspace"
  case 43: return "tab"
  case 44: return "space"
  case 57: return "caps-lock"
  case 58...69: return "f" + String(usage - 57)
  case 70...83: return navigationKeys[Int(usage) - 70]
  case 84...99: return "keypad-" + keypadKeys[Int(usage) - 84]
  case 100: return "non-us-backslash"
  case 101: return "application"
  case 104...115: return "f" + String(usage - 91)
  default: break
  }
  if let character = KeyboardLayout.character(of: KeyStroke(usage: usage)) {
    return String(character)
  }
  return "usage-0x" + Hex.text(UInt32(usage), digits: 2)
}

private let navigationKeys = [
  "print-screen", "scroll-lock", "pause", "insert", "home", "page-up", "delete", "end", "page-down", "right",
  "left",
  "down", "up", "num-lock",
]

private let keypadKeys = ["/", "*", "-", "+", "enter", "1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "."]
