// `list`: devices as rows of values → a table for people or JSON for programs. Pure text, no USB.

/// One plugged-in device, as `list` shows it. nil: not known or not there.
struct DeviceRow {
  var bus: UInt8
  /// Port numbers from the root port on; empty for a root hub.
  var ports: [UInt8]
  var address: UInt8
  var vendor: UInt16
  var product: UInt16
  var speed: Speed
  /// bDeviceClass; 0 when the interfaces say.
  var classCode: UInt8
  /// bInterfaceClass of each interface, as far as known.
  var interfaceClasses: [UInt8] = []
  /// iSerialNumber's string.
  var serial: String?
  /// iProduct's string.
  var name: String?
  /// What has its interfaces now: kernel drivers (`usbhid`), `usbfs` for a program.
  var holders: [String] = []
}

/// Left-aligned columns under a head line, `-` for what is missing.
func deviceTable(_ rows: [DeviceRow]) -> String {
  let head = ["BUS", "ADDRESS", "PORT", "ID", "SPEED", "CLASS", "SERIAL", "PRODUCT", "HELD BY"]
  let lines = [head] + rows.map(tableCells)
  let widths = head.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
  return lines.map { tableLine($0, widths) }.joined()
}

/// A JSON array with one object per device, each on a line of its own.
func deviceJSON(_ rows: [DeviceRow]) -> String {
  guard !rows.isEmpty else { return "[]\n" }
  return "[\n  " + rows.map(jsonObject).joined(separator: ",\n  ") + "\n]\n"
}

private func tableCells(_ row: DeviceRow) -> [String] {
  [
    String(row.bus), String(row.address), portPath(row.bus, row.ports), deviceID(row.vendor, row.product),
    row.speed.name ?? "-", classNames(row).joined(separator: "+"), cell(row.serial), cell(row.name),
    row.holders.isEmpty ? "-" : row.holders.joined(separator: "+"),
  ]
}

private func cell(_ text: String?) -> String {
  guard let text, !text.isEmpty else { return "-" }
  return printable(text)
}

private func tableLine(_ cells: [String], _ widths: [Int]) -> String {
  var line = ""
  for (column, cell) in cells.enumerated() {
    line += cell
    guard column < cells.count - 1 else { break }
    line += String(repeating: " ", count: widths[column] - cell.count + 2)
  }
  return line + "\n"
}

private func jsonObject(_ row: DeviceRow) -> String {
  let members = [
    ("bus", String(row.bus)), ("address", String(row.address)),
    ("port", jsonString(portPath(row.bus, row.ports))), ("id", jsonString(deviceID(row.vendor, row.product))),
    ("speed", orNull(row.speed.name)), ("class", jsonStrings(classNames(row))),
    ("serial", orNull(row.serial)), ("product", orNull(row.name)), ("held_by", jsonStrings(row.holders)),
  ]
  return jsonObject(members)
}

private func orNull(_ text: String?) -> String {
  text.map { jsonString($0) } ?? "null"
}

private func jsonStrings(_ texts: [String]) -> String {
  "[" + texts.map { jsonString($0) }.joined(separator: ", ") + "]"
}

/// The device's class, or each class of its interfaces once.
private func classNames(_ row: DeviceRow) -> [String] {
  // 0: defined by the interfaces; 0xef: miscellaneous, an association of interfaces.
  guard row.classCode == 0 || row.classCode == 0xef, !row.interfaceClasses.isEmpty else {
    return [className(row.classCode)]
  }
  var names: [String] = []
  for code in row.interfaceClasses where !names.contains(className(code)) { names.append(className(code)) }
  return names
}
