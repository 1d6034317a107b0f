// One descriptor that text is read from, a bounded piece per turn.
import CPosix

/// Reads and decodes text for a `TextInputOwner`. Loop thread only.
final class TextStream {
  /// The owner's notes: the beginning of a line that is not complete yet, and how many came before it.
  var line = ""
  var lineNumber = 0
  unowned(unsafe) var owner: (any TextInputOwner)?
  /// Called once, when the text is used up to the end, or with what kept it from being read.
  var onEnd: ((TextStream, SystemError?) -> Void)?

  private static let pieceSize = 256

  private let descriptor: Int32
  private let isOwned: Bool
  private let name: String
  private var event: Event?
  private var work: Work?
  /// Regular files and /dev/null are always readable and cannot be watched (epoll_ctl(2), EPERM).
  private var isWatched = true
  private var piece = [UInt8](repeating: 0, count: TextStream.pieceSize)
  /// used ≤ received ≤ pieceSize
  private var used = 0
  private var received = 0
  private var hasEnded = false
  private var decoder = TextDecoder()
  /// A character that there was no room for.
  private var waiting: Unicode.Scalar?
  /// The owner may ask for more while it is given something.
  private var isInUse = false

  /// - Parameters:
  ///   - isOwned: whether the descriptor is closed in the end, also when this throws.
  ///   - name: for errors.
  init(_ loop: EventLoop, descriptor: Int32, isOwned: Bool, name: String) throws(SystemError) {
    self.descriptor = descriptor
    self.isOwned = isOwned
    self.name = name
    work = Work(on: loop.reaps) { [stream = Unowned(self)] in stream.value.readable() }
    event = unsafe Event(loop, descriptor: descriptor, [.read, .persist], context: self) { _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: TextStream.self).readable()
    }
    do throws(SystemError) {
      try event?.add()
    } catch {
      guard error.code == EPERM else { throw error }
      isWatched = false
      work?.schedule()
    }
  }

  deinit {
    work?.cancel()
    event = nil
    if isOwned { close(descriptor) }
  }

  /// Goes on where there was no room.
  func resume() {
    guard waiting != nil, !isInUse else { return }
    use()
  }

  /// One read per turn: standard input belongs to others, too, and is left blocking. It has something now,
  /// but a second read might wait.
  private func readable() {
    guard waiting == nil, !hasEnded else { return }
    let count = unsafe piece.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
    guard count >= 0 else { return failed(posixErrno()) }
    used = 0
    received = count
    hasEnded = count == 0
    if hasEnded { waiting = decoder.end() }
    use()
  }

  private func failed(_ code: Int32) {
    guard code != EAGAIN, code != EINTR else { return }
    hasEnded = true
    // A writer that was killed is no more than a writer that has gone.
    if code == ECONNRESET { return use() }
    stop()
    finish(SystemError(code: code, "read \(name)"))
  }

  /// Hands out what was read. Without room the descriptor is left alone until `resume`.
  private func use() {
    while let character = waiting ?? next() ?? lastLineEnd {
      isInUse = true
      let isTaken = unsafe owner?.take(character, from: self) ?? true
      isInUse = false
      waiting = isTaken ? nil : character
      guard isTaken else { return pause() }
    }
    if hasEnded {
      stop()
      finish(nil)
    } else if isWatched {
      watch()
    } else {
      work?.schedule()
    }
  }

  private func next() -> Unicode.Scalar? {
    while used < received {
      switch decoder.decode(piece[used]) {
      case .more: used += 1
      case .malformed(let character): return character
      case .character(let character):
        used += 1
        return character
      }
    }
    return nil
  }

  /// The end of the text ends its last line, too.
  private var lastLineEnd: Unicode.Scalar? { hasEnded && !line.isEmpty ? "\n" : nil }

  private func pause() {
    event?.remove()
  }

  private func watch() {
    do throws(SystemError) {
      try event?.add()
    } catch {
      stop()
      finish(error)
    }
  }

  private func stop() {
    hasEnded = true
    event = nil
    work?.cancel()
  }

  private func finish(_ error: SystemError?) {
    unsafe owner?.ended(self)
    let end = onEnd
    onEnd = nil
    end?(self, error)
  }
}
