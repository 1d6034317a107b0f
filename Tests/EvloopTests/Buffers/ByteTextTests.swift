// Text by its bytes, and the one sort.
import Testing

@testable import usbredir_evloop

struct ByteTextTests {
  @Test func equalityIsOfBytes() {
    let (composed, decomposed) = ("\u{e9}", "e\u{301}")
    #expect(areEqual("é", composed))
    #expect(!areEqual(composed, decomposed))
    #expect(!areEqual("a", "ab") && !areEqual("ab", "a") && areEqual("", ""))
    #expect([composed].firstIndex(of: composed) == 0)
  }

  // `#expect` itself compares generically, by the standard library's own equality.
  private func areEqual(_ left: String, _ right: String) -> Bool {
    switch left {
    case right: left == right && !(left != right)
    default: left == right || !(left != right)
    }
  }

  @Test(arguments: [
    ("", [""]), (":", ["", ""]), ("a:b", ["a", "b"]), (":a::", ["", "a", "", ""]), ("é:ü", ["é", "ü"]),
  ])
  func splits(_ text: String, _ pieces: [String]) {
    #expect(text.split(at: ":") as [String] == pieces)
  }

  @Test func cutsAtTheFirst() {
    #expect("a=b=c".cut(at: "=")! == ("a", "b=c"))
    #expect("=".cut(at: "=")! == ("", ""))
    #expect("a".cut(at: "=") == nil)
  }

  @Test func ends() {
    #expect("unix:/ü".hasPrefix("unix:") && !"uni".hasPrefix("unix") && "a".hasPrefix(""))
    #expect("1:0".hasSuffix(":0") && !"0".hasSuffix(":0") && "a".hasSuffix(""))
    #expect("unix:é".dropFirst(5) as String == "é")
    #expect("ab".dropFirst(3) as String == "" && "ab".dropFirst(-1) as String == "ab")
    #expect("4K".dropLast(1) as String == "4" && "a".dropLast(2) as String == "")
  }

  @Test(arguments: [
    ("0", 10, UInt32.max, UInt32(0)), ("0042", 10, .max, 42), ("4294967295", 10, .max, .max),
    ("fF", 16, 255, 255),
    ("", 10, .max, nil), ("+1", 10, .max, nil), ("-1", 10, .max, nil), (" 1", 10, .max, nil),
    ("1a", 10, .max, nil),
    ("4294967296", 10, .max, nil), ("100", 16, 255, nil), ("99999999999999999999999", 10, .max, nil),
  ])
  func numbers(_ text: String, _ radix: UInt8, _ limit: UInt32, _ number: UInt32?) {
    #expect(text.number(radix: radix, atMost: limit) == number)
  }

  @Test func columns() {
    #expect("".width == 0 && "ab".width == 2 && "é☃😀".width == 3)
  }

  @Test func joins() {
    #expect(["a", "", "b"].joined(separator: ", ") == "a, , b")
    #expect([String]().joined(separator: ",") == "")
  }

  @Test func sortsByKeyAndKeepsEquals() {
    let sorted = [("c", 2), ("a", 1), ("d", 2), ("b", 1)].sorted(byKey: { UInt64($0.1) })
    #expect(sorted.map { $0.0 } == ["a", "b", "c", "d"])
  }
}
