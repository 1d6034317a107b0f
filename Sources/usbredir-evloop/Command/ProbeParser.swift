// `probe`: its options → `ProbeOptions`.

let probeOptions = [
  OptionSpec("json", "j"), OptionSpec("duration", "d", .required), OptionSpec("count", "n", .required),
  OptionSpec("timeout", "t", .required), OptionSpec("help", "h"), OptionSpec("descriptors"),
  OptionSpec("control", nil, .required), OptionSpec("configuration", nil, .required),
  OptionSpec("alt", nil, .required), OptionSpec("reset"), OptionSpec("exchange", nil, .required),
  OptionSpec("read", nil, .required), OptionSpec("write", nil, .required), OptionSpec("disk"),
  OptionSpec("iso", nil, .required), OptionSpec("latency"), OptionSpec("output", "o", .required),
  OptionSpec("input", "i", .required), OptionSpec("buffered"),
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
    case "count":
      options.count = try optionValue(option) { text throws(OptionsError) in
        try parseNumber(text, 1...1_000_000_000)
      }
    case "output": options.output = option.value
    case "input": options.input = option.value
    case "buffered": options.isBuffered = true
    default:
      let task = try optionValue(option) { text throws(OptionsError) in try parseTask(option.name, text) }
      add(task, to: &options.tasks)
    }
  }
  return options
}

/// Bulk transfers that stand beside each other run at the same time.
private func add(_ task: ProbeTask, to tasks: inout [ProbeTask]) {
  if case .bulk(let jobs) = task, case .bulk(let before)? = tasks.last {
    tasks[tasks.count - 1] = .bulk(before + jobs)
  } else {
    tasks.append(task)
  }
}

private func parseTask(_ name: String, _ text: String) throws(OptionsError) -> ProbeTask {
  switch name {
  case "descriptors": return .descriptors
  case "reset": return .reset
  case "disk": return .disk
  case "latency": return .latency
  case "control": return try parseControl(text)
  case "exchange": return try parseReport(text)
  case "configuration": return .configuration(UInt8(try parseNumber(text, 0...255)))
  case "alt":
    guard let (interface, setting) = text.cut(at: ":") else {
      throw OptionsError("'" + text + "' is not INTERFACE:SETTING, as in 1:2")
    }
    return .alternateSetting(
      interface: UInt8(try parseNumber(interface, 0...255)), UInt8(try parseNumber(setting, 0...255)))
  case "iso":
    let parts = text.split(at: ":")
    guard parts.count <= 2 else { throw OptionsError("'" + text + "' is not ENDPOINT:SECONDS, as in 83:10") }
    let seconds = parts.count == 2 ? UInt32(try parseNumber(parts[1], 1...86_400)) : nil
    return .iso(try parseEndpoint(parts[0], isIn: nil), seconds: seconds)
  default: return .bulk([try parseBulk(text, isIn: name == "read")])
  }
}

/// An endpoint's address in hexadecimal. `isIn` says what it must be.
private func parseEndpoint(_ text: String, isIn: Bool?) throws(OptionsError) -> EndpointAddress {
  if let number = hexadecimal(text, atMost: 0xff) {
    let address = EndpointAddress(rawValue: UInt8(number))
    if address.isValid, address.number != 0, isIn == nil || isIn == address.isIn { return address }
  }
  let range = isIn.map { $0 ? "81 to 8f" : "01 to 0f" } ?? "01 to 0f and 81 to 8f"
  throw OptionsError("'" + text + "' is no endpoint: it has to be " + range)
}

/// `EP:TOTAL:SIZE:DEPTH`; what is left out or empty has its default.
private func parseBulk(_ text: String, isIn: Bool) throws(OptionsError) -> BulkJob {
  let parts = text.split(at: ":")
  guard parts.count <= 4 else { throw OptionsError("'" + text + "' is not ENDPOINT:TOTAL:SIZE:DEPTH") }
  var job = BulkJob(endpoint: try parseEndpoint(parts[0], isIn: isIn))
  if parts.count > 1, parts[1] != "" { job.total = try parseTotal(parts[1]) }
  if parts.count > 2, parts[2] != "" { job.size = try parseSize(parts[2], 1...8 << 20) }
  if parts.count > 3 { job.depth = try parseNumber(parts[3], 1...64) }
  return job
}

/// Bytes, with K, M or G (binary) behind the digits.
private func parseTotal(_ text: String) throws(OptionsError) -> UInt64 {
  var shift: UInt64 = 0
  switch text.dropFirst(text.utf8.count - 1) {
  case "K", "k": shift = 10
  case "M", "m": shift = 20
  case "G", "g": shift = 30
  default: break
  }
  if let count = (shift > 0 ? text.dropLast(1) : text).number(), count > 0 { return UInt64(count) << shift }
  throw OptionsError("'" + text + "' is not a number of bytes, K, M or G")
}

/// The setup packet as an analyser shows it, field by field in hexadecimal, and the data of an OUT request.
private func parseControl(_ text: String) throws(OptionsError) -> ProbeTask {
  let words = text.split(at: ",", " ")
  let limits: [UInt32] = [0xff, 0xff, 0xffff, 0xffff, 0xffff]
  var numbers: [UInt32] = []
  for (word, limit) in zip(words, limits) {
    guard let number = hexadecimal(word, atMost: limit) else {
      throw OptionsError(
        "'" + word + "' is not a number up to " + Hex.text(limit, digits: 2) + " in hexadecimal")
    }
    numbers.append(number)
  }
  guard numbers.count == 5 else {
    throw OptionsError(
      "'" + text + "' is not bmRequestType,bRequest,wValue,wIndex,wLength, as in 80,06,0100,0000,0012")
  }
  let setup = SetupPacket(
    requestType: UInt8(numbers[0]), request: UInt8(numbers[1]), value: UInt16(numbers[2]),
    index: UInt16(numbers[3]), length: UInt16(numbers[4]))
  guard let data = Hex.bytes(Array(words.dropFirst(5)).joined()) else {
    throw OptionsError("'" + text + "': the data is not in hexadecimal, two digits a byte")
  }
  let expected = setup.isIn ? 0 : Int(setup.length)
  guard data.count == expected else {
    throw OptionsError("'\(text)': the data has to be \(expected) bytes, and is \(data.count)")
  }
  return .control(setup, data)
}

/// A report in hexadecimal; `..` behind it asks for zeros up to a whole packet.
private func parseReport(_ text: String) throws(OptionsError) -> ProbeTask {
  let isPadded = text.hasSuffix("..")
  let bytes = Hex.bytes(text.dropLast(isPadded ? 2 : 0).split(at: ",", " ").joined())
  if let bytes, !bytes.isEmpty, bytes.count <= 0xffff { return .exchange(bytes, isPadded: isPadded) }
  throw OptionsError("'" + text + "' is no report in hexadecimal, two digits a byte")
}

private func hexadecimal(_ text: String, atMost limit: UInt32) -> UInt32? {
  text.dropFirst(text.hasPrefix("0x") ? 2 : 0).number(radix: 16, atMost: limit)
}

private func seconds(_ option: Arguments.Option, from least: Int) throws(OptionsError) -> UInt32 {
  try optionValue(option) { text throws(OptionsError) in UInt32(try parseNumber(text, least...86_400)) }
}
