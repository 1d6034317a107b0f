// A probe's events as JSON, one object per line. Keys are those of `list --json` where they mean the same.

enum ProbeJSON {
  /// One object with its newline. Times are seconds; what is not known is null.
  static func line(_ event: ProbeEvent) -> String {
    jsonObject(members(event)) + "\n"
  }

  private static func members(_ event: ProbeEvent) -> [(String, String)] {
    switch event {
    case .hello(let server, let version, let capabilities):
      return [
        ("event", jsonString("hello")), ("server", jsonString(server)), ("version", jsonString(version)),
        ("capabilities", strings(names(capabilities))),
      ]
    case .device(let device, let details): return members(device, details)
    case .interface(let interface): return members(interface)
    case .endpoint(let endpoint, let interval): return members(endpoint, interval)
    case .report(let report): return members(report)
    case .status(let time, let endpoint, let status):
      return [
        ("event", jsonString("status")), ("time", secondsText(time)),
        ("endpoint", jsonString(endpoint.description)),
      ] + members(status)
    case .result(let result): return result.members
    case .end(let summary): return members(summary)
    }
  }

  private static func members(_ device: GuestDevice, _ details: DeviceDetails) -> [(String, String)] {
    [
      ("event", jsonString("device")), ("id", jsonString(deviceID(device.vendor, device.product))),
      ("release", orNull(device.release.map { bcdText($0) })), ("speed", orNull(device.speed.name)),
      ("class", String(device.classCode)), ("subclass", String(device.subclass)),
      ("protocol", String(device.protocol)), ("manufacturer", orNull(details.manufacturer)),
      ("product", orNull(details.product)), ("serial", orNull(details.serial)),
      ("configuration", number(details.configuration)), ("configurations", number(details.configurations)),
    ]
  }

  private static func members(_ interface: InterfaceInfoHeader.Interface) -> [(String, String)] {
    [
      ("event", jsonString("interface")), ("number", String(interface.number)),
      ("class", String(interface.classCode)), ("subclass", String(interface.subclass)),
      ("protocol", String(interface.protocol)), ("name", jsonString(className(interface.classCode))),
      ("kind", orNull(interfaceKind(interface))),
    ]
  }

  private static func members(_ endpoint: GuestEndpoint, _ interval: UInt64?) -> [(String, String)] {
    [
      ("event", jsonString("endpoint")), ("endpoint", jsonString(endpoint.address.description)),
      ("type", jsonString(endpoint.type.name)),
      ("direction", jsonString(endpoint.address.isIn ? "in" : "out")),
      ("interface", String(endpoint.interface)),
      ("max_packet_size", endpoint.maxPacketSize > 0 ? String(endpoint.maxPacketSize) : "null"),
      ("interval", String(endpoint.interval)), ("interval_us", interval.map { String($0) } ?? "null"),
      ("max_streams", String(endpoint.maxStreams)),
    ]
  }

  private static func members(_ report: ProbeReport) -> [(String, String)] {
    let base = [
      ("event", jsonString("report")), ("time", secondsText(report.time)),
      ("endpoint", jsonString(report.endpoint.description)), ("sequence", String(report.sequence)),
      ("data", jsonString(Hex.text(report.data.span))),
    ]
    guard let keys = report.keys else { return base }
    var text = ""
    for press in keys.pressed { if let character = press.character { text.unicodeScalars.append(character) } }
    return base + [
      ("pressed", strings(keys.pressed.map { $0.key })), ("released", strings(keys.released)),
      ("text", jsonString(text)),
    ]
  }

  private static func members(_ status: ProbeStatus) -> [(String, String)] {
    let (packet, words) =
      switch status {
      case .failed(let status): (PacketType.interruptPacket, status.description)
      case .receiving(.started): (PacketType.interruptReceivingStatus, "started")
      case .receiving(.stopped): (PacketType.interruptReceivingStatus, "stopped")
      case .receiving(.ended(let status)): (PacketType.interruptReceivingStatus, status.description)
      }
    return [("packet", jsonString(packet.description)), ("status", jsonString(words))]
  }

  private static func members(_ summary: ProbeSummary) -> [(String, String)] {
    [
      ("event", jsonString("end")), ("reason", jsonString(summary.reason)),
      ("duration", secondsText(summary.duration)), ("reports", String(summary.reports)),
      (
        "endpoints",
        jsonObject(summary.tallies.map { ($0.endpoint.description, String($0.reports)) })
      ),
    ]
  }

  private static func names(_ capabilities: Capabilities) -> [String] {
    guard !capabilities.intersection(.all).isEmpty else { return [] }
    return capabilities.description.split(at: " ")
  }

  private static func strings(_ texts: [String]) -> String {
    "[" + texts.map { jsonString($0) }.joined(separator: ", ") + "]"
  }

  private static func orNull(_ text: String?) -> String {
    text.map { jsonString($0) } ?? "null"
  }

  private static func number(_ value: UInt8?) -> String {
    value.map { String($0) } ?? "null"
  }
}
