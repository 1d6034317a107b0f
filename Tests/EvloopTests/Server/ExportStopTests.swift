// The end of an export, whatever it is doing (B2.8).
import Testing

@testable import usbredir_evloop

struct ExportStopTests {
  @Test("stopped with a guest: the guest is closed, the device given back, nobody else let in")
  func withGuest() throws {
    let run = try ExportRun()
    let address = try #require(run.export.listener?.boundAddress)
    let guest = try run.guest()
    _ = guest.take()
    run.export.stop("enough")
    run.export.stop("twice")
    run.settle()
    #expect(guest.isClosed)
    #expect(run.ends == ["enough"])
    #expect(run.source.closes == 1)
    #expect(run.export.isIdle)
    let late = try GuestSocket(run, to: address)
    #expect(late.isClosed)
  }

  @Test("stopped without a guest it is idle at once, and stays so")
  func withoutGuest() throws {
    let run = try ExportRun()
    run.export.stop("enough")
    #expect(run.export.isIdle)
    run.source.changed?()
    run.loop.someTurns()
    #expect(run.source.opens == 0)
    #expect(run.ends == [])
  }

  @Test("stopped while the device is being opened: it is closed, and the owner told")
  func whileOpening() throws {
    let run = try ExportRun()
    run.source.answers = [.held]
    let guest = try run.guest()
    run.export.stop("enough")
    run.settle()
    #expect(guest.isClosed)
    #expect(run.ends == ["enough"])
    #expect(!run.export.isIdle)
    run.source.finishWithDevice()
    run.settle()
    #expect(run.export.isIdle)
    #expect(run.source.closes == 1)
    #expect(run.ends == ["enough", "stopped"])
  }

  @Test("stopped while the device is being opened in vain")
  func whileOpeningInVain() throws {
    let run = try ExportRun()
    run.source.answers = [.held]
    let guest = try run.guest()
    run.export.stop("enough")
    #expect(guest.isClosed)
    run.source.finish(.failure(.refused("busy", mayPass: true)))
    run.loop.someTurns()
    #expect(run.export.isIdle)
    #expect(run.source.opens == 1)
    #expect(run.ends == ["enough", "stopped"])
  }

  @Test("stopped while it closes, with another guest waiting: that one is closed too")
  func whileClosing() throws {
    let run = try ExportRun()
    let guest = try run.guest()
    _ = guest.take()
    guest.send(StartInterruptReceivingHeader(endpoint: 0x81), id: 1)
    _ = guest.take()
    run.source.device.holdCalls()
    guest.leave()
    let next = try run.guest()
    run.export.stop("enough")
    run.export.stop("twice")
    #expect(next.isClosed)
    #expect(!run.export.isIdle)
    run.source.device.releaseCalls()
    run.settle()
    #expect(run.export.isIdle)
    #expect(run.ends == ["the guest closed the connection"])
    #expect(run.source.closes == 1)
  }

  @Test("stopped between two attempts to open the device")
  func betweenAttempts() throws {
    let run = try ExportRun(quickAttempts: 1_000_000)
    run.source.always = .unavailable(.refused("busy", mayPass: true))
    let guest = try run.guest()
    run.wait(for: "an attempt") { run.source.opens > 2 }
    run.export.stop("enough")
    #expect(guest.isClosed)
    let opens = run.source.opens
    run.loop.someTurns()
    #expect(run.source.opens == opens)
    #expect(run.export.isIdle)
  }
}
