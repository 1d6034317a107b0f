// The built program from outside: its exit status, its lines on standard error, its signals.
import CPosix
import Foundation
import Testing

@testable import usbredir_evloop

private final class BundleMark {}

/// One run of the program. Killed with its owner. Private like everything that starts programs: suites that do are
/// named `…ProgramTests` and run by themselves (TidyTests).
private final class Program {
  private let process = Process()
  private let errors = Foundation.Pipe()
  private let output = Foundation.Pipe()

  /// - Parameter options: the launcher's own.
  init(_ arguments: [String], under launcher: String? = nil, with options: [String] = []) throws {
    // The product is built beside the test bundle.
    let product = Bundle(for: BundleMark.self).bundleURL.appending(path: "usbredir-evloop")
    process.executableURL = launcher.map { URL(filePath: $0) } ?? product
    process.arguments = launcher == nil ? arguments : options + [product.path] + arguments
    process.standardInput = FileHandle.nullDevice
    process.standardError = errors
    process.standardOutput = output
    try process.run()
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
  }

  func signal(_ number: Int32) { kill(process.processIdentifier, number) }

  /// The next lines of standard error, up to and with one that has `text`.
  func lines(until text: String) -> [String] {
    var line: [UInt8] = []
    var lines: [String] = []
    while let byte = nextByte() {
      if byte != UInt8(ascii: "\n") {
        line.append(byte)
        continue
      }
      lines.append(String(decoding: line, as: UTF8.self))
      line = []
      if lines.last?.contains(text) == true { return lines }
    }
    Issue.record("no line has '\(text)': \(lines)")
    return lines
  }

  /// The next byte of standard output.
  func outputByte() -> UInt8? { byte(of: output) }

  /// What proc(5) says of each of its threads: name → words.
  func threadStatus() throws -> [[String: [String]]] {
    let tasks = "/proc/\(process.processIdentifier)/task"
    return try FileManager.default.contentsOfDirectory(atPath: tasks).map { thread in
      let text = try String(contentsOfFile: "\(tasks)/\(thread)/status", encoding: .utf8)
      let fields = text.split(separator: "\n").map { $0.split(separator: ":", maxSplits: 1) }
      return Dictionary(
        uniqueKeysWithValues: fields.map {
          (String($0[0]), $0.dropFirst().joined().split(whereSeparator: \.isWhitespace).map(String.init))
        })
    }
  }

  private func nextByte() -> UInt8? { byte(of: errors) }

  private func byte(of pipe: Foundation.Pipe) -> UInt8? {
    let descriptor = pipe.fileHandleForReading.fileDescriptor
    var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    var byte: UInt8 = 0
    guard unsafe poll(&ready, 1, 60_000) == 1, unsafe read(descriptor, &byte, 1) == 1 else { return nil }
    return byte
  }

  /// Waits for the end; -1 if it does not come.
  func status() -> Int32 {
    let deadline = monotonicNanoseconds() + 60_000_000_000
    while process.isRunning && monotonicNanoseconds() < deadline { usleep(5000) }
    guard !process.isRunning else { return -1 }
    return process.terminationReason == .exit ? process.terminationStatus : 1000 + process.terminationStatus
  }

  /// What is left on standard error and standard output; after the end.
  func rest() -> (errors: String, output: String) {
    let (errors, output) = (errors.fileHandleForReading, output.fileHandleForReading)
    return (
      String(decoding: errors.readDataToEndOfFile(), as: UTF8.self),
      String(decoding: output.readDataToEndOfFile(), as: UTF8.self)
    )
  }
}

/// A guest's blocking socket.
private func connected(to path: String) throws -> Int32 {
  let address = try ResolvedAddress.resolve(.unix(path)).get()[0]
  let descriptor = posixStreamSocket(AF_UNIX)
  #expect(unsafe address.withPointer { unsafe connect(descriptor, $0, $1) } == 0)
  return descriptor
}

struct ProgramTests {
  @Test func version() throws {
    let program = try Program(["--version"])
    #expect(program.status() == 0)
    #expect(program.rest() == ("", productVersion + "\n"))
  }

  @Test(
    "what fails is one line, and a status",
    arguments: [
      (["serve", "virtual=keyboard,lisen=:1"], 2, "did you mean 'listen'?"),
      (["serve", "virtual=disk,image=/nowhere/x,listen=:0"], 1, "image /nowhere/x: No such file"),
      (["serve", "virtual=keyboard,listen=192.0.2.1:1"], 1, "no interface has this address"),
      (["serve", "virtual=keyboard,connect=unix:/nowhere/x,reconnect=0"], 1, "nobody listens there"),
      (["usbredirect", "--device", "dead:beef"], 1, "neither --to nor --as"),
      (["usbredirserver", "dead:beef", "-p", "x"], 1, "port"),
    ] as [([String], Int32, String)])
  func failures(_ arguments: [String], _ status: Int32, _ text: String) throws {
    let program = try Program(arguments)
    #expect(program.status() == status)
    let (errors, output) = program.rest()
    let lines = errors.split(separator: "\n").filter { !$0.contains("stopping") }
    #expect(lines.count == 1, "\(errors)")
    #expect(errors.contains(text))
    #expect(output == "")
  }

