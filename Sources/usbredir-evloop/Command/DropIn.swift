// The command lines of usbredirect 0.13 and usbredirserver 0.12, for scripts that were written for them.
// Options, defaults and exit behaviour are theirs; wrong options cost one line on stderr and status 1.
import CPosix

/// What a drop-in's command line asks for.
enum DropInRequest {
  case serve(ServerOptions)
  /// `--help`: the text goes to standard output.
  case print(String)
}

let redirectOptions = [
  OptionSpec("device", nil, .required), OptionSpec("to", nil, .required), OptionSpec("as", nil, .required),
  OptionSpec("keepalive", "k"), OptionSpec("verbose", "v", .required), OptionSpec("help", "h"),
  OptionSpec("version"),
]

let redirectUsage = """
  Usage: usbredirect --device VENDOR:PRODUCT|BUS-ADDRESS --to HOST:PORT | --as ADDR:PORT

        --device ID     the device, by id (hexadecimal) or by bus and address (decimal)
        --to HOST:PORT  connect to a usb-guest that waits there
        --as ADDR:PORT  wait there for a usb-guest
    -k, --keepalive     keep the connection alive (always done)
    -v, --verbose N     1 errors, 2 warnings, 3 information, 4 and 5 everything
    -h, --help          this text
        --version       the version

  Ends when the usb-guest leaves.

  """

/// `usbredirect`: one device, one guest. `--to` wins over `--as`; operands are ignored, as they are there.
func parseRedirect(_ words: [String]) throws(OptionsError) -> DropInRequest {
  let arguments = try Arguments(words, redirectOptions)
  if arguments.has("help") { return .print(redirectUsage) }
  if arguments.has("version") { return .print(productVersion + "\n") }
  guard let address = arguments.value("to") ?? arguments.value("as") else {
    throw OptionsError("neither --to nor --as is given; say where to connect or where to listen")
  }
  guard let deviceText = arguments.value("device") else {
    throw OptionsError("no device; give --device VENDOR:PRODUCT or --device BUS-ADDRESS")
  }
  let device = try dropInDevice(deviceText)
  let place = try dropInAddress(address)
  let isClient = arguments.has("to")
  var export = ExportOptions(
    device: device, transport: isClient ? .connect(place) : .listen(place), name: device.description)
  export.reconnect = nil
  let level = try verbosity(arguments.value("verbose"))
  return .serve(ServerOptions(mode: .redirectOnce, exports: [export], logLevel: level))
}

let redirectServerOptions = [
  OptionSpec("port", "p", .required), OptionSpec("verbose", "v", .required),
  OptionSpec("ipv4", "4", .required),
  OptionSpec("ipv6", "6", .required), OptionSpec("keepalive", "k", .required), OptionSpec("help", "h"),
]

let redirectServerUsage = """
  Usage: usbredirserver [OPTION…] BUS-ADDRESS|VENDOR:PRODUCT

    -p, --port PORT       TCP port, 4000 if not given
    -4, --ipv4 ADDR       listen on this IPv4 address
    -6, --ipv6 ADDR       listen on this IPv6 address; neither: on all of both
    -k, --keepalive SECS  silence before the first keepalive probe
    -v, --verbose N       0 and 1 errors, 2 warnings, 3 information, 4 and 5 everything
    -h, --help            this text

  Listens again after each usb-guest; ends by a signal.

  """

/// `usbredirserver`: one device, guests one after the other.
func parseRedirectServer(_ words: [String]) throws(OptionsError) -> DropInRequest {
  let arguments = try Arguments(words, redirectServerOptions)
  if arguments.has("help") { return .print(redirectServerUsage) }
  guard let deviceText = arguments.operands.first else {
    throw OptionsError("no device; give VENDOR:PRODUCT or BUS-ADDRESS")
  }
  guard arguments.operands.count == 1 else {
    throw OptionsError("'" + arguments.operands[1] + "' is one device too many; start a server for each")
  }
  let device = try dropInDevice(deviceText)
  let place = try redirectServerAddress(arguments)
  var export = ExportOptions(device: device, transport: .listen(place), name: device.description)
  // Its probes are 10 s apart, and 3 of them.
  let idle = try dropInNumber("keepalive", arguments.value("keepalive") ?? "0", 0...32_767)
  if idle > 0 {
    export.transportOptions.keepaliveIdle = UInt32(idle)
    export.transportOptions.keepaliveInterval = 10
    export.transportOptions.keepaliveProbes = 3
    // It sets no user timeout. Ours must not end a silent guest before its probes do, tcp(7).
    export.transportOptions.userTimeout = export.transportOptions.keepaliveTimeout
  }
  let level = try verbosity(arguments.value("verbose"))
  return .serve(ServerOptions(mode: .redirectServer, exports: [export], logLevel: level))
}

private func redirectServerAddress(_ arguments: Arguments) throws(OptionsError) -> SocketAddress {
  let port = try dropInNumber("port", arguments.value("port") ?? "4000", 0...65535)
  if let address = arguments.value("ipv4") {
    return try literalAddress("ipv4", address, address + ":" + String(port), isNumeric(address, AF_INET))
  }
  // The unspecified IPv6 address takes IPv4 connections too.
  let address = arguments.value("ipv6") ?? "::"
  return try literalAddress(
    "ipv6", address, "[" + address + "]:" + String(port), isNumeric(address, AF_INET6))
}

private func literalAddress(
  _ option: String, _ address: String, _ text: String, _ isValid: Bool
) throws(OptionsError) -> SocketAddress {
  guard isValid else { throw OptionsError("--" + option + ": '" + address + "' is not such an address") }
  return try parseAddress(text)
}

/// inet_pton(3).
private func isNumeric(_ address: String, _ family: Int32) -> Bool {
  var bytes = in6_addr()
  return unsafe inet_pton(family, address, &bytes) == 1
}

private func dropInDevice(_ text: String) throws(OptionsError) -> DeviceSelector {
  if let (bus, address) = try? parseBusAddress(text) { return .address(bus: bus, address: address) }
  if let (vendor, product) = try? parseDeviceID(text) {
    return .id(vendor: vendor, product: product, serial: nil, nth: nil)
  }
  throw OptionsError("'" + text + "' is neither VENDOR:PRODUCT (hexadecimal) nor BUS-ADDRESS (decimal)")
}

private func dropInAddress(_ text: String) throws(OptionsError) -> SocketAddress {
  guard text.cut(at: ":") != nil else { throw OptionsError("'" + text + "' is not HOST:PORT") }
  return try parseAddress(text)
}

private func dropInNumber(
  _ option: String, _ text: String, _ range: ClosedRange<Int>
) throws(OptionsError) -> Int {
  try optionValue(Arguments.Option(name: option, value: text)) { text throws(OptionsError) in
    try parseNumber(text, range)
  }
}

/// usbredirparser's log levels: 1 error, 2 warning, 3 info, 4 debug, 5 every packet. Without one it is info: why
/// it ended has to stand on standard error.
private func verbosity(_ text: String?) throws(OptionsError) -> Log.Level {
  guard let text else { return .info }
  switch try dropInNumber("verbose", text, 0...999) {
  case 0, 1: return .error
  case 2: return .warning
  case 3: return .info
  default: return .debug
  }
}
