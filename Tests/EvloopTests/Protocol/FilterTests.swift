// The filter's grammar and verdicts, the oddities of the C library's among them. The interop tests hold the
// same against the library itself; here stands what they mean.
import Testing

@testable import usbredir_evloop

struct FilterTests {
  private func filter(_ text: String, separator: UInt8 = UInt8(ascii: ",")) throws(FilterError) -> Filter {
    let bytes = Array(text.utf8)
    return try Filter(parsing: bytes.span, separator: separator)
  }

  @Test func readsRules() throws {
    let rules = try filter("0x03,0x046d,-1,-1,1|-1,-1,-1,-1,0").rules
    #expect(
      rules == [
        FilterRule(deviceClass: 3, vendor: 0x046d, product: nil, deviceVersion: nil, allow: true),
        FilterRule(deviceClass: nil, vendor: nil, product: nil, deviceVersion: nil, allow: false),
      ])
    #expect(try filter("0x03:0x046d:-1:-1:1", separator: UInt8(ascii: ":")).rules == [rules[0]])
  }

  static let numbers: [(String, UInt16?)] = [
    ("10", 10), ("010", 8), ("0x10", 16), ("0X1f", 31), ("+7", 7), (" \t5", 5), ("0", 0), ("00", 0),
    ("-0", 0),
    ("65535", 65535), ("-1", nil), ("0177777", 65535), ("0xFFFF", 65535),
    // Kept in 32 bits: these wrap around to -1, "any", and to 1.
    ("4294967295", nil), ("99999999999999999999", nil), ("4294967297", 1), ("-99999999999999999999", 0),
  ]

  @Test(arguments: numbers)
  func readsNumbersAsStrtolDoes(text: String, value: UInt16?) throws {
    #expect(try filter("-1,\(text),-1,-1,1").rules.map(\.vendor) == [value])
  }

  @Test(arguments: ["1", "-1", "2", "0x80", "4294967295"])
  func anythingButZeroAllows(text: String) throws {
    #expect(try filter("-1,-1,-1,-1,\(text)").rules.map(\.allow) == [true])
  }

  @Test(arguments: ["0", "00", "0x0", "4294967296"])
  func zeroDenies(text: String) throws {
    #expect(try filter("-1,-1,-1,-1,\(text)").rules.map(\.allow) == [false])
  }

  /// As strtok: separators in a row are one; a NUL ends it all.
  @Test func emptyTokensCollapse() throws {
    let rule = try filter("3,1,2,4,1").rules
    for text in ["||3,1,2,4,1||", ",3,,1,2,,,4,1,", "3,1,2,4,1|\0garbage"] {
      #expect(try filter(text).rules == rule)
    }
    #expect(try filter("").rules == [])
    #expect(try filter("|||").rules == [])
  }

  static let wrong: [(String, Int)] = [
    ("3,1,2,4", 1), ("3,1,2,4,1,5", 1), ("256,1,2,4,1", 1), ("-2,1,2,4,1", 1), ("3,65536,2,4,1", 1),
    ("3,1,2,4,yes", 1), ("3,1,2,4,1x", 1), ("3,1,2,4,1 ", 1), ("0x,1,2,4,1", 1), ("08,1,2,4,1", 1),
    ("-,1,2,4,1", 1),
    (" ,1,2,4,1", 1), (",,,", 1), ("3,1,2,4,1|3,1,2,4,1|bad", 3), ("0b1,1,2,4,1", 1), ("- 1,1,2,4,1", 1),
  ]

  @Test(arguments: wrong)
  func refusesTheWhole(text: String, rule: Int) {
    #expect(throws: FilterError(rule: rule)) { try filter(text) }
  }

  @Test func writesWhatItReads() throws {
    let text = "0x03,0x046d,-1,0x0100,1|-1,-1,0xc31c,-1,0"
    #expect(try filter(text).description == text)
  }

  private func device(
    _ deviceClass: UInt8, _ interfaces: [(UInt8, UInt8, UInt8)], vendor: UInt16 = 0x046d
  ) -> FilteredDevice {
    FilteredDevice(
      deviceClass: deviceClass, vendor: vendor, product: 0xc31c, deviceVersion: 0x0100,
      interfaces: interfaces.map { .init(classCode: $0.0, subclass: $0.1, protocol: $0.2) })
  }

  @Test func firstMatchDecides() throws {
    let keyboard = device(0, [(3, 1, 1)])
    #expect(try filter("3,-1,-1,-1,1|-1,-1,-1,-1,0").verdict(on: keyboard) == .allowed)
    #expect(try filter("8,-1,-1,-1,1|-1,0x046d,-1,-1,0").verdict(on: keyboard) == .denied(rule: 1))
    #expect(try filter("8,-1,-1,-1,1").verdict(on: keyboard) == .noMatch(classCode: 3))
    #expect(try filter("").verdict(on: keyboard) == .noMatch(classCode: 3))
    #expect(try filter("-1,1,-1,-1,0|-1,-1,-1,0x0100,1").verdict(on: keyboard) == .allowed)
  }

  @Test func deviceClassIsAskedUnlessItSaysInterfaces() throws {
    let noHubs = try filter("9,-1,-1,-1,0|-1,-1,-1,-1,1")
    #expect(noHubs.verdict(on: device(9, [])) == .denied(rule: 0))
    let onlyHID = try filter("3,-1,-1,-1,1")
    #expect(onlyHID.verdict(on: device(0, [(3, 1, 1)])) == .allowed)
    #expect(onlyHID.verdict(on: device(0xef, [(3, 1, 1)])) == .allowed)
    #expect(onlyHID.verdict(on: device(0xff, [(3, 1, 1)])) == .noMatch(classCode: 0xff))
    #expect(onlyHID.verdict(on: device(0, [])) == .allowed)
  }

  @Test func plainHIDAmongOthersIsLeftOut() throws {
    let noHID = try filter("3,-1,-1,-1,0|-1,-1,-1,-1,1")
    #expect(noHID.verdict(on: device(0, [(1, 1, 0), (3, 0, 0)])) == .allowed)
    #expect(noHID.verdict(on: device(0, [(3, 0, 0)])) == .denied(rule: 0))
    #expect(noHID.verdict(on: device(0, [(3, 0, 0), (3, 0, 0)])) == .denied(rule: 0))
    #expect(noHID.verdict(on: device(0, [(1, 1, 0), (3, 1, 2)])) == .denied(rule: 0))
  }
}
