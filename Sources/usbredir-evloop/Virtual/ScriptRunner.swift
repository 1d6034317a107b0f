// Runs a script: the commands of a file, then those that come in while the server runs.
import CPosix

/// Gives a scripted device its commands, one after the other. Loop thread only.
final class ScriptRunner: LineOwner {
  /// Answers that may wait on an endpoint before commands from the input wait, too.
  private static let maxPending = 64
  /// Bytes of one line.
  private static let maxLine = 8192

  unowned(unsafe) private let device: ScriptedDevice
  private var commands: [ScriptCommand]
  private var done = 0
  private var hasStarted = false
  private var input: LineInput?
  private var timer: Timer?
  private var awaited: EndpointAddress?

  /// - Parameters:
  ///   - device: not retained; outlives the runner.
  ///   - commands: run once the guest has sent its first transfer; the input's come behind them.
  init(
    _ device: ScriptedDevice, commands: [ScriptCommand], input source: String?, loop: EventLoop, log: Log
  ) throws(SystemError) {
    unsafe self.device = device
    self.commands = commands
    timer = Timer(loop) { [runner = Unowned(self)] in runner.value.run() }
    device.onPolled = { [runner = Unowned(self)] endpoint in runner.value.polled(endpoint) }
    guard let source else { return }
    input = try LineInput(
      loop, source: source, name: "script input", maxLine: ScriptRunner.maxLine, log: log, owner: self)
  }

  private func polled(_ endpoint: EndpointAddress) {
    guard hasStarted, awaited != endpoint else {
      hasStarted = true
      awaited = nil
      return run()
    }
    if done < commands.count { run() } else { input?.resume() }
  }

  /// Runs commands until one has to wait.
  private func run() {
    while done < commands.count, !isWaiting, hasRoom(for: commands[done]) {
      done += 1
      perform(commands[done - 1])
    }
    guard done == commands.count else { return }
    commands = []
    done = 0
    if !isWaiting { input?.resume() }
  }

  private var isWaiting: Bool {
    !hasStarted || awaited != nil || timer?.isRunning ?? false
  }

  private func hasRoom(for command: ScriptCommand) -> Bool {
    switch command {
    case .report(let endpoint, _), .error(let endpoint, _), .cancelled(let endpoint, _):
      return unsafe device.pending(endpoint) < ScriptRunner.maxPending
    default: return true
    }
  }

  private func perform(_ command: ScriptCommand) {
    switch command {
    case .report(let endpoint, let bytes): unsafe device.report(endpoint, bytes)
    case .error(let endpoint, let status): unsafe device.fail(endpoint, status)
    case .cancelled(let endpoint, let bytes): unsafe device.fillCancelled(endpoint, bytes)
    case .hold(let endpoint): unsafe device.hold(endpoint)
    case .release(let endpoint): unsafe device.release(endpoint)
    case .holdCalls: unsafe device.holdCalls()
    case .releaseCalls: unsafe device.releaseCalls()
    case .answer(let rule): unsafe device.answer(rule)
    case .fail(let call, let result): unsafe device.fail(call, result)
    case .unplug: unsafe device.unplug()
    case .plug: unsafe device.plug()
    case .delay(let milliseconds): timer?.start(milliseconds: milliseconds)
    case .wait(let endpoint): awaited = unsafe device.isPolled(endpoint) ? nil : endpoint
    }
  }

  // MARK: LineOwner

  /// A line waits while those before it have not run.
  var hasRoomForLine: Bool { commands.isEmpty && !isWaiting }

  func take(_ line: String, number: Int) throws(ScriptError) {
    guard let command = try ScriptCommand.parse(line, number: number) else { return }
    commands.append(command)
    run()
  }
}

extension ScriptRunner {
  /// Bytes of a script file.
  private static let maxFile = 1 << 20

  /// The commands of the file at `path`.
  static func load(_ path: String) throws(VirtualDeviceError) -> [ScriptCommand] {
    let text: String
    do throws(SystemError) {
      text = try read(path)
    } catch {
      throw .input(error)
    }
    do throws(ScriptError) {
      return try ScriptCommand.parse(script: text)
    } catch {
      throw .script(path: path, error)
    }
  }

  private static func read(_ path: String) throws(SystemError) -> String {
    let descriptor = unsafe posixOpen(path, O_RDONLY | O_CLOEXEC, 0)
    guard descriptor >= 0 else { throw SystemError(code: posixErrno(), "open script \(path)") }
    defer { close(descriptor) }
    var text: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while text.count <= maxFile {
      let count = unsafe piece.withUnsafeMutableBytes {
        unsafe CPosix.read(descriptor, $0.baseAddress, $0.count)
      }
      guard count >= 0 else { throw SystemError(code: posixErrno(), "read script \(path)") }
      guard count > 0 else { return unsafe text.withUnsafeBytes { unsafe String(utf8: $0) } }
      text += piece[..<count]
    }
    throw SystemError(code: EFBIG, "read script \(path)", advice: "a script has 1 MiB at most")
  }
}
