// `serve`: its options and exports → `ServerOptions`.

let serveOptions = [
  OptionSpec("listen", "l", .required), OptionSpec("connect", "c", .required),
  OptionSpec("ready-fd", nil, .required), OptionSpec("user", "u", .required),
  OptionSpec("log-level", nil, .required),
  OptionSpec("verbose", "v"), OptionSpec("quiet", "q"), OptionSpec("help", "h"),
]

/// Reads what stands behind `serve`.
func parseServe(_ arguments: Arguments) throws(OptionsError) -> ServerOptions {
  var options = ServerOptions(exports: [])
  var transport: ExportOptions.Transport?
  for option in arguments.options {
    switch option.name {
    case "listen", "connect":
      if transport != nil {
        throw OptionsError("more than one --listen or --connect; give each export its own address")
      }
      let address = try optionValue(option, parseAddress)
      transport = option.name == "listen" ? .listen(address) : .connect(address)
    case "ready-fd":
      options.readyDescriptor = try optionValue(option) { text throws(OptionsError) in
        Int32(try parseNumber(text, 0...1_048_575))
      }
    case "user": options.user = option.value
    case "log-level": options.logLevel = try optionValue(option, parseLogLevel)
    case "verbose": options.logLevel = .debug
    default: options.logLevel = .warning
    }
  }
  options.exports = try parseExports(arguments.operands, transport)
  return options
}

private func parseExports(
  _ texts: [String], _ transport: ExportOptions.Transport?
) throws(OptionsError) -> [ExportOptions] {
  guard !texts.isEmpty else {
    throw OptionsError("nothing to export; give at least one, as in 'serve 046d:c31c,listen=127.0.0.1:4000'")
  }
  guard texts.count == 1 || transport == nil else {
    throw OptionsError("--listen and --connect are for a single export; give each export its own address")
  }
  var exports: [ExportOptions] = []
  for text in texts {
    let export = try parseExport(text, transport: transport)
    if let clash = clash(export, exports) {
      throw OptionsError("export '" + text + "': " + clash)
    }
    exports.append(export)
  }
  return exports
}

/// What two exports cannot share; nil if there is nothing.
private func clash(_ export: ExportOptions, _ earlier: [ExportOptions]) -> String? {
  for claim in claims(export) where earlier.contains(where: { claims($0).contains(claim) }) {
    return "another export " + claim + " already; each needs its own"
  }
  return nil
}

/// What an export has for itself: an address, a device that only one can mean, standard input.
private func claims(_ export: ExportOptions) -> [String] {
  var claims: [String] = []
  // Port 0 is a different one each time.
  if case .listen(let address) = export.transport, !address.description.hasSuffix(":0") {
    claims.append("listens on " + address.description)
  }
  switch export.device {
  case .id: break
  case .port, .address, .descriptor: claims.append("has " + export.device.description)
  case .virtual(let device):
    if let input = device.input, input == "-" { claims.append("reads standard input") }
  }
  return claims
}

private func parseLogLevel(_ text: String) throws(OptionsError) -> Log.Level {
  switch text {
  case "error": return .error
  case "warning": return .warning
  case "info": return .info
  case "debug": return .debug
  default: throw OptionsError("'" + text + "' is none of error, warning, info, debug")
  }
}

/// Reads an option's value; an error names the option.
func optionValue<Value>(
  _ option: Arguments.Option, _ parse: (String) throws(OptionsError) -> Value
) throws(OptionsError) -> Value {
  do throws(OptionsError) {
    return try parse(option.value)
  } catch {
    throw OptionsError("--" + option.name + ": " + error.description)
  }
}
