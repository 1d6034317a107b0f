// The script's grammar, and scripts that run.
import CPosix
import Testing

@testable import usbredir_evloop

struct ScriptCommandTests {
  @Test(
    arguments: [
      ("report 81 01 02ff", .report(EndpointAddress(rawValue: 0x81), [1, 2, 255])),
      ("\treport 81 # an empty one", .report(EndpointAddress(rawValue: 0x81), [])),
      ("stall 81", .error(EndpointAddress(rawValue: 0x81), .stalled)),
      ("error 1 ioerror", .error(EndpointAddress(rawValue: 1), .failed)),
      ("error 81 timeout", .error(EndpointAddress(rawValue: 0x81), .timedOut)),
      ("error 81 babble", .error(EndpointAddress(rawValue: 0x81), .overflow)),
      ("error 81 nomem", .error(EndpointAddress(rawValue: 0x81), .noMemory)),
      ("error 81 refused", .error(EndpointAddress(rawValue: 0x81), .refused)),
      ("cancelled 81 aA", .cancelled(EndpointAddress(rawValue: 0x81), [0xaa])),
      ("hold 01", .hold(EndpointAddress(rawValue: 1))),
      ("release 01", .release(EndpointAddress(rawValue: 1))),
      ("hold calls", .holdCalls),
      ("release calls", .releaseCalls),
      ("fail reset changed", .fail(.reset, .changed)),
      ("fail clear-halt", .fail(.clearHalt, .failed)),
      ("fail set-configuration gone", .fail(.setConfiguration, .deviceGone)),
      ("unplug", .unplug),
      ("plug\r", .plug),
      ("delay 250", .delay(250)),
      ("wait 81", .wait(EndpointAddress(rawValue: 0x81))),
      (
        "answer 80 06 0300 * 04030904",
        .answer(
          ControlRule(
            requestType: 0x80, request: 6, value: 0x300, index: nil, answer: .data([4, 3, 9, 4])))
      ),
      (
        "answer 40 1 * 2 stall",
        .answer(ControlRule(requestType: 0x40, request: 1, value: nil, index: 2, answer: .fails(.stalled)))
      ),
      (
        "answer 40 1 * * ioerror",
        .answer(ControlRule(requestType: 0x40, request: 1, value: nil, index: nil, answer: .fails(.failed)))
      ),
      (
        "answer 40 1 * *",
        .answer(ControlRule(requestType: 0x40, request: 1, value: nil, index: nil, answer: .data([])))
      ),
    ] as [(String, ScriptCommand)])
  func each(_ line: String, _ command: ScriptCommand) throws {
    #expect(try ScriptCommand.parse(line, number: 1) == command)
  }

  @Test(arguments: ["", "   ", "# report 81", "\t\r"])
  func nothing(_ line: String) throws {
    #expect(try ScriptCommand.parse(line, number: 1) == nil)
  }

  @Test(arguments: [
    ("jump", "unknown command 'jump'"),
    ("report", "endpoint is missing"),
    ("report 91 00", "'0x91' is no endpoint"),
    ("report 181", "'181' is no endpoint"),
    ("report 81 0", "'0' is no data in hexadecimal"),
    ("report 81 0x00", "'0x00' is no data in hexadecimal"),
    ("stall 81 now", "nothing may follow, but 'now' does"),
    ("error 81", "error is missing"),
    ("error 81 enoent", "'enoent' is no error: use ioerror, timeout, babble, nomem or refused"),
    ("delay", "time in milliseconds is missing"),
    ("delay -1", "'-1' is no time in milliseconds"),
    ("delay 1s", "'1s' is no time in milliseconds"),
    ("fail", "call is missing"),
    ("fail everything", "'everything' is no call"),
    ("fail reset twice", "'twice' is no result: use failed, stalled, changed or gone"),
    ("answer 80 06 0300", "index is missing"),
    ("answer 80 06 10000 0", "'10000' is no value"),
    ("unplug 81", "nothing may follow, but '81' does"),
  ])
  func faults(_ line: String, _ reason: String) {
    #expect(throws: ScriptError(line: 7, reason: reason)) { try ScriptCommand.parse(line, number: 7) }
  }

