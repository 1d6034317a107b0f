// Nothing is allocated per report or per request once everything runs.
import CAllocationCount
import CPosix
import Testing

@testable import usbredir_evloop

@Suite(.enabled(if: allocationsAreCounted() == 1))
struct AllocationTests {
  @Test func aReportAllocatesNothing() throws {
    let (guest, device) = try started { $0.start(1) }
    let report: [UInt8] = [1, 2, 3, 4]
    expectNone(guest) { device.complete(0, .completed, report) }
    end(guest, device)
  }

  @Test func aBufferedBulkPacketAllocatesNothing() throws {
    let (guest, device) = try started { $0.startBulk(1, bytes: 512, transfers: 4) }
    let report = [UInt8](repeating: 7, count: 512)
    expectNone(guest) { device.complete(0, .completed, report) }
    end(guest, device)
  }

  @Test func aBulkRequestAllocatesNothing() throws {
    let (guest, device) = try started { $0.bulkIn(1, length: 512) }
    let request = guest.bulkIn(2, length: 512)
    let data = [UInt8](repeating: 7, count: 512)
    expectNone(guest) {
      guest.sendRaw(request)
      guest.turnQuietly()
      device.complete(0, .completed, data)
    }
    end(guest, device)
  }

  @Test func anInterruptOutRequestAllocatesNothing() throws {
    let (guest, device) = try started { $0.interruptOut(1, [1, 2, 3]) }
    let request = guest.interruptOut(2, [1, 2, 3])
    expectNone(guest) {
      guest.sendRaw(request)
      guest.turnQuietly()
      device.complete(0, .completed)
    }
    end(guest, device)
  }

  private func started(_ first: (GuestHarness) -> [UInt8]) throws -> (GuestHarness, ManualDevice) {
    let device = ManualDevice()
    device.model = DeviceDescription.scripted.model(configuration: 1)
    let guest = try GuestHarness(device)
    guest.exchange(first(guest))
    guest.reads = false
    return (guest, device)
  }

  /// Runs `body` and a turn often enough that every pool is filled, then counts.
  private func expectNone(_ guest: GuestHarness, _ body: () -> Void) {
    var before: UInt64 = 0
    for round in 0..<400 {
      if round == 200 { before = allocationCount() }
      body()
      guest.turnQuietly()
      guest.discard()
    }
    let allocations = allocationCount() - before
    #expect(allocations == 0, "\(allocations) in 200 rounds")
  }

  private func end(_ guest: GuestHarness, _ device: ManualDevice) {
    guest.leave()
    guest.settle()
    if !device.calls.isEmpty { device.finishCall() }
    while !device.posted.isEmpty { device.complete(0, .cancelled) }
    device.finishClose()
    guest.settle()
    #expect(guest.ends.count == 1)
  }
}
