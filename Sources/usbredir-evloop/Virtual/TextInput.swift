// Where a virtual device's text comes from while the server runs: standard input, a FIFO, a file, or a unix
// socket with several writers. It is read no faster than it is used, so the writer blocks and nothing is
// lost.
import CPosix

/// Uses text. Loop thread only.
protocol TextInputOwner: AnyObject {
  /// Takes one character; false when there is no room: it is offered again on `resume`. A line end is one
  /// `\n`.
  func take(_ character: Unicode.Scalar, from stream: TextStream) -> Bool
  /// The stream ends behind the last character taken from it.
  func ended(_ stream: TextStream)
}

/// A source of text, read from `init` until it is freed. Loop thread only.
final class TextInput: ListenerOwner {
  /// Writers that may be connected at once.
  static let maxWriters = 16

  private let loop: EventLoop
  private let log: Log
  private unowned(unsafe) let owner: any TextInputOwner
  private var listener: Listener?
  private var streams: [TextStream] = []

  /// - Parameters:
  ///   - source: `-`, `unix:PATH`, or the path of a FIFO or a file.
  ///   - owner: not retained; outlives the input.
  init(_ loop: EventLoop, source: String, log: Log, owner: any TextInputOwner) throws(SystemError) {
    self.loop = loop
    self.log = log
    unsafe self.owner = owner
    if source == "-" {
      add(try TextStream(loop, descriptor: 0, isOwned: false, name: "standard input"))
      return
    }
    if source.hasPrefix("unix:") {
      listener = try Listener(loop, .unix(source.dropFirst(5)), owner: self)
      return
    }
    add(try TextStream(loop, descriptor: try TextInput.open(source), isOwned: true, name: source))
  }

  /// A FIFO is opened for writing, too: while we are a writer it does not end when the last other one closes
  /// it (fifo(7)).
  private static func open(_ path: String) throws(SystemError) -> Int32 {
    var status = stat()
    let isFIFO = unsafe stat(path, &status) == 0 && status.st_mode & mode_t(S_IFMT) == mode_t(S_IFIFO)
    let descriptor = unsafe posixOpen(path, (isFIFO ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC, 0)
    guard descriptor < 0 else { return descriptor }
    let code = posixErrno()
    let advice: String? =
      switch code {
      case ENOENT: "make it first, with mkfifo, or use unix:PATH"
      case ENXIO: "for a socket use unix:PATH"
      default: nil
      }
    throw SystemError(code: code, "open \(path) for input", advice: advice)
  }

  /// Offers again what there was no room for.
  func resume() {
    for stream in streams { stream.resume() }
  }

  private func add(_ stream: TextStream) {
    unsafe stream.owner = owner
    stream.onEnd = { [input = Unowned(self)] stream, error in input.value.ended(stream, error) }
    streams.append(stream)
  }

  private func ended(_ stream: TextStream, _ error: SystemError?) {
    if let error { log.warning(error.description) }
    streams.removeAll { $0 === stream }
  }

  // MARK: ListenerOwner

  func accepted(_ listener: Listener, _ descriptor: Int32, from peer: String) {
    guard streams.count < TextInput.maxWriters else {
      close(descriptor)
      let address = listener.boundAddress.description
      return log.warning("\(address): a writer is turned away, there are \(streams.count) already")
    }
    do throws(SystemError) {
      let name = listener.boundAddress.description
      add(try TextStream(loop, descriptor: descriptor, isOwned: true, name: name))
    } catch {
      log.warning(error.description)
    }
  }

  func acceptFailed(_ listener: Listener, _ error: SystemError) {
    log.warning(error.description)
  }
}
