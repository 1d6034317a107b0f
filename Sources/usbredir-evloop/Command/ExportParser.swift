// One EXPORT of the command line → `ExportOptions`. Which keys go together is decided here.

/// Reads one export. An error quotes the export.
/// - Parameter transport: what `--listen` or `--connect` said, for an export that says nothing itself.
func parseExport(
  _ text: String, transport: ExportOptions.Transport? = nil
) throws(OptionsError) -> ExportOptions {
  do throws(OptionsError) {
    var items = try ExportItems(text)
    let device = try takeDevice(&items)
    let meeting = try takeTransport(&items, transport)
    var export = ExportOptions(device: device, transport: meeting, name: device.description)
    try takeSession(&items, &export)
    try takeLimits(&items, &export)
    if let key = items.firstKey { throw misplaced(key, device) }
    return export
  } catch {
    throw OptionsError("export '" + text + "': " + error.description)
  }
}

/// Reads `listen=`'s or `connect=`'s value.
func parseAddress(_ text: String) throws(OptionsError) -> SocketAddress {
  do throws(AddressError) {
    return try SocketAddress(parsing: text)
  } catch {
    throw OptionsError(error.description)
  }
}

private func takeDevice(_ items: inout ExportItems) throws(OptionsError) -> DeviceSelector {
  let given = ["id", "port", "address", "fd", "virtual"].filter { items.has($0) }
  guard let kind = given.first else {
    throw OptionsError("no device; start with VID:PID, or give id=, port=, address=, fd= or virtual=")
  }
  if given.count > 1 {
    throw OptionsError("'" + kind + "' and '" + given[1] + "' both choose a device; keep one of them")
  }
  if kind == "virtual" { return .virtual(try takeVirtual(&items)) }
  if kind == "id", let (vendor, product) = try items.take("id", parseDeviceID) {
    let serial = try items.take("serial")
    let nth = try items.take("nth") { text throws(OptionsError) in try parseNumber(text, 1...999) }
    return .id(vendor: vendor, product: product, serial: serial, nth: nth)
  }
  if kind == "port", let (bus, ports) = try items.take("port", parsePortPath) {
    return .port(bus: bus, ports: ports)
  }
  if kind == "address", let (bus, address) = try items.take("address", parseBusAddress) {
    return .address(bus: bus, address: address)
  }
  return .descriptor(try takeNumber(&items, "fd", 0...1_048_575).map { Int32($0) } ?? -1)
}

private func takeTransport(
  _ items: inout ExportItems, _ given: ExportOptions.Transport?
) throws(OptionsError) -> ExportOptions.Transport {
  let listen = try items.take("listen", parseAddress)
  let connect = try items.take("connect", parseAddress)
  switch (listen, connect, given) {
  case (let address?, nil, nil): return .listen(address)
  case (nil, let address?, nil): return .connect(address)
  case (nil, nil, let given?): return given
  case (nil, nil, nil):
    throw OptionsError("nowhere to serve it; add listen=ADDR:PORT, listen=unix:PATH or connect=ADDR:PORT")
  case (_?, _?, _): throw OptionsError("'listen' and 'connect' exclude each other; keep one of them")
  default: throw OptionsError("has an address of its own; leave out --listen and --connect")
  }
}

private func takeSession(_ items: inout ExportItems, _ export: inout ExportOptions) throws(OptionsError) {
  if let name = try items.take("name") { export.name = name }
  if case .connect = export.transport {
    if items.has("takeover") { throw OptionsError("'takeover' goes with listen=") }
    if let seconds = try takeNumber(&items, "reconnect", 0...86_400) {
      export.reconnect = seconds == 0 ? nil : UInt32(seconds)
    }
  } else if items.has("reconnect") {
    throw OptionsError("'reconnect' goes with connect=")
  }
  export.takeover = try items.takeSwitch("takeover")
  if let seconds = try takeNumber(&items, "hello-timeout", 1...3600) { export.helloTimeout = UInt32(seconds) }
  try takeTransportOptions(&items, &export.transportOptions)
}