  @Test func aFaultNamesItsLine() {
    let error = #expect(throws: ScriptError.self) {
      try ScriptCommand.parse(script: "stall 81\n\n# fine\r\nstall\nplug")
    }
    #expect(error?.description == "line 4: endpoint is missing")
  }
}

struct ScriptRunnerTests {
  private let loop: EventLoop
  private let scratch: Scratch
  private let log = Log(level: .error)

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
  }

  private func user(_ options: ScriptedOptions) throws -> VirtualUser {
    VirtualUser(loop, try VirtualDeviceOptions.scripted(options).make(loop: loop, log: log))
  }

  @Test func aScriptStartsWithTheGuestAndKeepsItsTime() throws {
    let script = """
      report 81 01
      delay 10
      report 81 02
      wait 82
      answer c0 01 * * 0506
      stall 81
      report 82 aabb
      """
    let user = try user(ScriptedOptions(script: scratch.file(script)))
    user.turn()
    for _ in 0..<3 { user.read(0x81) }
    user.turn()
    #expect(user.take() == ["81 completed 01"])
    #expect(user.control(0xc0, 1, 0, 0, length: 2) == "80 stalled")
    user.run { !user.events.isEmpty }
    #expect(user.take() == ["81 completed 02"])
    user.submit(0x82, .bulk, length: 64)
    user.run { user.events.count == 2 }
    #expect(user.take().sorted() == ["81 stalled", "82 completed aabb"])
    #expect(user.control(0xc0, 1, 0, 0, length: 2) == "80 completed 0506")
  }

  @Test func unplugAndPlugAgain() throws {
    let user = try user(ScriptedOptions(script: scratch.file("unplug\ndelay 5\nplug\nreport 81 01")))
    var plugs = 0
    user.device.onPlug = { plugs += 1 }
    user.read(0x81)
    user.run { user.events.count == 2 }
    #expect(user.take() == ["gone", "81 deviceGone"])
    user.device.close {}
    user.run { plugs == 1 }
    #expect(plugs == 1)
    user.device.owner = user
    user.read(0x81)
    user.run { !user.events.isEmpty }
    #expect(user.take() == ["81 completed 01"])
  }

  @Test func commandsComeInWhileItRuns() throws {
    let fifo = scratch.fifo()
    let user = try user(ScriptedOptions(input: fifo))
    let writer = scratch.writer(fifo)
    user.read(0x81)
    user.turn()
    write(writer, "report 81 0")
    user.turn()
    write(writer, "1\nnonsense\nreport 81 02\n")
    user.run { !user.events.isEmpty }
    #expect(user.take() == ["81 completed 01"])
    user.read(0x81)
    user.run { !user.events.isEmpty }
    #expect(user.take() == ["81 completed 02"])
    close(writer)
  }

  @Test func manyReportsOfAnInputAllArrive() throws {
    let count = 300
    let lines = (0..<count).map { "report 81 " + Hex.text(UInt32($0), digits: 4) + "\n" }.joined()
    let user = try user(ScriptedOptions(input: scratch.file(lines)))
    user.onCompleted = { [user = Unowned(user)] in user.value.submit($0) }
    user.read(0x81)
    user.run { user.events.count == count }
    #expect(user.take() == (0..<count).map { "81 completed " + Hex.text(UInt32($0), digits: 4) })
  }

  @Test func aScriptWithAFaultIsRefused() throws {
    let path = scratch.file("report 81 01\nreport 81 0g\n")
    let error = #expect(throws: VirtualDeviceError.self) { _ = try user(ScriptedOptions(script: path)) }
    #expect(error?.description == "script \(path), line 2: '0g' is no data in hexadecimal")
    let missing = #expect(throws: VirtualDeviceError.self) {
      _ = try user(ScriptedOptions(script: "/none/here"))
    }
    #expect(missing?.description == "open script /none/here: No such file or directory")
  }

  private func write(_ descriptor: Int32, _ text: String) {
    let bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe CPosix.write(descriptor, $0.baseAddress, $0.count) }
  }
}
