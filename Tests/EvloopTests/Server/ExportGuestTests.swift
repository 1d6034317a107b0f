// Guests of a listening export: one has the device, others are refused, take over, or wait (B1.5, B1.7, B2.8, B2.9).
import CPosix
import Testing

@testable import usbredir_evloop

struct ExportGuestTests {
  @Test("B2.9: a second guest is refused with a line, and the first goes on")
  func secondIsRefused() throws {
    let run = try ExportRun()
    let first = try run.guest()
    #expect(first.take() == ["hello"] + announcement)
    let second = try run.guest()
    #expect(second.isClosed)
    #expect(run.logged("warning: e: refused 127.0.0.1:") == 1)
    #expect(first.hasDevice())
    first.leave()
    run.settle()
    let third = try run.guest()
    #expect(third.take() == ["hello"] + announcement)
    #expect(run.source.closes == 1)
  }

  @Test("B7.1: the same over a unix socket, whose file goes with the export")
  func unixSocket() throws {
    let path = socketPath("export")
    let run = try ExportRun(.listen(.unix(path)))
    let guest = try run.guest()
    #expect(guest.take() == ["hello"] + announcement)
    #expect(try run.guest().isClosed)
    #expect(guest.hasDevice())
    run.export.stop("enough")
    #expect(unsafe access(path, F_OK) != 0)
  }

  @Test("B2.9: with takeover the newer guest gets the device, when the first one's is closed")
  func takeover() throws {
    let run = try ExportRun { $0.takeover = true }
    let first = try run.guest()
    #expect(first.take() == ["hello"] + announcement)
    let second = try run.guest()
    #expect(first.isClosed)
    #expect(second.take() == ["hello"] + announcement)
    #expect(second.hasDevice())
    #expect(run.source.closes == 1)
    #expect(run.ends == ["a newer guest takes its place"])
  }

  @Test("B1.5: a silent connection is kept, and within its time it is not replaced")
  func silentIsKept() throws {
    let run = try ExportRun { $0.helloTimeout = 3600 }
    let silent = try run.guest(greets: false)
    #expect(try run.guest().isClosed)
    #expect(silent.staysOpen)
    silent.send(hello(.all))
    #expect(silent.take() == ["hello"] + announcement)
  }

  @Test("B1.5: after its time a silent connection is replaced, though not by itself")
  func silentIsReplaced() throws {
    let run = try ExportRun { $0.helloTimeout = 0 }
    let silent = try run.guest(greets: false)
    #expect(silent.staysOpen, "nobody else is there")
    let second = try run.guest()
    #expect(silent.isClosed)
    #expect(second.take() == ["hello"] + announcement)
    let third = try run.guest()
    #expect(third.isClosed, "one that said hello is not silent, however old it is")
    #expect(second.hasDevice())
  }

  @Test("B1.5: half a hello is silence")
  func halfAHello() throws {
    let run = try ExportRun { $0.helloTimeout = 0 }
    let slow = try run.guest(greets: false)
    slow.send(Array(hello(.all).dropLast()))
    run.settle()
    #expect(try run.guest().take() == ["hello"] + announcement)
    #expect(slow.isClosed)
  }

  /// A guest comes and leaves, and its device is not given back: the call that cancels its transfers hangs.
  private func closing(_ run: ExportRun) throws {
    let guest = try run.guest()
    _ = guest.take()
    guest.send(StartInterruptReceivingHeader(endpoint: 0x81), id: 1)
    #expect(guest.take().count == 1)
    run.source.device.holdCalls()
    guest.leave()
    run.settle()
    #expect(run.ends == [])
  }

  @Test("B2.8: the next guest waits until the device is closed")
  func successorWaits() throws {
    let run = try ExportRun()
    try closing(run)
    let next = try run.guest()
    #expect(next.take() == [])
    #expect(next.staysOpen)
    run.source.device.releaseCalls()
    #expect(next.take() == ["hello"] + announcement)
    #expect(run.ends == ["the guest closed the connection"])
    #expect(run.source.closes == 1)
  }

