// The log: one line per message, one write(2) per line. A message below the level costs no allocation. A reader
// that has stalled costs lines and never waits: the write only happens where poll(2) sees room for it.
import CPosix

/// Lines on standard error, or in a test's closure. Loop thread only.
final class Log {
  /// How much is told; each level includes those before it.
  enum Level: UInt8 {
    case error = 1
    case warning, info, debug
  }

  /// What is told now; may change at any time.
  var level: Level
  private let descriptor: Int32
  private let sink: ((Level, String) -> Void)?
  /// Lines that the descriptor did not take since it last took one.
  private var leftOut: UInt64 = 0

  /// - Parameters:
  ///   - descriptor: where the lines go, standard error unless a test says otherwise; it stays the caller's.
  ///   - sink: takes the bare text of every line that the level lets through, instead of the descriptor.
  init(level: Level, descriptor: Int32 = 2, sink: ((Level, String) -> Void)? = nil) {
    self.level = level
    self.descriptor = descriptor
    self.sink = sink
  }

  /// Something failed and will not happen.
  func error(_ text: @autoclosure () -> String) {
    if level.rawValue >= Level.error.rawValue { emit(.error, text()) }
  }

  /// Something is wrong and the work goes on.
  func warning(_ text: @autoclosure () -> String) {
    if level.rawValue >= Level.warning.rawValue { emit(.warning, text()) }
  }

  /// What an operator wants to know: guests and devices that come and go.
  func info(_ text: @autoclosure () -> String) {
    if level.rawValue >= Level.info.rawValue { emit(.info, text()) }
  }

  /// What a developer wants to know.
  func debug(_ text: @autoclosure () -> String) {
    if level.rawValue >= Level.debug.rawValue { emit(.debug, text()) }
  }

  /// The whole line as it is written, newline included.
  static func line(_ level: Level, _ text: String) -> String {
    let word: String
    switch level {
    case .error: word = "error: "
    case .warning: word = "warning: "
    case .info: word = ""
    case .debug: word = "debug: "
    }
    return "usbredir-evloop: " + word + text + "\n"
  }

  /// Bytes of the longest line: a pipe that is ready for writing takes so many at once, pipe(7), PIPE_BUF.
  static let longestLine = 4096

  private func emit(_ level: Level, _ text: String) {
    if let sink { return sink(level, text) }
    if leftOut > 0, write(Log.line(.warning, "\(leftOut) lines were left out")) { leftOut = 0 }
    if leftOut > 0 || !write(Log.line(level, text)) { leftOut += 1 }
  }

  /// False when the line is lost. O_NONBLOCK is not ours to set: it would hold for everyone who has the same
  /// open file, open(2).
  private func write(_ line: String) -> Bool {
    var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard unsafe poll(&room, 1, 0) == 1, room.revents & Int16(POLLOUT) != 0 else { return false }
    let bytes = Log.cut(line)
    return unsafe bytes.withUnsafeBytes { unsafe CPosix.write(descriptor, $0.baseAddress, $0.count) } >= 0
  }

  /// The line's UTF-8, cut between characters to `longestLine`, the newline included.
  private static func cut(_ line: String) -> [UInt8] {
    var bytes = Array(line.utf8)
    guard bytes.count > longestLine else { return bytes }
    var end = longestLine - 1
    while end > 0 && bytes[end] & 0xc0 == 0x80 { end -= 1 }
    bytes.removeSubrange(end...)
    bytes.append(0x0a)
    return bytes
  }
}