  @Test("usbredirect without its device says what to do")
  func missingDevice() throws {
    let program = try Program(["usbredirect", "--device", "dead:beef", "--to", "127.0.0.1:1"])
    #expect(program.status() == 1)
    #expect(
      program.rest().errors.hasSuffix(
        "error: device id=dead:beef is not plugged in; plug it in or choose another, "
          + "'usbredir-evloop list' shows what is there\n"))
  }

  @Test("usbredirserver closes a guest while its device is missing, and listens on")
  func serverWithoutDevice() throws {
    let program = try Program(["usbredirserver", "-4", "127.0.0.1", "-p", "0", "dead:beef"])
    let line = program.lines(until: "listening on ").last ?? ""
    let port = try #require(line.split(separator: ":").last.flatMap { UInt16($0) })
    let address = try ResolvedAddress.resolve(.host("127.0.0.1", port: port)).get()[0]
    for _ in 0..<2 {
      let guest = posixStreamSocket(AF_INET)
      defer { close(guest) }
      _ = unsafe address.withPointer { unsafe connect(guest, $0, $1) }
      var ready = pollfd(fd: guest, events: Int16(POLLOUT), revents: 0)
      #expect(unsafe poll(&ready, 1, 60_000) == 1)
      let bytes = hello(.all)
      #expect(unsafe bytes.withUnsafeBytes { unsafe send(guest, $0.baseAddress, $0.count, 0) } == bytes.count)
      #expect(program.lines(until: "ended: ").last?.contains("dead:beef is not plugged in") == true)
    }
    program.signal(SIGTERM)
    #expect(program.status() == 0)
  }

  /// Some who start programs block signals: Foundation's Process on such a thread is one.
  @Test("a signal gives everything back, status 0", arguments: [SIGTERM, SIGINT, SIGHUP])
  func signals(_ number: Int32) throws {
    let path = socketPath("signal-\(number)")
    let program = try Program(["serve", "virtual=keyboard,listen=unix:\(path)"])
    _ = program.lines(until: "listening on ")
    let guest = try connected(to: path)
    defer { close(guest) }
    _ = program.lines(until: "connected")
    program.signal(number)
    #expect(program.status() == 0)
    #expect(program.rest().errors.contains("ended: the server stops"))
    #expect(unsafe access(path, F_OK) != 0)
  }

  @Test("what nohup(1) started outlives its terminal")
  func ignoredHangUp() throws {
    let program = try Program(["serve", "virtual=keyboard,listen=127.0.0.1:0"], under: "/usr/bin/nohup")
    _ = program.lines(until: "listening on ")
    program.signal(SIGHUP)
    program.signal(SIGTERM)
    #expect(program.lines(until: "stopping").filter { $0.contains("stopping") }.count == 1)
    #expect(program.status() == 0)
    #expect(!program.rest().errors.contains("stopping"))
  }

  @Test("a second signal does not wait for a device that is not given back: status 1")
  func secondSignal() throws {
    let path = socketPath("second-signal")
    try "hold calls\n".write(toFile: path + ".script", atomically: true, encoding: .utf8)
    defer { _ = unsafe unlink(path + ".script") }
    let program = try Program(["serve", "virtual=scripted,script=\(path).script,listen=unix:\(path)"])
    _ = program.lines(until: "listening on ")
    let guest = try connected(to: path)
    defer { close(guest) }
    let bytes = hello(.all) + packet(StartInterruptReceivingHeader(endpoint: 0x81), id: 1, .all)
    #expect(unsafe bytes.withUnsafeBytes { unsafe send(guest, $0.baseAddress, $0.count, 0) } == bytes.count)
    _ = program.lines(until: "announced")
    // The stream runs when its start is answered.
    let reader = PacketReader(role: .usbGuest, capabilities: .all)
    let transcript = Transcript()
    var words: [String] = []
    while !words.contains("interrupt_status 81 #1 success") {
      var ready = pollfd(fd: guest, events: Int16(POLLIN), revents: 0)
      try #require(unsafe poll(&ready, 1, 60_000) == 1)
      let received = readAvailable(guest)
      try #require(!received.isEmpty)
      feed(reader, received, transcript)
      words += transcript.take()
    }
    program.signal(SIGTERM)
    _ = program.lines(until: "stopping")
    program.signal(SIGTERM)
    #expect(program.status() == 1)
  }

  @Test("--ready-fd gets its line when everything listens")
  func ready() throws {
    let program = try Program(["serve", "--ready-fd", "1", "virtual=keyboard,listen=127.0.0.1:0"])
    _ = program.lines(until: "listening on ")
    program.signal(SIGTERM)
    #expect(program.status() == 0)
    #expect(program.rest().output == "\n")
  }

  @Test(
    "--user is an ordinary user with no capability, in every thread; the socket was bound before",
    .enabled(if: geteuid() == 0, "only root can become another user"))
  func user() throws {
    let directory = socketPath("user")
    #expect(unsafe mkdir(directory, 0o755) == 0)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/socket"
    let image = directory + "/image"
    #expect(FileManager.default.createFile(atPath: image, contents: Data(count: 4096)))
    let program = try Program([
      "serve", "--ready-fd", "1", "--user", "nobody", "virtual=disk,image=\(image),listen=unix:\(path)",
    ])
    #expect(program.outputByte() == UInt8(ascii: "\n"))
    guard let nobody = unsafe getpwnam("nobody") else { throw SystemError(code: ENOENT, "getpwnam") }
    let (uid, gid) = unsafe (String(nobody.pointee.pw_uid), String(nobody.pointee.pw_gid))
    for status in try program.threadStatus() {
      #expect(status["Uid"] == [uid, uid, uid, uid])
      #expect(status["Gid"] == [gid, gid, gid, gid])
      #expect(status["Groups"] == [gid])
      for capabilities in ["CapPrm", "CapEff", "CapAmb"] {
        #expect(status[capabilities] == ["0000000000000000"])
      }
      #expect(status["NoNewPrivs"] == ["1"])
    }
    let guest = try connected(to: path)
    defer { close(guest) }
    _ = program.lines(until: "connected")
    program.signal(SIGTERM)
    #expect(program.status() == 0)
    // Its directory is root's: the next start replaces it.
    #expect(unsafe access(path, F_OK) == 0)
    let next = try Program(["serve", "virtual=keyboard,listen=unix:\(path)"])
    _ = next.lines(until: "listening on ")
    next.signal(SIGTERM)
    #expect(next.status() == 0)
    #expect(unsafe access(path, F_OK) != 0)
  }

  @Test(
    "--user of nobody, of root, by an ordinary user, and by one who can become root",
    .enabled(if: geteuid() == 0, "only root can become another user"),
    arguments: [
      ([], "nosuch", "--user nosuch: there is no such user; make it (adduser --system) or name another"),
      ([], "root", "--user root: this is root, who may do everything; name an ordinary user"),
      (
        ["--reuid=daemon", "--regid=daemon", "--clear-groups"], "nobody",
        "--user nobody: Operation not permitted; start the server as root, or leave the option out"
      ),
      (
        [
          "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=+setuid",
          "--ambient-caps=+setuid",
        ], "nobody", "--user nobody: the process can become root again; start it without CAP_SETUID"
      ),
    ] as [([String], String, String)])
  func userRefused(_ launch: [String], _ user: String, _ text: String) throws {
    let arguments = ["serve", "--user", user, "virtual=keyboard,listen=127.0.0.1:0"]
    let program =
      launch.isEmpty
      ? try Program(arguments) : try Program(arguments, under: "/usr/bin/setpriv", with: launch)
    #expect(program.status() == 1)
    #expect(program.rest().errors.hasSuffix("usbredir-evloop: error: \(text)\n"))
  }

  @Test("--user of who it is already", .enabled(if: geteuid() == 0, "only root can become another user"))
  func userAlready() throws {
    let program = try Program(
      ["serve", "--user", "nobody", "virtual=keyboard,listen=127.0.0.1:0"], under: "/usr/bin/setpriv",
      with: ["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
    _ = program.lines(until: "listening on ")
    program.signal(SIGTERM)
    #expect(program.status() == 0)
  }

  @Test("probe against serve: what is asked for is done in order, and a failure is a status")
  func probe() throws {
    let path = socketPath("probe")
    let server = try Program(["serve", "virtual=scripted,listen=unix:\(path)"])
    _ = server.lines(until: "listening on ")
    let probe = try Program([
      "probe", "--json", "--alt", "0:1", "--control", "80,00,0000,0000,0002", "--control", "c0,1,0,0,1",
      "--write", "02:1K:64", "unix:" + path,
    ])
    #expect(probe.status() == 1)
    let (errors, output) = probe.rest()
    #expect(errors == "usbredir-evloop: control c0,01,0000,0000,0001: stall\n")
    let events = output.split(separator: "\n").suffix(5).compactMap {
      $0.firstMatch(of: /^{"event": "(\w+)"/)?.output.1
    }
    #expect(events == ["alt", "control", "control", "write", "end"])
    server.signal(SIGTERM)
    #expect(server.status() == 0)
  }

  @Test("probe with --output - keeps standard output for the data")
  func probeOutput() throws {
    let path = socketPath("probe-output")
    try "report 82 616263\n".write(toFile: path + ".script", atomically: true, encoding: .utf8)
    defer { _ = unsafe unlink(path + ".script") }
    let server = try Program(["serve", "virtual=scripted,script=\(path).script,listen=unix:\(path)"])
    _ = server.lines(until: "listening on ")
    let probe = try Program(["probe", "--read", "82:3:64", "--output", "-", "unix:" + path])
    #expect(probe.status() == 0)
    let (errors, output) = probe.rest()
    #expect(output == "abc")
    #expect(errors.contains("read 0x82: success, bytes 3,"))
    server.signal(SIGTERM)
    #expect(server.status() == 0)
  }
}
