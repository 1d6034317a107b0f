// A probe's events as lines for people. Texts of devices and peers are cleaned of what a terminal would obey.

enum ProbeText {
  /// The lines of one event, each with its newline.
  static func lines(_ event: ProbeEvent) -> String {
    switch event {
    case .hello(let server, let version, let capabilities):
      return "server: " + server + ", " + printable(version) + "\ncapabilities: " + capabilities.description
        + "\n"
    case .device(let device, let details): return lines(device, details)
    case .interface(let interface):
      return "interface " + String(interface.number) + ": " + interfaceName(interface) + "\n"
    case .endpoint(let endpoint, let interval): return line(endpoint, interval)
    case .report(let report): return line(report)
    case .status(let time, let endpoint, let status): return timed(time, endpoint, words(status))
    case .result(let result): return result.text
    case .end(let summary): return line(summary)
    }
  }

  private static func lines(_ device: GuestDevice, _ details: DeviceDetails) -> String {
    let numbers = triple(device.classCode, device.subclass, device.protocol)
    var text = "device: " + deviceID(device.vendor, device.product)
    text += ", release " + (device.release.map { bcdText($0) } ?? "-")
    text +=
      ", " + (device.speed.name ?? "unknown") + " speed, class " + className(device.classCode) + numbers
      + "\n"
    text += "manufacturer: " + orDash(details.manufacturer) + "\n"
    text += "product: " + orDash(details.product) + "\n"
    text += "serial: " + orDash(details.serial) + "\n"
    text += "configuration: " + (details.configuration.map { String($0) } ?? "-")
    if let count = details.configurations { text += " (the device has " + String(count) + ")" }
    return text + "\n"
  }

  private static func line(_ endpoint: GuestEndpoint, _ interval: UInt64?) -> String {
    var text = "endpoint " + endpoint.address.description + ": " + endpoint.type.name
    text += (endpoint.address.isIn ? " IN" : " OUT") + ", interface " + String(endpoint.interface)
    if endpoint.maxPacketSize > 0 { text += ", " + String(endpoint.maxPacketSize) + " bytes" }
    if let interval { text += ", every " + intervalText(interval) }
    if endpoint.maxStreams > 0 { text += ", " + String(endpoint.maxStreams) + " streams" }
    return text + "\n"
  }

  private static func line(_ report: ProbeReport) -> String {
    var words = report.data.map { Hex.text(UInt32($0), digits: 2) }
    if words.isEmpty { words = ["(empty)"] }
    let keys = report.keys.map { keysText($0) } ?? ""
    return timed(
      report.time, report.endpoint, words.joined(separator: " ") + (keys.isEmpty ? "" : "  " + keys))
  }

  /// `press left-shift, press h 'H'; release a`.
  static func keysText(_ changes: KeyChanges) -> String {
    var words = changes.pressed.map { press in
      "press " + press.key + typed(press)
    }
    words += changes.released.map { "release " + $0 }
    if changes.isRollover { words.append("too many keys at once") }
    return words.joined(separator: ", ")
  }

  /// Only a character that the key's name does not say already.
  private static func typed(_ press: KeyChanges.Press) -> String {
    guard let character = press.character, character.value > 0x20 else { return "" }
    let text = String(character)
    return text == press.key ? "" : " '" + text + "'"
  }

  private static func words(_ status: ProbeStatus) -> String {
    switch status {
    case .failed(let status): "interrupt_packet: " + status.description
    case .receiving(.started): "receiving"
    case .receiving(.stopped): "stopped"
    case .receiving(.ended(let status)): "receiving ended: " + status.description
    }
  }

  private static func timed(_ time: UInt64, _ endpoint: EndpointAddress, _ text: String) -> String {
    let seconds = secondsText(time)
    let indent = String(repeating: " ", count: max(0, 12 - seconds.utf8.count))
    return indent + seconds + "  " + endpoint.description + "  " + text + "\n"
  }

  private static func line(_ summary: ProbeSummary) -> String {
    var text = "end: " + summary.reason + "; "
    guard summary.countsReports else { return text + secondsText(summary.duration) + " s\n" }
    text += String(summary.reports)
    text += (summary.reports == 1 ? " report" : " reports") + " in " + secondsText(summary.duration) + " s"
    let tallies = summary.tallies.map { $0.endpoint.description + ": " + String($0.reports) }
    return text + (tallies.isEmpty ? "" : " (" + tallies.joined(separator: ", ") + ")") + "\n"
  }

  private static func orDash(_ text: String?) -> String {
    text.map { printable($0) } ?? "-"
  }

  /// ` (3/1/1)`.
  fileprivate static func triple(_ classCode: UInt8, _ subclass: UInt8, _ protocolCode: UInt8) -> String {
    " (" + String(classCode) + "/" + String(subclass) + "/" + String(protocolCode) + ")"
  }
}

/// The class of an interface, its numbers, and what it is where that has a name of its own: `hid (3/1/1),
/// boot keyboard`.
func interfaceName(_ interface: InterfaceInfoHeader.Interface) -> String {
  let (classCode, subclass, code) = (interface.classCode, interface.subclass, interface.protocol)
  let kind = interfaceKind(interface).map { ", " + $0 } ?? ""
  return className(classCode) + ProbeText.triple(classCode, subclass, code) + kind
}

/// A usual interface by class, subclass and protocol; nil for any other.
func interfaceKind(_ interface: InterfaceInfoHeader.Interface) -> String? {
  switch (interface.classCode, interface.subclass, interface.protocol) {
  case (0x01, 0x01, _): "audio control"
  case (0x01, 0x02, _): "audio streaming"
  case (0x01, 0x03, _): "midi"
  case (0x02, 0x02, _): "serial port"
  case (0x02, 0x06, _), (0x02, 0x0d, _): "ethernet"
  case (0x03, 0x01, 0x01): "boot keyboard"
  case (0x03, 0x01, 0x02): "boot mouse"
  case (0x08, 0x06, 0x50): "bulk-only"
  case (0x08, 0x06, 0x62): "uas"
  case (0x0e, 0x01, _): "video control"
  case (0x0e, 0x02, _): "video streaming"
  case (0xe0, 0x01, 0x01): "bluetooth"
  case (0xfe, 0x01, _): "firmware upgrade"
  default: nil
  }
}
