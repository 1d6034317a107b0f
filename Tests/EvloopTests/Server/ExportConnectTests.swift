// Exports that connect to the guest (B7.1): once, or again and again.
import CPosix
import Testing

@testable import usbredir_evloop

/// Where the guest of a connecting export listens.
private final class GuestListener: ListenerOwner {
  private(set) var listener: Listener?
  private(set) var descriptors: [Int32] = []

  init(_ loop: EventLoop, _ address: SocketAddress = .host("127.0.0.1", port: 0)) throws {
    listener = try Listener(loop, address, owner: self)
  }

  var address: SocketAddress { listener?.boundAddress ?? .unix("") }

  func accepted(_ listener: Listener, _ descriptor: Int32, from peer: String) {
    descriptors.append(descriptor)
  }
  func acceptFailed(_ listener: Listener, _ error: SystemError) {}

  /// The guest behind the next connection.
  func next(_ run: ExportRun) throws -> GuestSocket {
    run.wait(for: "a connection") { !descriptors.isEmpty }
    let guest = GuestSocket(run, accepted: try #require(descriptors.first))
    descriptors.removeFirst()
    guest.send(hello(.all))
    return guest
  }
}

struct ExportConnectTests {
  @Test("B7.1: connects, serves, and ends with its guest", arguments: [true, false])
  func once(isUnix: Bool) throws {
    let loop = try EventLoop()
    let place = try GuestListener(loop, isUnix ? .unix(socketPath("once")) : .host("127.0.0.1", port: 0))
    let run = try ExportRun(.connect(place.address), loop: loop) { $0.reconnect = nil }
    let guest = try place.next(run)
    #expect(guest.take() == ["hello"] + announcement)
    guest.leave()
    run.wait(for: "the end") { run.ends.count == 1 }
    #expect(run.ends == ["the guest closed the connection"])
    run.loop.someTurns()
    #expect(place.descriptors == [])
  }

  /// A refusal that is tried again must not become another connection.
  @Test("B7.1: an export that connects once does so, even if it was still looking for its device")
  func onceWithoutDevice() throws {
    let loop = try EventLoop()
    let place = try GuestListener(loop)
    let source = PlannedSource(loop)
    source.always = .unavailable(.refused("busy", mayPass: true))
    let run = try ExportRun(.connect(place.address), quickAttempts: 1_000_000, loop: loop, source: source) {
      $0.reconnect = nil
    }
    let guest = try place.next(run)
    run.wait(for: "an attempt") { source.opens > 2 }
    guest.leave()
    run.wait(for: "the end") { run.ends.count == 1 }
    run.loop.someTurns()
    #expect(place.descriptors == [])
    #expect(run.ends.count == 1)
  }

  @Test("connecting that fails is the end, with a line, when it is for once")
  func refusedOnce() throws {
    let path = socketPath("nobody")
    let run = try ExportRun(.connect(.unix(path))) { $0.reconnect = nil }
    run.wait(for: "the failure") { !run.failures.isEmpty }
    #expect(run.failures == ["connect unix:\(path): No such file or directory; nobody listens there"])
    #expect(run.ends == [])
  }

  @Test("connecting is tried again, and the reason said once")
  func refusedAgain() throws {
    let loop = try EventLoop()
    let path = socketPath("later")
    // 0 seconds is not to be had on the command line, and spares the test the wait.
    let run = try ExportRun(.connect(.unix(path)), loop: loop) { $0.reconnect = 0 }
    var turns = 0
    run.wait(for: "some attempts") {
      turns += 1
      return turns > 30
    }
    #expect(run.logged("nobody listens there; trying again every 0 s") == 1)
    #expect(run.failures == [])
    let place = try GuestListener(loop, .unix(path))
    #expect(try place.next(run).take() == ["hello"] + announcement)
  }

  @Test("connects again after its guest left, until it is stopped")
  func reconnects() throws {
    let loop = try EventLoop()
    let place = try GuestListener(loop)
    let run = try ExportRun(.connect(place.address), loop: loop) { $0.reconnect = 0 }
    for round in 1...3 {
      let guest = try place.next(run)
      #expect(guest.take() == ["hello"] + announcement)
      guest.leave()
      run.wait(for: "the end") { run.ends.count == round }
    }
    let guest = try place.next(run)
    run.export.stop("enough")
    run.wait(for: "the end") { run.export.isIdle }
    #expect(guest.isClosed)
    #expect(run.ends.last == "enough")
    run.loop.someTurns()
    #expect(place.descriptors == [])
  }

  @Test("stopped while it connects, or while it waits to")
  func stoppedBefore() throws {
    let loop = try EventLoop()
    let place = try GuestListener(loop)
    let run = try ExportRun(.connect(place.address), loop: loop) { $0.reconnect = 0 }
    run.export.stop("enough")
    let waiting = try ExportRun(.connect(.unix(socketPath("nowhere"))), loop: loop) { $0.reconnect = 0 }
    waiting.wait(for: "a failure") { waiting.logged("trying again") == 1 }
    waiting.export.stop("enough")
    loop.someTurns()
    #expect(run.export.isIdle && waiting.export.isIdle)
    #expect(run.log.allSatisfy { !$0.contains("connected") })
  }
}
