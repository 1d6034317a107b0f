// Text from pipes, files and sockets: all of it, in order, and no faster than it is used.
import CPosix
import Testing

@testable import usbredir_evloop

/// Takes as many characters as it is told to.
private final class Sink: TextInputOwner {
  var text = ""
  var room = Int.max
  var ends = 0

  func take(_ character: Unicode.Scalar, from stream: TextStream) -> Bool {
    guard room > 0 else { return false }
    room -= 1
    text.unicodeScalars.append(character)
    return true
  }

  func ended(_ stream: TextStream) {
    ends += 1
  }
}

/// A directory of its own, removed with all that is in it.
final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/evloop-virtual-XXXXXX".utf8CString)
    path = try unsafe template.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress, let made = unsafe mkdtemp(base) else {
        throw SystemError(code: posixErrno(), "mkdtemp")
      }
      return unsafe String(cString: made)
    }
  }

  deinit {
    for name in ["fifo", "file", "socket"] { _ = unsafe unlink(path + "/" + name) }
    _ = unsafe rmdir(path)
  }

  func fifo() -> String {
    _ = unsafe mkfifo(path + "/fifo", 0o600)
    return path + "/fifo"
  }

  func file(_ text: String) -> String {
    let name = path + "/file"
    let descriptor = unsafe posixOpen(name, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    write(descriptor, Array(text.utf8))
    close(descriptor)
    return name
  }

  /// Opens the file for writing, without ever waiting in `write`.
  func writer(_ path: String) -> Int32 {
    unsafe posixOpen(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0)
  }

  /// Connects to the unix socket at `path`.
  func connect(_ path: String) throws -> Int32 {
    let candidate = try ResolvedAddress.resolve(.unix(path)).get()[0]
    let descriptor = posixStreamSocket(AF_UNIX)
    let result = unsafe candidate.withPointer { unsafe CPosix.connect(descriptor, $0, $1) }
    #expect(result == 0)
    return descriptor
  }
}

/// How many bytes the kernel took.
@discardableResult private func write(_ descriptor: Int32, _ bytes: [UInt8]) -> Int {
  unsafe bytes.withUnsafeBytes { unsafe CPosix.write(descriptor, $0.baseAddress, $0.count) }
}

/// Runs turns until `isDone`, or too many of them.
private func run(_ loop: EventLoop, until isDone: () -> Bool) {
  let tick = Timer(loop) {}
  for _ in 0..<2000 where !isDone() {
    tick.start(milliseconds: 5)
    loop.turn()
    loop.reaps.run()
  }
}

struct TextInputTests {
  private let loop: EventLoop
  private let sink = Sink()
  private let scratch: Scratch
  private let log = Log(level: .error)

  init() throws {
    loop = try EventLoop()
    scratch = try Scratch()
  }

  private func open(_ source: String) throws -> TextInput {
    try TextInput(loop, source: source, log: log, owner: sink)
  }

  @Test func aFIFOOutlivesItsWriters() throws {
    let fifo = scratch.fifo()
    let input = try open(fifo)
    for word in ["one ", "two ", "€"] {
      let writer = scratch.writer(fifo)
      write(writer, Array(word.utf8))
      close(writer)
      run(loop) { sink.text.hasSuffix(word) }
    }
    #expect(sink.text == "one two €")
    #expect(sink.ends == 0)
    _ = input
  }

  @Test func theWriterBlocksWhileThereIsNoRoom() throws {
    let fifo = scratch.fifo()
    sink.room = 10
    let input = try open(fifo)
    let writer = scratch.writer(fifo)
    let bytes = (0..<200_000).map { UInt8(ascii: "a") + UInt8($0 % 26) }
    var written = 0
    func writeAll() {
      while written < bytes.count {
        let count = write(writer, Array(bytes[written..<min(written + 1000, bytes.count)]))
        if count <= 0 { break }
        written += count
      }
    }
    for _ in 0..<20 {
      writeAll()
      loop.reaps.run()
      let tick = Timer(loop) {}
      tick.start(milliseconds: 1)
      loop.turn()
    }
    #expect(sink.text.utf8.count == 10)
    #expect(written < 66_000, "the pipe's 64 KiB and one piece")
    while sink.text.utf8.count < bytes.count {
      let before = sink.text.utf8.count
      sink.room = 5000
      writeAll()
      input.resume()
      run(loop) { sink.room == 0 || sink.text.utf8.count == bytes.count || sink.text.utf8.count == written }
      #expect(sink.text.utf8.count > before)
      if sink.text.utf8.count == before { break }
    }
    let isAllThere = Array(sink.text.utf8) == bytes
    #expect(isAllThere)
    close(writer)
  }

  @Test func aFileIsReadOnceToItsEnd() throws {
    let text = String(repeating: "zeile €\r\n", count: 200)
    let input = try open(scratch.file(text))
    run(loop) { sink.ends == 1 }
    #expect(sink.text == String(repeating: "zeile €\n", count: 200))
    #expect(loop.reaps.isEmpty)
    _ = input
  }

  @Test func aFileWaitsForRoom() throws {
    sink.room = 3
    let input = try open(scratch.file("abcdef"))
    for _ in 0..<3 { loop.reaps.run() }
    #expect(sink.text == "abc")
    #expect(loop.reaps.isEmpty, "nothing to do until resume")
    sink.room = 9
    input.resume()
    run(loop) { sink.ends == 1 }
    #expect(sink.text == "abcdef")
  }

