// Text input by the line, for devices that are told what to do by commands.

/// Uses lines. Loop thread only.
protocol LineOwner: AnyObject {
  /// False while lines have to wait: they are offered again on `resume`.
  var hasRoomForLine: Bool { get }
  /// Takes a line without its end. A line that it throws for is named in a warning and skipped.
  /// - Parameter number: counted from 1 for each connection to a socket, else for all that is read.
  func take(_ line: String, number: Int) throws(ScriptError)
}

/// Puts lines together, of several writers at a time. A line waits complete until its owner has room for it;
/// meanwhile its writer is not read. Loop thread only.
final class LineInput: TextInputOwner {
  private let name: String
  private let maxLine: Int
  private let log: Log
  private unowned(unsafe) let owner: any LineOwner
  private var input: TextInput?

  /// - Parameters:
  ///   - source: as for `TextInput`.
  ///   - name: what warnings call it.
  ///   - maxLine: bytes of one line.
  ///   - owner: not retained; outlives the input.
  init(
    _ loop: EventLoop, source: String, name: String, maxLine: Int, log: Log, owner: any LineOwner
  ) throws(SystemError) {
    self.name = name
    self.maxLine = maxLine
    self.log = log
    unsafe self.owner = owner
    input = try TextInput(loop, source: source, log: log, owner: self)
  }

  /// Offers again what there was no room for.
  func resume() {
    input?.resume()
  }

  // MARK: TextInputOwner

  func take(_ character: Unicode.Scalar, from stream: TextStream) -> Bool {
    guard character == "\n" else {
      // One byte too many is enough to know that the line is too long.
      if stream.line.utf8.count <= maxLine { stream.line.unicodeScalars.append(character) }
      return true
    }
    guard unsafe owner.hasRoomForLine else { return false }
    let line = stream.line
    stream.line = ""
    stream.lineNumber += 1
    do throws(ScriptError) {
      guard line.utf8.count <= maxLine else {
        throw ScriptError(line: stream.lineNumber, reason: "longer than \(maxLine) bytes")
      }
      try unsafe owner.take(line, number: stream.lineNumber)
    } catch {
      log.warning("\(name), \(printable(error.description)); skipped")
    }
    return true
  }

  func ended(_ stream: TextStream) {}
}
