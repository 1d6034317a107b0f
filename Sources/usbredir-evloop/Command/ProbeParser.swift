// `probe`: its options → `ProbeOptions`.

let probeOptions = [
  OptionSpec("json", "j"), OptionSpec("duration", "d", .required), OptionSpec("count", "n", .required),
  OptionSpec("timeout", "t", .required), OptionSpec("help", "h"),
]

/// Reads what stands behind `probe`.
func parseProbe(_ arguments: Arguments) throws(OptionsError) -> ProbeOptions {
  guard let text = arguments.operands.first else {
    throw OptionsError("nothing to probe; give an address, as in 'probe 127.0.0.1:4000'")
  }
  guard arguments.operands.count == 1 else {
    throw OptionsError("'" + arguments.operands[1] + "' is one address too many")
  }
  var options = ProbeOptions(address: try parseAddress(text))
  for option in arguments.options {
    switch option.name {
    case "json": options.json = true
    case "duration": options.duration = try seconds(option, from: 0)
    case "timeout": options.timeout = try seconds(option, from: 1)
    default:
      options.count = try optionValue(option) { text throws(OptionsError) in
        try parseNumber(text, 1...1_000_000_000)
      }
    }
  }
  return options
}

private func seconds(_ option: Arguments.Option, from least: Int) throws(OptionsError) -> UInt32 {
  try optionValue(option) { text throws(OptionsError) in UInt32(try parseNumber(text, least...86_400)) }
}
