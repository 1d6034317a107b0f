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

  @Test("B3.6: a reader that has stalled costs lines, never waits, and hears how many")
  func stalledReader() throws {
    let ends = try pipeEnds()
    defer { ends.forEach { close($0) } }
    let log = Log(level: .info, descriptor: ends[1])
    // A log that waits would wait for ever: then this one reads, every line comes through, and that fails.
    let (ours, peer) = try unixPair()
    let rescue = try BlockingCalls(try EventLoop())
    rescue.run({ [reader = ends[0]] in readAfterAWhile(reader, until: ours) }) {}
    // More than any pipe takes, pipe(7).
    let told = 2000
    for number in 0..<told { log.info("\(number) " + String(repeating: "x", count: 1000)) }
    hangUp(peer)
    rescue.drain()
    close(ours)
    let before = lines(taken(from: ends[0]))
    #expect(before.count < told)
    #expect(before.allSatisfy { $0.hasSuffix(" " + String(repeating: "x", count: 1000)) })
    log.info("again")
    log.info("and on")
    #expect(
      lines(taken(from: ends[0])) == [
        "usbredir-evloop: warning: \(told - before.count) lines were left out",
        "usbredir-evloop: again", "usbredir-evloop: and on",
      ])
  }

  @Test("B3.6: a line is no longer than what a pipe with room takes at once")
  func longLines() throws {
    let ends = try pipeEnds()
    defer { ends.forEach { close($0) } }
    let log = Log(level: .info, descriptor: ends[1])
    let start = "usbredir-evloop: "
    for text in ["x", String(repeating: "x", count: 5000), "ab" + String(repeating: "€", count: 2000)] {
      log.info(text)
      let bytes = taken(from: ends[0])
      let whole = Array((start + text).utf8)
      // 17 bytes in front, "ab" and 1358 € of three bytes each are 4093: the next one has no room.
      #expect(bytes.count == (text.hasPrefix("ab") ? 4094 : min(whole.count + 1, 4096)))
      #expect(bytes.last == 0x0a)
      #expect(whole.starts(with: bytes.dropLast()))
    }
  }

  private func pipeEnds() throws -> [Int32] {
    var ends: [Int32] = [-1, -1]
    guard unsafe pipe(&ends) == 0 else { throw SystemError(code: posixErrno(), "pipe") }
    return ends
  }

  /// Reads whatever comes from half a minute on, until the other end of `over` is hung up.
  private func readAfterAWhile(_ descriptor: Int32, until over: Int32) {
    var end = pollfd(fd: over, events: Int16(POLLIN), revents: 0)
    guard unsafe poll(&end, 1, 30_000) == 0 else { return }
    while unsafe poll(&end, 1, 1) == 0 { _ = taken(from: descriptor) }
  }

  /// What the pipe holds.
  private func taken(from descriptor: Int32) -> [UInt8] {
    var bytes: [UInt8] = []
    var some = [UInt8](repeating: 0, count: 4096)
    var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while unsafe poll(&ready, 1, 0) == 1 {
      let count = unsafe read(descriptor, &some, some.count)
      guard count > 0 else { break }
      bytes += some.prefix(count)
    }
    return bytes
  }

  private func lines(_ bytes: [UInt8]) -> [String] {
    String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { String($0) }
  }

  @Test func errorsSayWhatFailedAndWhatToDo() {
    #expect(SystemError(code: EBADF, "accept").description == "accept: Bad file descriptor")
    #expect(
      SystemError(code: EMFILE, "accept").description
        == "accept: Too many open files; raise the limit (ulimit -n)")
    #expect(
      SystemError(code: EACCES, "bind x", advice: "ask").description == "bind x: Permission denied; ask")
    #expect(SystemError(code: 0, "resolve x", reason: "unknown").description == "resolve x: unknown")
  }
}