  @Test func whatIsCutOffAtTheEndIsNotLostSilently() throws {
    let input = try open(scratch.file("x"))
    run(loop) { sink.ends == 1 }
    let pipe = try Pipe()
    let stream = try TextStream(loop, descriptor: pipe.reader, isOwned: false, name: "pipe")
    unsafe stream.owner = sink
    write(pipe.writer, [0x79, 0xe2, 0x82])
    pipe.closeWriter()
    run(loop) { sink.ends == 2 }
    #expect(sink.text == "xy\u{fffd}")
    _ = input
  }

  @Test func severalWritersOnASocket() throws {
    let path = scratch.path + "/socket"
    let input = try open("unix:" + path)
    let first = try scratch.connect(path)
    let second = try scratch.connect(path)
    write(first, [0xe2])
    var turns = 0
    run(loop) {
      turns += 1
      return turns > 5
    }
    write(second, Array("b\r".utf8))
    run(loop) { sink.text == "b\n" }
    write(first, [0x82, 0xac])
    run(loop) { sink.text == "b\n€" }
    write(second, Array("\nc".utf8))
    run(loop) { sink.text == "b\n€c" }
    #expect(sink.text == "b\n€c", "each has a decoder of its own")
    close(first)
    run(loop) { sink.ends == 1 }
    let third = try scratch.connect(path)
    write(third, Array("!".utf8))
    run(loop) { sink.text.hasSuffix("!") }
    #expect(sink.text == "b\n€c!")
    close(second)
    close(third)
    run(loop) { sink.ends == 3 }
    #expect(sink.ends == 3)
    _ = input
  }

  @Test func whatCannotBeOpenedSaysWhatToDo() throws {
    let missing = #expect(throws: SystemError.self) { _ = try open(scratch.path + "/none") }
    let reason = "open \(scratch.path)/none for input: No such file or directory"
    #expect(missing?.description == reason + "; make it first, with mkfifo, or use unix:PATH")
    let other = try open("unix:" + scratch.path + "/socket")
    let socket = #expect(throws: SystemError.self) { _ = try open(scratch.path + "/socket") }
    #expect(socket?.description.hasSuffix("for a socket use unix:PATH") == true)
    _ = other
  }

  @Test func nullIsEmpty() throws {
    let input = try open("/dev/null")
    run(loop) { sink.ends == 1 }
    #expect(sink.text.isEmpty)
    _ = input
  }
}

/// Both ends of a pipe.
final class Pipe {
  let reader: Int32
  private(set) var writer: Int32

  init() throws {
    var ends: [Int32] = [-1, -1]
    let result = unsafe ends.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return Int32(-1) }
      return unsafe posixPipe(base, 1)
    }
    guard result == 0 else { throw SystemError(code: posixErrno(), "pipe") }
    reader = ends[0]
    writer = ends[1]
  }

  func closeWriter() {
    if writer >= 0 { close(writer) }
    writer = -1
  }

  deinit {
    closeWriter()
    close(reader)
  }
}

struct KeyboardInputTests {
  @Test func textThenInputWhileTheWriterWaits() throws {
    let scratch = try Scratch()
    let fifo = scratch.fifo()
    let loop = try EventLoop()
    let options = KeyboardOptions(text: "first ", input: fifo)
    let keyboard = try VirtualKeyboard(options, loop: loop, log: Log(level: .error), isPaced: false)
    let user = VirtualUser(loop, keyboard)
    let writer = scratch.writer(fifo)
    let long = (0..<400).map { UInt8(ascii: "a") + UInt8($0 % 26) }
    write(writer, long)
    for _ in 0..<5 { user.turn() }
    #expect(user.events == [], "nobody polls")
    var decoder = KeyDecoder()
    user.onCompleted = { [user = Unowned(user)] in user.value.submit($0) }
    for _ in 0..<4 { user.read(0x81) }
    user.run { user.events.count == 2 * 406 }
    decoder.read(user.take())
    #expect(decoder.text == "first " + String(decoding: long, as: UTF8.self))
    #expect(decoder.faults == [])
    write(writer, Array("again".utf8))
    user.run { user.events.count == 10 }
    decoder.read(user.take())
    #expect(decoder.text.hasSuffix("again"))
    #expect(decoder.text.utf8.count == 411)
    close(writer)
  }

  @Test func whatHasNoKeyIsNamedAndSkipped() throws {
    let scratch = try Scratch()
    var lines: [String] = []
    let loop = try EventLoop()
    let keyboard = try VirtualKeyboard(
      KeyboardOptions(input: scratch.file("a€b")), loop: loop, log: Log(level: .warning) { lines.append($1) },
      isPaced: false)
    let user = VirtualUser(loop, keyboard)
    for _ in 0..<4 { user.read(0x81) }
    user.run { user.events.count == 4 }
    var decoder = KeyDecoder()
    decoder.read(user.take())
    #expect(decoder.text == "ab")
    #expect(lines == ["keyboard input: cannot type '€' (U+20AC) on a US layout; skipped"])
  }

  @Test func inputThatCannotBeOpenedIsAnError() throws {
    let loop = try EventLoop()
    let options = VirtualDeviceOptions.keyboard(KeyboardOptions(input: "/nowhere/at/all"))
    let error = #expect(throws: VirtualDeviceError.self) {
      try options.make(loop: loop, log: Log(level: .error))
    }
    #expect(error?.description.hasPrefix("open /nowhere/at/all for input: No such file") == true)
  }
}
