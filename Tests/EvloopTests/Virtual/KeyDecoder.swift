// Boot reports back to text, as a guest with a US layout would read them.
@testable import usbredir_evloop

/// HID Usage Tables, page 7, in the order of the usages from 4 on; 50 is a key that US keyboards do not have.
private let plain = Array("abcdefghijklmnopqrstuvwxyz1234567890\n\u{1b}\u{8}\t -=[]\\\u{0};'`,./")
private let shifted = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()\n\u{1b}\u{8}\t _+{}|\u{0}:\"~<>?")

/// Reads the events of a `VirtualUser`, reports of 8 bytes in hexadecimal among them.
struct KeyDecoder {
  private(set) var text = ""
  /// Reports that are neither one key down nor all keys up, or a key down while another is.
  private(set) var faults: [String] = []
  private var isDown = false

  mutating func read(_ events: [String]) {
    for event in events { read(event) }
  }

  private mutating func read(_ event: String) {
    let prefix = "81 completed "
    guard event.hasPrefix(prefix), let report = Hex.bytes(event.dropFirst(prefix.count)), report.count == 8
    else { return faults.append(event) }
    if report == [UInt8](repeating: 0, count: 8) {
      if !isDown { faults.append("up twice") }
      isDown = false
      return
    }
    let table = report[0] == 2 ? shifted : plain
    let isOneKey = report[1] == 0 && report[3...].allSatisfy { $0 == 0 } && (report[0] == 0 || report[0] == 2)
    guard isOneKey, !isDown, report[2] >= 4, Int(report[2]) < 4 + table.count else {
      return faults.append(event)
    }
    isDown = true
    text.append(table[Int(report[2]) - 4])
  }
}
