// `list`: devices as rows of values → a table for people or JSON for programs. Pure text, no USB.

/// One plugged-in device, as `list` shows it.
struct DeviceRow {
  var device: USBDeviceInfo
  /// What has its interfaces now: kernel drivers (`usbhid`), programs.
  var holders: [String] = []
}

/// Left-aligned columns under a head line, `-` for what is missing.
func deviceTable(_ rows: [DeviceRow]) -> String {
  let head = ["BUS", "ADDRESS", "PORT", "ID", "SPEED", "CLASS", "SERIAL", "PRODUCT", "HELD BY"]
  let lines = [head] + rows.map(tableCells)
  let widths = head.indices.map { column in lines.map { $0[column].width }.max() ?? 0 }
  return lines.map { tableLine($0, widths) }.joined()
}

/// A JSON array with one object per device, each on a line of its own.
func deviceJSON(_ rows: [DeviceRow]) -> String {
  guard !rows.isEmpty else { return "[]\n" }
  return "[\n  " + rows.map(jsonObject).joined(separator: ",\n  ") + "\n]\n"
}

private func tableCells(_ row: DeviceRow) -> [String] {
  let device = row.device
  return [
    String(device.bus), String(device.address), device.port, deviceID(device.vendor, device.product),
    device.speed.name ?? "-", classNames(device).joined(separator: "+"), cell(device.serial),
    cell(device.productName), cell(row.holders.joined(separator: ", ")),
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
    line += String(repeating: " ", count: widths[column] - cell.width + 2)
  }
  return line + "\n"
}

private func jsonObject(_ row: DeviceRow) -> String {
  let device = row.device
  let members = [
    ("bus", String(device.bus)), ("address", String(device.address)), ("port", jsonString(device.port)),
    ("id", jsonString(deviceID(device.vendor, device.product))), ("speed", orNull(device.speed.name)),
    ("class", jsonStrings(classNames(device))), ("serial", orNull(device.serial)),
    ("product", orNull(device.productName)), ("held_by", jsonStrings(row.holders)),
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
private func classNames(_ device: USBDeviceInfo) -> [String] {
  // 0: defined by the interfaces; 0xef: miscellaneous, an association of interfaces.
  guard device.classCode == 0 || device.classCode == 0xef, !device.interfaces.isEmpty else {
    return [className(device.classCode)]
  }
  var names: [String] = []
  for interface in device.interfaces {
    let name = className(interface.classCode)
    if !names.contains(name) { names.append(name) }
  }
  return names
}
