// What a tablet or a mouse is told to do, one command a line; `#` begins a comment.
//
//     move X Y           tablet: to this place, each 0…32767 or a percentage, as in 50% or 33.3%
//                        mouse: so far, each -32767…32767, to the right and down
//     press [BUTTON]     left (when it is left out), right or middle
//     release [BUTTON]
//     click [BUTTON]     press and release
//     double [BUTTON]    two clicks
//     wheel N            notches, -32767…32767; up, away from the user, is positive
//     wait MS            milliseconds until the next command
//
// A click holds the button for a moment and waits for as long behind it: what changes quicker a desktop takes
// for the bouncing of a worn-out button.

/// One step of a pointer: a report, a few of them for a long way, or a wait.
enum PointerStep: Equatable {
  /// The tablet is here, 0…32767.
  case place(x: UInt16, y: UInt16)
  /// The mouse, or the wheel of either, has gone so far.
  case shift(x: Int32, y: Int32, wheel: Int32)
  /// Bit 0 is the left button, then right and middle, as in a report.
  case press(UInt8)
  case release(UInt8)
  /// Milliseconds.
  case wait(UInt32)

  /// How long a click holds the button, and waits behind that, milliseconds.
  private static let hold: UInt32 = 40

  /// The steps of a line; none for an empty one or a comment.
  /// - Parameter number: the line's number, for the error.
  static func parse(
    _ line: String, number: Int, for kind: PointerKind
  ) throws(ScriptError) -> [PointerStep] {
    var words = ScriptWords(line, number: number)
    guard let name = words.next() else { return [] }
    let steps = try parse(name, &words, kind)
    try words.end()
    return steps
  }

  /// The steps of several commands with semicolons or newlines between them.
  static func parse(commands: String, for kind: PointerKind) throws(ScriptError) -> [PointerStep] {
    var steps: [PointerStep] = []
    for command in commands.split(at: ";", "\n") { steps += try parse(command, number: 1, for: kind) }
    return steps
  }

  private static func parse(
    _ name: String, _ words: inout ScriptWords, _ kind: PointerKind
  ) throws(ScriptError) -> [PointerStep] {
    switch name {
    case "move":
      guard kind == .tablet else {
        return [.shift(x: try words.distance("X"), y: try words.distance("Y"), wheel: 0)]
      }
      return [.place(x: try words.place("X"), y: try words.place("Y"))]
    case "press": return [.press(try words.button())]
    case "release": return [.release(try words.button())]
    case "click": return click(try words.button())
    case "double":
      let once = click(try words.button())
      return once + once
    case "wheel": return [.shift(x: 0, y: 0, wheel: try words.distance("number of notches"))]
    case "wait": return [.wait(try words.milliseconds())]
    default:
      throw words.error("unknown command '\(name)': use move, press, release, click, double, wheel or wait")
    }
  }

  private static func click(_ button: UInt8) -> [PointerStep] {
    [.press(button), .wait(hold), .release(button), .wait(hold)]
  }
}

/// What the words of a pointer's commands mean.
extension ScriptWords {
  fileprivate mutating func button() throws(ScriptError) -> UInt8 {
    guard let word = next() else { return 1 }
    switch word {
    case "left": return 1
    case "right": return 2
    case "middle": return 4
    default: throw error("'\(word)' is no button: use left, right or middle")
    }
  }

  fileprivate mutating func distance(_ what: String) throws(ScriptError) -> Int32 {
    let word = try next(what)
    let isBack = word.hasPrefix("-")
    let digits = isBack || word.hasPrefix("+") ? word.dropFirst(1) : word
    guard let size = digits.number(atMost: PointerKind.maxPlace) else {
      throw error("'\(word)' is no \(what): use -32767 to 32767")
    }
    return isBack ? -Int32(size) : Int32(size)
  }

  fileprivate mutating func place(_ axis: String) throws(ScriptError) -> UInt16 {
    let word = try next(axis)
    guard let place = percentage(word) ?? word.number(atMost: PointerKind.maxPlace) else {
      throw error("'\(word)' is no \(axis): use 0 to 32767, or 0% to 100%")
    }
    return UInt16(place)
  }

  /// The place that a percentage with up to two decimals means, rounded.
  private func percentage(_ word: String) -> UInt32? {
    guard word.hasSuffix("%") else { return nil }
    let parts = word.dropLast(1).split(at: ".")
    guard parts.count <= 2, var hundredths = parts[0].number(atMost: 100) else { return nil }
    hundredths *= 100
    if parts.count == 2 {
      guard parts[1].utf8.count <= 2, let decimals = parts[1].number() else { return nil }
      hundredths += parts[1].utf8.count == 1 ? decimals * 10 : decimals
    }
    guard hundredths <= 10_000 else { return nil }
    return (hundredths * PointerKind.maxPlace + 5_000) / 10_000
  }
}