private func takeTransportOptions(
  _ items: inout ExportItems, _ options: inout TransportOptions
) throws(OptionsError) {
  if let text = try items.take("keepalive") {
    do throws(OptionsError) {
      try setKeepalive(text, &options)
    } catch {
      throw OptionsError("keepalive: " + error.description)
    }
  }
  if let seconds = try takeNumber(&items, "user-timeout", 0...86_400) {
    options.userTimeout = UInt32(seconds) * 1000
  }
  if let probes = try takeNumber(&items, "window-probes", 0...255) { options.windowProbes = UInt32(probes) }
}

private func takeLimits(_ items: inout ExportItems, _ export: inout ExportOptions) throws(OptionsError) {
  export.interruptDepth = try takeNumber(&items, "interrupt-depth", 1...64)
  export.maxRequests = try takeNumber(&items, "max-requests", 1...65536) ?? export.maxRequests
  // From what libusb carries in a control transfer (B3.1) to the C parser's own limit.
  export.maxTransfer = try takeSize(&items, "max-transfer", 4 << 10...128 << 20) ?? export.maxTransfer
  let bytes = try takeSize(&items, "max-request-bytes", 4 << 10...1 << 30)
  export.maxRequestBytes = bytes ?? max(export.maxRequestBytes, export.maxTransfer)
  guard export.maxRequestBytes >= export.maxTransfer else {
    throw OptionsError(
      "max-request-bytes is less than one transfer (max-transfer, " + sizeText(export.maxTransfer) + ")")
  }
}

/// `off`, or `IDLE[:INTERVAL[:COUNT]]`; what is left out keeps its value.
private func setKeepalive(_ text: String, _ options: inout TransportOptions) throws(OptionsError) {
  guard text != "off" else { return options.keepaliveIdle = 0 }
  let parts = text.split(at: ":")
  guard parts.count <= 3 else { throw OptionsError("'" + text + "' is not IDLE[:INTERVAL[:COUNT]] or 'off'") }
  // The kernel's own limits: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT.
  options.keepaliveIdle = UInt32(try parseNumber(parts[0], 1...32_767))
  if parts.count > 1 { options.keepaliveInterval = UInt32(try parseNumber(parts[1], 1...32_767)) }
  if parts.count > 2 { options.keepaliveProbes = UInt32(try parseNumber(parts[2], 1...127)) }
  // In force together, it is the user timeout that ends a connection: it must not outlast what is asked for here.
  options.userTimeout = min(options.userTimeout, options.keepaliveTimeout)
}

/// The value of `key`, where it is given, as a number in `range`.
func takeNumber(
  _ items: inout ExportItems, _ key: String, _ range: ClosedRange<Int>
) throws(OptionsError) -> Int? {
  try items.take(key) { text throws(OptionsError) in try parseNumber(text, range) }
}

private func takeSize(
  _ items: inout ExportItems, _ key: String, _ range: ClosedRange<Int>
) throws(OptionsError) -> Int? {
  try items.take(key) { text throws(OptionsError) in try parseSize(text, range) }
}

/// For a known key that nobody took: it belongs to another kind of device.
private func misplaced(_ key: String, _ device: DeviceSelector) -> OptionsError {
  let home: String
  switch key {
  case "serial": home = "id= or virtual=disk"
  case "nth": home = "id="
  case "image", "ro", "cdrom": home = "virtual=disk"
  case "text", "delay": home = "virtual=keyboard"
  case "events": home = "virtual=tablet and virtual=mouse"
  case "input": home = "virtual=keyboard, tablet, mouse or scripted"
  case "answer-first": home = "virtual=echo"
  case "script": home = "virtual=scripted"
  default: home = "virtual="
  }
  return OptionsError("'" + key + "' goes with " + home + ", not with " + device.description)
}
