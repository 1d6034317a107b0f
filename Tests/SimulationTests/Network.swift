// The network between the export and its guests: real sockets, on which the server's calls are cut short, refused,
// delayed and broken.
import CPosix
import CSimulatedSocket

@testable import usbredir_evloop

/// How bad lines are, in times of a thousand calls.
struct Weather {
  var short = 0
  var refused = 0
  var interrupted = 0
  var paused = 0
  var reset = 0
  /// Lines with a socket buffer of a few kilobytes.
  var narrow = 0

  static let fair = Weather()

  init() {}

  init(_ random: inout Random) {
    if random.chance(200) { return }
    short = random.pick([0, 50, 300, 900])
    refused = random.pick([0, 20, 200])
    interrupted = random.pick([0, 30])
    paused = random.pick([0, 0, 3, 10])
    reset = random.pick([0, 0, 0, 1])
    narrow = random.pick([0, 300, 1000])
  }
}

/// Has its say on every recv(2) and sendmsg(2) of the server from `begin` to `end`. Loop thread only.
final class Network {
  private struct Line {
    var pausedUntil: UInt64 = 0
    var error: Int32 = 0
  }

  var weather: Weather
  /// The weather it began with.
  let forecast: Weather
  /// True since a line was reset on purpose, for whoever has to explain a lost connection.
  private(set) var hasReset = false
  private let world: World
  private var lines: [Int32: Line] = [:]

  init(_ world: World, _ weather: Weather) {
    self.world = world
    self.weather = weather
    forecast = weather
  }

  func begin() {
    unsafe simulateSockets(
      { context, descriptor, operation, wanted in
        guard let context = unsafe context else { return Int(wanted) }
        return unsafe recover(context, as: Network.self).decide(descriptor, operation, Int(wanted))
      }, context(of: self))
  }

  func end() {
    simulateSockets(nil, nil)
  }

  /// Lines are fine from now on.
  func clearUp() {
    weather = .fair
    for descriptor in lines.keys { lines[descriptor]?.pausedUntil = 0 }
  }

  private func decide(_ descriptor: Int32, _ operation: Int32, _ wanted: Int) -> Int {
    if operation == simulatedAccept {
      opened(descriptor)
      return 0
    }
    var line = lines[descriptor] ?? Line()
    defer { lines[descriptor] = line }
    let isReceive = operation == simulatedReceive
    if line.error != 0 { return -Int(line.error) }
    if world.now < line.pausedUntil { return -Int(EAGAIN) }
    if world.random.chance(weather.reset) {
      line.error = world.random.pick([ECONNRESET, ECONNRESET, EPIPE, ETIMEDOUT])
      hasReset = true
      world.saw(.resetLine, UInt64(operation))
      return -Int(line.error)
    }
    if world.random.chance(weather.paused) {
      let pause = world.random.pick([1_000_000, 50_000_000, 2_000_000_000, 60_000_000_000])
      line.pausedUntil = world.now + UInt64(pause)
      world.after(UInt64(pause)) {}
      world.saw(.pausedLine, UInt64(operation))
      return -Int(EAGAIN)
    }
    if world.random.chance(weather.interrupted) {
      world.saw(.interrupted)
      return -Int(EINTR)
    }
    if world.random.chance(weather.refused) {
      world.saw(isReceive ? .refusedReceive : .refusedSend)
      return -Int(EAGAIN)
    }
    if wanted > 1 && world.random.chance(weather.short) {
      world.saw(isReceive ? .shortReceive : .shortSend)
      return max(1, min(wanted - 1, world.random.skewed(wanted)))
    }
    return wanted
  }

  /// A connection of the server.
  func opened(_ descriptor: Int32) {
    lines[descriptor] = Line()
    guard world.random.chance(weather.narrow) else { return }
    world.saw(.narrowLine)
    try? setSocketOption(descriptor, SOL_SOCKET, SO_SNDBUF, Int32(world.random.pick([2304, 8192, 65536])))
  }
}
