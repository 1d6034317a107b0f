// Filters against usbredirfilter.h: the same texts are filters, they mean the same rules, and the rules say
// the same of every device.
import CPosix
import CUsbredirParser
import Testing

@testable import usbredir_evloop

struct FilterInteropTests {
  static let texts = [
    "", "|", "||", ",", "3,1,2,4,1", "0x03,-1,-1,-1,0|-1,-1,-1,-1,1", "|3,1,2,4,1||3,1,2,4,0|",
    ",3,,1,2,4,1,",
    "010,010,010,010,010", "0x,1,2,4,1", "0xg,1,2,4,1", "0X1F,1,2,4,1", "08,1,2,4,1", "+3,1,2,4,1",
    "--3,1,2,4,1",
    " 3,\t1,\n2,\u{0b}4,\r1", "3 ,1,2,4,1", "3,1,2,4", "3,1,2,4,1,1", "3,1,2,4,x", "256,1,2,4,1",
    "-2,1,2,4,1",
    "3,65536,2,4,1", "3,-1,65536,4,1", "3,-1,-1,65536,1", "4294967295,1,2,4,1", "4294967299,1,2,4,1",
    "99999999999999999999999,1,2,4,1", "-99999999999999999999999,1,2,4,1", "9223372036854775807,1,2,4,1",
    "9223372036854775808,1,2,4,1", "-9223372036854775808,1,2,4,1", "3,1,2,4,4294967296", "3,1,2,4,-1",
    "0xffffffffffffffff,1,2,4,1", "0b1,1,2,4,1", "1e1,1,2,4,1", "- 1,1,2,4,1", "-0x10,1,2,4,1",
    "-0x1,1,2,4,1",
    "-01,1,2,4,1", "0,0,0,0,0", " ,1,2,4,1", "3,1,2,4,1|", "3,1,2,4,1| ",
  ]

  @Test(arguments: texts)
  func sameTexts(text: String) {
    compare(text)
  }

  @Test func sameRandomTexts() {
    var random = SeededGenerator(seed: 51)
    let pieces = [
      "0", "1", "3", "8", "9", "-1", "-", "+", "0x", "ff", "a", " ", ",", ",", ",", "|", "65535", "g",
    ]
    for _ in 0..<4000 {
      let count = Int.random(in: 0...14, using: &random)
      compare((0..<count).map { _ in pieces[Int.random(in: 0..<pieces.count, using: &random)] }.joined())
      let tokens = (0..<5).map { _ in
        ["-1", "0", "010", "0x3", "70000", ""][Int.random(in: 0..<6, using: &random)]
      }
      compare(tokens.joined(separator: ","))
    }
  }

  private func compare(_ text: String) {
    var rules: UnsafeMutablePointer<usbredirfilter_rule>?
    var count: Int32 = 0
    let result = unsafe usbredirfilter_string_to_rules(text, ",", "|", &rules, &count)
    let ours = parsed(text)
    #expect((ours != nil) == (result == 0), "'\(text)'")
    guard let ours, result == 0 else { return }
    #expect(ours.rules.count == Int(count), "'\(text)'")
    let theirs = unsafe filterText(rules, count)
    #expect(ours.description == theirs, "'\(text)'")
    unsafe usbredirfilter_free(rules)
  }

  private func parsed(_ text: String) -> Filter? {
    let bytes = Array(text.utf8)
    return try? Filter(parsing: bytes.span)
  }

  /// Few values, so that rules match often.
  @Test func sameVerdicts() {
    var random = SeededGenerator(seed: 52)
    var counts: [Int32: Int] = [:]
    for _ in 0..<20_000 {
      let filter = randomFilter(&random)
      let device = randomDevice(&random)
      let expected = libraryVerdict(filter, device)
      counts[expected, default: 0] += 1
      #expect(number(filter.verdict(on: device)) == expected, "\(filter.description) on \(device)")
    }
    #expect(counts.count == 3 && counts.values.allSatisfy { $0 > 1000 })
  }

  private func randomFilter(_ random: inout SeededGenerator) -> Filter {
    let rules = (0..<Int.random(in: 0...4, using: &random)).map { _ in
      FilterRule(
        deviceClass: [nil, 0, 3, 3, 8, 0xff][Int.random(in: 0..<6, using: &random)],
        vendor: [nil, nil, 1, 2][Int.random(in: 0..<4, using: &random)],
        product: [nil, nil, 1, 2][Int.random(in: 0..<4, using: &random)],
        deviceVersion: [nil, nil, nil, 1][Int.random(in: 0..<4, using: &random)],
        allow: Int.random(in: 0..<4, using: &random) > 0)
    }
    return Filter(rules: rules)
  }

  private func randomDevice(_ random: inout SeededGenerator) -> FilteredDevice {
    let interfaces = (0..<Int.random(in: 0...3, using: &random)).map { _ in
      FilteredDevice.Interface(
        classCode: [3, 3, 8][Int.random(in: 0..<3, using: &random)],
        subclass: UInt8.random(in: 0...1, using: &random) & .random(in: 0...1, using: &random),
        protocol: UInt8.random(in: 0...1, using: &random) & .random(in: 0...1, using: &random))
    }
    return FilteredDevice(
      deviceClass: [0, 0, 0xef, 3, 8][Int.random(in: 0..<5, using: &random)],
      vendor: .random(in: 1...2, using: &random), product: .random(in: 1...2, using: &random),
      deviceVersion: .random(in: 1...2, using: &random), interfaces: interfaces)
  }

  private func libraryVerdict(_ filter: Filter, _ device: FilteredDevice) -> Int32 {
    let rules = filter.rules.map {
      usbredirfilter_rule(
        device_class: $0.deviceClass.map(Int32.init) ?? -1, vendor_id: $0.vendor.map(Int32.init) ?? -1,
        product_id: $0.product.map(Int32.init) ?? -1,
        device_version_bcd: $0.deviceVersion.map(Int32.init) ?? -1, allow: $0.allow ? 1 : 0)
    }
    var classes = device.interfaces.map(\.classCode)
    var subclasses = device.interfaces.map(\.subclass)
    var protocols = device.interfaces.map(\.protocol)
    return unsafe usbredirfilter_check(
      rules, Int32(rules.count), device.deviceClass, 0, 0, &classes, &subclasses, &protocols,
      Int32(classes.count), device.vendor, device.product, device.deviceVersion, 0)
  }

  private func number(_ verdict: FilterVerdict) -> Int32 {
    switch verdict {
    case .allowed: 0
    case .denied: -EPERM
    case .noMatch: -ENOENT
    }
  }
}
