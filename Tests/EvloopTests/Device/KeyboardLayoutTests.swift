// Characters to keys, bytes to characters, and the queue between typing and polling.
import Testing

@testable import usbredir_evloop

struct KeyboardLayoutTests {
  @Test(
    arguments: [
      ("a", 4, 0), ("z", 29, 0), ("A", 4, 2), ("Z", 29, 2), ("1", 30, 0), ("9", 38, 0), ("0", 39, 0),
      ("!", 30, 2),
      (")", 39, 2), ("\n", 40, 0), ("\u{1b}", 41, 0), ("\u{8}", 42, 0), ("\t", 43, 0), (" ", 44, 0),
      ("\\", 49, 0),
      ("~", 53, 2), ("?", 56, 2),
    ] as [(Unicode.Scalar, UInt8, UInt8)])
  func keys(_ character: Unicode.Scalar, _ usage: UInt8, _ modifiers: UInt8) throws {
    #expect(try KeyboardLayout.keyStroke(for: character) == KeyStroke(usage: usage, modifiers: modifiers))
  }

  @Test(
    arguments: [
      ("é", "cannot type 'é' (U+00E9) on a US layout"),
      ("€", "cannot type '€' (U+20AC) on a US layout"),
      ("\u{1F600}", "cannot type '\u{1F600}' (U+1F600) on a US layout"),
      ("\u{7}", "cannot type U+0007 on a US layout"),
      ("\u{7f}", "cannot type U+007F on a US layout"),
      ("\u{9b}", "cannot type U+009B on a US layout"),
    ] as [(Unicode.Scalar, String)])
  func whatHasNoKeyIsNamed(_ character: Unicode.Scalar, _ text: String) {
    let error = #expect(throws: KeyboardTextError.self) { try KeyboardLayout.keyStroke(for: character) }
    #expect(error?.description == text)
  }

  @Test func allOfPrintableASCIIHasAKeyOfItsOwn() throws {
    var seen: Set<Int> = []
    for value in 0x20...0x7e as ClosedRange<UInt8> {
      let key = try KeyboardLayout.keyStroke(for: Unicode.Scalar(value))
      #expect(seen.insert(Int(key.usage) << 8 | Int(key.modifiers)).inserted)
    }
    #expect(seen.count == 95)
  }

  @Test func aTextIsCheckedAsAWhole() {
    #expect(throws: Never.self) { try KeyboardLayout.check("a\r\nb\rc\n\t~") }
    #expect(throws: KeyboardTextError(character: "ü")) { try KeyboardLayout.check("fünf é") }
    #expect(throws: KeyboardTextError(character: "\u{301}")) { try KeyboardLayout.check("e\u{301}") }
  }
}

struct KeyboardReportsTests {
  @Test func downAndUpAreReportsOfTheirOwn() {
    var reports = KeyboardReports()
    #expect(reports.removeFirst() == nil)
    let key = KeyStroke(usage: 4, modifiers: 2)
    reports.type(key)
    reports.type(key)
    #expect(reports.count == 4)
    #expect((0..<4).map { _ in reports.removeFirst() } == [key, .released, key, .released])
    #expect(reports.isEmpty)
  }

  @Test func isBoundedAndGoesRound() {
    var reports = KeyboardReports()
    for round in 0..<5 {
      var typed: UInt8 = 0
      while !reports.isFull {
        reports.type(KeyStroke(usage: typed))
        typed += 1
      }
      #expect(typed == 32)
      for usage in 0..<typed {
        #expect(reports.removeFirst()?.usage == usage, "round \(round)")
        #expect(reports.removeFirst() == .released)
      }
    }
  }
}

struct TextDecoderTests {
  private func decode(_ bytes: [UInt8]) -> String {
    var decoder = TextDecoder()
    var text = String.UnicodeScalarView()
    for byte in bytes {
      var step = decoder.decode(byte)
      if case .malformed(let character) = step {
        text.append(character)
        step = decoder.decode(byte)
      }
      if case .character(let character) = step { text.append(character) }
    }
    if let character = decoder.end() { text.append(character) }
    return String(text)
  }

  @Test(arguments: ["", "plain", "é", "€uro", "\u{1F600}!", "\u{10FFFF}\u{7ff}\u{800}\u{ffff}\u{10000}"])
  func utf8(_ text: String) {
    #expect(decode(Array(text.utf8)) == text)
  }

  @Test(arguments: [
    ("a\nb", "a\nb"), ("a\r\nb", "a\nb"), ("a\rb", "a\nb"), ("\r\r\n\n", "\n\n\n"), ("\n\r", "\n\n"),
    ("\rx\n", "\nx\n"),
    ("\ré\n", "\né\n"),
  ])
  func lineEnds(_ text: String, _ expected: String) {
    #expect(decode(Array(text.utf8)) == expected)
  }

  @Test(
    arguments: [
      ([0xff, 0x41], "\u{fffd}A"), ([0xc3, 0x41], "\u{fffd}A"), ([0xe2, 0x82], "\u{fffd}"),
      ([0x80], "\u{fffd}"),
      ([0xc0, 0x80], "\u{fffd}\u{fffd}"), ([0xed, 0xa0, 0x80], "\u{fffd}"),
      ([0xf4, 0x90, 0x80, 0x80], "\u{fffd}"),
      ([0xe0, 0x80, 0x80], "\u{fffd}"), ([0xc3, 0x0d, 0x0a], "\u{fffd}\n"),
      ([0xe2, 0xc3, 0xa9], "\u{fffd}é"),
      ([0x0d, 0xff, 0x0a], "\n\u{fffd}\n"),
    ] as [([UInt8], String)])
  func whatIsNotUTF8IsReplaced(_ bytes: [UInt8], _ expected: String) {
    #expect(decode(bytes) == expected)
  }
}
