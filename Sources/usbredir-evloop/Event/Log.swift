// The log: one line per message, one write(2) per line. A message below the level costs no allocation.
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
  private let sink: ((Level, String) -> Void)?

  /// - Parameter sink: takes the bare text of every line that the level lets through, instead of standard
  ///   error.
  init(level: Level, sink: ((Level, String) -> Void)? = nil) {
    self.level = level
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

  private func emit(_ level: Level, _ text: String) {
    if let sink { return sink(level, text) }
    var line = Log.line(level, text)
    line.withUTF8 { bytes in
      // A line that standard error does not take is lost: there is nobody left to tell.
      _ = unsafe write(2, bytes.baseAddress, bytes.count)
    }
  }
}
