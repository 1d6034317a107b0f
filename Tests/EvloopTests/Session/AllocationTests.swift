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
    guest.end(device)
  }

  @Test func aBufferedBulkPacketAllocatesNothing() throws {
    let (guest, device) = try started { $0.startBulk(1, bytes: 512, transfers: 4) }
    let report = [UInt8](repeating: 7, count: 512)
    expectNone(guest) { device.complete(0, .completed, report) }
    guest.end(device)
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
    guest.end(device)
  }

  @Test func aBulkOutRequestAllocatesNothing() throws {
    for size in [512, 65536, 1 << 20] {
      let data = [UInt8](repeating: 7, count: size)
      let (guest, device) = try started { $0.bulkOut(1, data) }
      let request = guest.bulkOut(2, data)
      expectNone(guest) {
        guest.send(request)
        for _ in 0..<20 where device.posted.count < 2 { guest.turnQuietly() }
        device.complete(0, .completed)
      }
      guest.end(device)
    }
  }

  @Test func aLongBulkRequestAllocatesNothing() throws {
    let (guest, device) = try started { $0.bulkIn(1, length: 65536) }
    let request = guest.bulkIn(2, length: 65536)
    let data = [UInt8](repeating: 7, count: 65536)
    expectNone(guest) {
      guest.sendRaw(request)
      guest.turnQuietly()
      device.complete(0, .completed, data)
    }
    guest.end(device)
  }

  @Test func aBulkRequestOnAStreamAllocatesNothing() throws {
    let (guest, device) = try started { $0.bulkIn(1, length: 512, stream: 5) }
    let requests = (1...4).flatMap { guest.bulkIn(UInt64($0), length: 512, stream: UInt32($0)) }
    let data = [UInt8](repeating: 7, count: 512)
    expectNone(guest) {
      guest.sendRaw(requests)
      guest.turnQuietly()
      // In reverse, and past the one on stream 5 that stays.
      for index in 0..<4 { device.complete(4 - index, .completed, data) }
    }
    guest.end(device)
  }

  @Test func anInterruptOutRequestAllocatesNothing() throws {
    let (guest, device) = try started { $0.interruptOut(1, [1, 2, 3]) }
    let request = guest.interruptOut(2, [1, 2, 3])
    expectNone(guest) {
      guest.sendRaw(request)
      guest.turnQuietly()
      device.complete(0, .completed)
    }
    guest.end(device)
  }

  @Test func isochronousPacketsAllocateNothing() throws {
    let (guest, device) = try started { $0.startIso(1, packets: 4, urbs: 4) }
    // Empty packets, which are sent like any other: setting their lengths from here would allocate.
    expectNone(guest) { device.complete(0, .completed) }
    guest.end(device)
  }

  @Test func isochronousPacketsForTheDeviceAllocateNothing() throws {
    let (guest, device) = try started { $0.startIso(1, on: 0x03, packets: 2, urbs: 2) }
    let packets = guest.isoOut(2, [1, 2, 3]) + guest.isoOut(3, [4])
    expectNone(guest) {
      guest.sendRaw(packets)
      guest.turnQuietly()
      device.complete(0, .completed)
    }
    guest.end(device)
  }

  private func started(_ first: (GuestHarness) -> [UInt8]) throws -> (GuestHarness, ManualDevice) {
    let device = ManualDevice()
    device.model = DeviceDescription.scripted.model(configuration: 1)
    // Where the isochronous endpoints are.
    device.model.interfaces[1].current = 1
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
}
