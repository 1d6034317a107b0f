// getopt_long(3) behind plain values: a table of options in, options and operands in their order out.
import CPosix

/// One option of a command.
struct OptionSpec {
  enum Value {
    case none
    case required
  }

  /// Without the dashes. Static, because getopt_long keeps pointers to the names.
  let name: StaticString
  /// The one-letter form.
  let letter: Unicode.Scalar?
  let value: Value

  init(_ name: StaticString, _ letter: Unicode.Scalar? = nil, _ value: Value = .none) {
    self.name = name
    self.letter = letter
    self.value = value
  }

  var text: String { name.description }
}

/// A command line taken apart. Operands may stand anywhere among the options; `--` ends the options.
struct Arguments {
  /// An option that was given; `value` is empty for one that takes none.
  struct Option: Equatable {
    let name: String
    let value: String
  }

  private(set) var options: [Option] = []
  private(set) var operands: [String] = []

  /// Reads `arguments`, the words behind the command's name.
  init(_ arguments: [String], _ specs: [OptionSpec]) throws(OptionsError) {
    let words = CWords(["-"] + arguments)
    let letters = optionLetters(specs)
    let table = unsafe optionTable(specs)
    posixResetGetopt()
    while true {
      var index: Int32 = -1
      let found = unsafe getopt_long(Int32(words.count), words.pointers, letters, table, &index)
      if found == -1 { break }
      guard let spec = Self.spec(found, index, specs) else { throw Self.error(found, words, specs) }
      let value = unsafe posixOptarg().map { unsafe String(cString: $0) }
      options.append(Option(name: spec.text, value: value ?? ""))
    }
    operands = (min(Int(posixOptind()), words.count)..<words.count).map { words[$0] }
  }

  func has(_ name: String) -> Bool {
    options.contains { $0.name == name }
  }

  /// The value of the last option of that name.
  func value(_ name: String) -> String? {
    options.last { $0.name == name }?.value
  }

  private static func spec(_ found: Int32, _ index: Int32, _ specs: [OptionSpec]) -> OptionSpec? {
    if found == 0, index >= 0 { return specs[Int(index)] }
    return specs.first { letterValue($0.letter) == found && found != 0 }
  }

  private static func error(_ found: Int32, _ words: borrowing CWords, _ specs: [OptionSpec]) -> OptionsError
  {
    // A letter is in optopt; for a long option the word just passed has to tell.
    let letter = UInt8(truncatingIfNeeded: posixOptopt())
    let isLetter = posixOptopt() > 0
    let word = isLetter ? "-" + String(UnicodeScalar(letter)) : words[Int(posixOptind()) - 1]
    if found == Int32(UInt8(ascii: ":")) { return OptionsError("option '" + word + "' needs a value") }
    let name = word.dropFirst(word.hasPrefix("--") ? 2 : 1).split(at: "=")[0]
    if let spec = specs.first(where: { $0.text == name }), spec.value == .none {
      return OptionsError("option '--" + name + "' takes no value")
    }
    let names = specs.map { $0.text }
    let given = isLetter ? word : "--" + name
    return OptionsError("unknown option '" + given + "'" + suggestion(for: name, among: names))
  }
}

private func letterValue(_ letter: Unicode.Scalar?) -> Int32 {
  Int32(letter?.value ?? 0)
}

/// The string of letters: a leading `:` tells a missing value from an unknown option.
private func optionLetters(_ specs: [OptionSpec]) -> String {
  var letters = ":"
  for spec in specs {
    guard let letter = spec.letter else { continue }
    letters += String(letter)
    if spec.value == .required { letters += ":" }
  }
  return letters
}

private func optionTable(_ specs: [OptionSpec]) -> [option] {
  var table: [option] = unsafe []
  for spec in specs {
    let name = unsafe UnsafeRawPointer(spec.name.utf8Start).assumingMemoryBound(to: CChar.self)
    unsafe table.append(option(name: name, has_arg: spec.value == .none ? 0 : 1, flag: nil, val: 0))
  }
  unsafe table.append(option())
  return unsafe table
}

/// Words as C has them: getopt_long permutes the pointers, so they live in memory of their own.
@safe private struct CWords: ~Copyable {
  let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  let count: Int

  init(_ words: [String]) {
    count = words.count
    unsafe pointers = .allocate(capacity: count + 1)
    for (index, word) in words.enumerated() { unsafe (pointers + index).initialize(to: strdup(word)) }
    unsafe (pointers + count).initialize(to: nil)
  }

  deinit {
    for index in 0..<count { unsafe free(pointers[index]) }
    unsafe pointers.deallocate()
  }

  subscript(_ index: Int) -> String {
    guard index < count, let pointer = unsafe pointers[index] else { return "" }
    return unsafe String(cString: pointer)
  }
}
