// The language of a scripted device, one command a line. Endpoints, requests and data are in hexadecimal,
// times in decimal; `#` begins a comment; spaces within data are allowed.
//
//     report EP HEX…             the next IN transfer on EP brings these bytes; they queue up, none is lost
//     stall EP                   the next transfer on EP stalls, and EP stays halted until that is cleared
//     error EP ERROR             the next transfer on EP fails: ioerror, timeout, babble, nomem, refused
//     cancelled EP HEX…          the next transfer cancelled on EP comes back cancelled, but with these bytes
//     hold EP | calls            transfers on EP (00: control), or device calls, wait …
//     release EP | calls         … until now
//     answer TYPE REQUEST VALUE INDEX ANSWER
//                                from now on the control request gets this answer: HEX… (may be empty),
//                                stall, or ERROR; VALUE and INDEX may be *. The latest that matches counts
//     fail CALL [RESULT]         the next CALL (set-configuration, set-alternate-setting, clear-halt, reset,
//                                cancel, alloc-streams, free-streams) ends with failed (default), stalled,
//                                changed or gone
//     unplug, plug               takes the device away and brings it back
//     delay MS                   the commands behind it wait so long
//     wait EP                    … or until the guest has posted a transfer on EP
//
// A script starts with the first transfer that the guest sends.

/// How a control request is answered that a script has a rule for.
struct ControlRule: Equatable {
  enum Answer: Equatable {
    case data([UInt8])
    case fails(TransferStatus)
  }

  var requestType: UInt8
  var request: UInt8
  /// wValue and wIndex; nil matches any.
  var value: UInt16?
  var index: UInt16?
  var answer: Answer

  func matches(_ setup: SetupPacket) -> Bool {
    requestType == setup.requestType && request == setup.request && (value ?? setup.value) == setup.value
      && (index ?? setup.index) == setup.index
  }
}

/// A device call without its arguments, by the name that scripts and records use.
enum CallName: String, CaseIterable {
  case setConfiguration = "set-configuration"
  case setAlternateSetting = "set-alternate-setting"
  case clearHalt = "clear-halt"
  case reset
  case allocateStreams = "alloc-streams"
  case freeStreams = "free-streams"
  case cancel

  init(_ call: DeviceCall) {
    switch call {
    case .setConfiguration: self = .setConfiguration
    case .setAlternateSetting: self = .setAlternateSetting
    case .clearHalt: self = .clearHalt
    case .reset: self = .reset
    case .allocateStreams: self = .allocateStreams
    case .freeStreams: self = .freeStreams
    case .cancel: self = .cancel
    }
  }
}

/// One line of a script.
enum ScriptCommand: Equatable {
  case report(EndpointAddress, [UInt8])
  case error(EndpointAddress, TransferStatus)
  case cancelled(EndpointAddress, [UInt8])
  case hold(EndpointAddress)
  case release(EndpointAddress)
  case holdCalls
  case releaseCalls
  case answer(ControlRule)
  case fail(CallName, DeviceCallResult)
  case unplug
  case plug
  /// Milliseconds.
  case delay(UInt32)
  case wait(EndpointAddress)

  /// The command on one line; nil for an empty line or a comment.
  /// - Parameter number: the line's number, for the error.
  static func parse(_ line: String, number: Int) throws(ScriptError) -> ScriptCommand? {
    var words = ScriptWords(line, number: number)
    guard let name = words.next() else { return nil }
    let command = try parse(name, &words)
    try words.end()
    return command
  }

  /// All commands of a script.
  static func parse(script: String) throws(ScriptError) -> [ScriptCommand] {
    var commands: [ScriptCommand] = []
    var number = 0
    for line in script.split(at: "\n") {
      number += 1
      if let command = try parse(line, number: number) { commands.append(command) }
    }
    return commands
  }

  private static func parse(
    _ name: String, _ words: inout ScriptWords
  ) throws(ScriptError) -> ScriptCommand {
    switch name {
    case "report": return .report(try words.endpoint(), try words.data())
    case "stall": return .error(try words.endpoint(), .stalled)
    case "error": return .error(try words.endpoint(), try words.failure())
    case "cancelled": return .cancelled(try words.endpoint(), try words.data())
    case "hold": return words.skip("calls") ? .holdCalls : .hold(try words.endpoint())
    case "release": return words.skip("calls") ? .releaseCalls : .release(try words.endpoint())
    case "answer": return .answer(try words.rule())
    case "fail": return .fail(try words.call(), try words.result())
    case "unplug": return .unplug
    case "plug": return .plug
    case "delay": return .delay(try words.milliseconds())
    case "wait": return .wait(try words.endpoint())
    default: throw words.error("unknown command '\(name)'")
    }
  }
}

/// What the words of a scripted device's commands mean.
extension ScriptWords {
  private mutating func byte(_ what: String) throws(ScriptError) -> UInt8 {
    UInt8(try number(what, atMost: 0xff))
  }

  fileprivate mutating func endpoint() throws(ScriptError) -> EndpointAddress {
    let address = EndpointAddress(rawValue: try byte("endpoint"))
    guard address.isValid else { throw error("'\(address.description)' is no endpoint") }
    return address
  }

  /// All that is left of the line.
  fileprivate mutating func data() throws(ScriptError) -> [UInt8] {
    var bytes: [UInt8] = []
    while let word = next() {
      guard let more = Hex.bytes(word) else { throw error("'\(word)' is no data in hexadecimal") }
      bytes += more
    }
    return bytes
  }

  fileprivate mutating func failure() throws(ScriptError) -> TransferStatus {
    let word = try next("error")
    guard let status = status(word) else {
      throw error("'\(word)' is no error: use ioerror, timeout, babble, nomem or refused")
    }
    return status
  }

  private func status(_ word: String) -> TransferStatus? {
    switch word {
    case "ioerror": return .failed
    case "timeout": return .timedOut
    case "babble": return .overflow
    case "nomem": return .noMemory
    case "refused": return .refused
    default: return nil
    }
  }

  private mutating func anyOr(_ what: String) throws(ScriptError) -> UInt16? {
    if skip("*") { return nil }
    return UInt16(try number(what, atMost: 0xffff))
  }

  fileprivate mutating func rule() throws(ScriptError) -> ControlRule {
    let requestType = try byte("request type")
    let request = try byte("request")
    let value = try anyOr("value")
    let index = try anyOr("index")
    return ControlRule(
      requestType: requestType, request: request, value: value, index: index, answer: try answer())
  }

  private mutating func answer() throws(ScriptError) -> ControlRule.Answer {
    if skip("stall") { return .fails(.stalled) }
    guard let word = first, let status = status(word) else { return .data(try data()) }
    _ = next()
    return .fails(status)
  }

  fileprivate mutating func call() throws(ScriptError) -> CallName {
    let word = try next("call")
    guard let call = CallName.allCases.first(where: { $0.rawValue == word }) else {
      throw error("'\(word)' is no call")
    }
    return call
  }

  fileprivate mutating func result() throws(ScriptError) -> DeviceCallResult {
    guard let word = next() else { return .failed }
    switch word {
    case "failed": return .failed
    case "stalled": return .stalled
    case "changed": return .changed
    case "gone": return .deviceGone
    default: throw error("'\(word)' is no result: use failed, stalled, changed or gone")
    }
  }
}
