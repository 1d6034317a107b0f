// The words of one line of a script, whatever device it is for: `#` begins a comment, blanks part words.

/// What is wrong with a line of a script.
struct ScriptError: Error, Equatable, CustomStringConvertible {
  let line: Int
  let reason: String

  var description: String { "line \(line): \(reason)" }
}

/// The words of a line, taken from the front.
struct ScriptWords {
  private var words: [String]
  private let line: Int

  /// - Parameter number: the line's number, for errors.
  init(_ line: String, number: Int) {
    words = line.split(at: "#")[0].split(at: " ", "\t", "\r").filter { !$0.isEmpty }
    self.line = number
  }

  func error(_ reason: String) -> ScriptError {
    ScriptError(line: line, reason: reason)
  }

  /// The next word, left where it is.
  var first: String? { words.first }

  mutating func next() -> String? {
    words.isEmpty ? nil : words.removeFirst()
  }

  /// The next word, which has to be there.
  mutating func next(_ what: String) throws(ScriptError) -> String {
    guard let word = next() else { throw error("\(what) is missing") }
    return word
  }

  mutating func skip(_ word: String) -> Bool {
    guard let first = words.first, first == word else { return false }
    words.removeFirst()
    return true
  }

  /// Throws when there are words left.
  func end() throws(ScriptError) {
    if let extra = words.first { throw error("nothing may follow, but '\(extra)' does") }
  }

  mutating func number(
    _ what: String, radix: UInt8 = 16, atMost limit: UInt32
  ) throws(ScriptError) -> UInt32 {
    let word = try next(what)
    guard let value = word.number(radix: radix, atMost: limit) else { throw error("'\(word)' is no \(what)") }
    return value
  }

  mutating func milliseconds() throws(ScriptError) -> UInt32 {
    try number("time in milliseconds", radix: 10, atMost: .max)
  }
}