  /// A guest that is accepted now, before the loop has seen what else happened.
  private func acceptedNow(_ run: ExportRun) throws -> GuestSocket {
    let pair = try unixPair()
    let guest = GuestSocket(run, accepted: pair.peer)
    guest.send(hello(.all))
    run.export.accepted(try #require(run.export.listener), pair.ours, from: "the next")
    return guest
  }

  @Test("B2.9: a guest that comes back before its end was read is served", arguments: [false, true])
  func comesBackAtOnce(_ leavesUnread: Bool) throws {
    let run = try ExportRun()
    let first = try run.guest()
    if !leavesUnread { _ = first.take() }
    first.send(.getConfiguration)
    if leavesUnread { first.leaveUnread() } else { first.leave() }
    let second = try acceptedNow(run)
    #expect(second.take() == ["hello"] + announcement)
    #expect(second.hasDevice())
    #expect(run.ends == ["the guest closed the connection"])
    #expect(run.source.closes == 1)
    #expect(run.logged("refused") == 0)
  }

  @Test(
    "B2.9: one that left while nothing of it was read, for a call on the device that hangs, is followed as well"
  )
  func comesBackWhileBusy() throws {
    let run = try ExportRun()
    let first = try run.guest()
    _ = first.take()
    first.send(StartInterruptReceivingHeader(endpoint: 0x81), id: 1)
    #expect(first.take().count == 1)
    run.source.device.holdCalls()
    first.send(.reset)
    run.settle()
    first.leave()
    run.settle()
    #expect(run.ends == [])
    let second = try acceptedNow(run)
    run.settle()
    #expect(run.logged("refused") == 0)
    run.source.device.releaseCalls()
    #expect(second.take() == ["hello"] + announcement)
    #expect(run.source.closes == 1)
  }

  @Test("B2.9: a guest that sent what is not read yet is there, and keeps the device")
  func staysUnread() throws {
    let run = try ExportRun()
    let first = try run.guest()
    _ = first.take()
    first.send(.getConfiguration)
    #expect(try acceptedNow(run).isClosed)
    #expect(first.hasDevice())
    #expect(run.logged("refused the next: ") == 1)
  }

  @Test("B2.9: one that waited for the device and left is not waited for")
  func successorComesBack() throws {
    let run = try ExportRun()
    try closing(run)
    try run.guest().leave()
    let second = try acceptedNow(run)
    run.source.device.releaseCalls()
    #expect(second.take() == ["hello"] + announcement)
    #expect(run.ends == ["the guest closed the connection"])
    #expect(run.logged("refused") == 0)
  }

  @Test("B2.8: a guest that leaves without having read everything has left as well")
  func leavesUnread() throws {
    let run = try ExportRun()
    try run.guest().leaveUnread()
    run.wait(for: "the end") { !run.ends.isEmpty }
    #expect(run.ends == ["the connection failed: receive from guest: Connection reset by peer"])
    #expect(run.isFailure == [false])
    #expect(run.log.allSatisfy { !$0.hasPrefix("warning: ") })
  }

  @Test("B2.9: the one that waits is not pushed aside by another one, unless it was silent for long")
  func twoSuccessors() throws {
    for (timeout, winner) in [(3600, 0), (0, 1)] as [(UInt32, Int)] {
      let run = try ExportRun { $0.helloTimeout = timeout }
      try closing(run)
      let waiting = [try run.guest(), try run.guest()]
      #expect(waiting[1 - winner].isClosed)
      #expect(run.logged("warning: e: refused") == 1)
      run.source.device.releaseCalls()
      #expect(waiting[winner].take() == ["hello"] + announcement)
    }
  }

  @Test("a guest that left while it waited costs nothing")
  func successorLeaves() throws {
    let run = try ExportRun()
    try closing(run)
    try run.guest().leave()
    run.source.device.releaseCalls()
    run.settle()
    #expect(run.ends.count == 2)
    #expect(try run.guest().take() == ["hello"] + announcement)
  }

  @Test(
    "B1.7: a guest that cannot be trusted costs its own connection, with one error line",
    arguments: [
      // Garbage, which once took a server down.
      [UInt8](repeating: 0xff, count: 64), Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8),
      // A first packet that is no hello, and one of a type that nobody knows.
      packet(.reset, []), rawPacket(4711, [], []),
      // A hello of 4 GiB, one too short, and a second one.
      rawPacket(0, length: .max, [], []), rawPacket(0, [1, 2, 3], []), hello([]) + hello([]),
      // A length that no packet has.
      hello([]) + rawPacket(101, length: (128 << 20) + 1025, [], []),
    ])
  func untrusted(_ bytes: [UInt8]) throws {
    let run = try ExportRun()
    let guest = try run.guest(greets: false)
    guest.send(bytes)
    #expect(guest.isClosed)
    #expect(run.log.filter { $0.hasPrefix("error: ") }.count == 1)
    #expect(run.isFailure == [true])
    #expect(try run.guest().take() == ["hello"] + announcement)
  }

  @Test("B1.7: packets that are wrong in themselves cost those packets")
  func wrongPackets() throws {
    let run = try ExportRun()
    let guest = try run.guest()
    _ = guest.take()
    let caps = Capabilities.all
    guest.send(
      rawPacket(4711, id: 5, [1, 2, 3], caps) + rawPacket(3, length: 5, [1, 2, 3, 4, 5], caps)
        + packet(
          BulkPacketHeader(endpoint: 0x0f, status: .success, length: 2, streamID: 0), data: [1, 2], caps))
    #expect(guest.hasDevice())
    #expect(run.logged("warning: e: guest") == 3)
  }

  @Test("B1.7: a hundred bad packets are too many; the next guest is served")
  func tooManyBadPackets() throws {
    let run = try ExportRun()
    let guest = try run.guest()
    guest.send((0...100).flatMap { _ in rawPacket(4711, [], Capabilities.all) })
    #expect(guest.isClosed)
    #expect(run.ends == ["too many bad packets"])
    #expect(run.source.closes == 1)
    #expect(try run.guest().take() == ["hello"] + announcement)
  }

  @Test("a port that is taken is one line")
  func portTaken() throws {
    let run = try ExportRun()
    let address = try #require(run.export.listener?.boundAddress)
    let error = #expect(throws: SystemError.self) {
      let second = try ExportRun(.listen(address), starts: false)
      try second.export.start()
    }
    #expect(
      error?.description
        == "bind \(address.description): Address already in use; "
        + "choose another address or stop what listens there")
    #expect(try run.guest().take() == ["hello"] + announcement)
  }
}
