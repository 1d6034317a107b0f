// The log's levels and lines, and the text of system errors.
import CPosix
import Testing

@testable import usbredir_evloop

struct LogTests {
  @Test(arguments: [
    (Log.Level.error, ["e"]), (.warning, ["e", "w"]), (.info, ["e", "w", "i"]),
    (.debug, ["e", "w", "i", "d"]),
  ])
  func tellsItsLevelAndThoseBelow(_ level: Log.Level, _ expected: [String]) {
    var told: [String] = []
    let log = Log(level: level) { _, text in told.append(text) }
    log.error("e")
    log.warning("w")
    log.info("i")
    log.debug("d")
    #expect(told == expected)
  }

  @Test func aLineThatIsOffIsNotEvenMade() {
    var made = 0
    func text() -> String {
      made += 1
      return ""
    }
    let log = Log(level: .info) { _, _ in }
    log.debug(text())
    #expect(made == 0)
    log.level = .debug
    log.debug(text())
    #expect(made == 1)
  }

  @Test(arguments: [
    (Log.Level.error, "usbredir-evloop: error: x\n"), (.warning, "usbredir-evloop: warning: x\n"),
    (.info, "usbredir-evloop: x\n"), (.debug, "usbredir-evloop: debug: x\n"),
  ])
  func namesTheLevel(_ level: Log.Level, _ line: String) {
    #expect(Log.line(level, "x") == line)
  }

  @Test func errorsSayWhatFailedAndWhatToDo() {
    #expect(SystemError(code: EMFILE, "accept").description == "accept: Too many open files")
    #expect(
      SystemError(code: EACCES, "bind x", advice: "ask").description == "bind x: Permission denied; ask")
    #expect(SystemError(code: 0, "resolve x", reason: "unknown").description == "resolve x: unknown")
  }
}
