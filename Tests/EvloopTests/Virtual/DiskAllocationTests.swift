// Nothing is allocated on the loop's thread per command once a disk runs.
import CAllocationCount
import Testing

@testable import usbredir_evloop

/// The three transfers of a command, made once.
private final class QuietHost: TransferOwner {
  let loop: EventLoop
  let disk: VirtualDisk
  private(set) var status: UInt8 = 0xff
  private var out = 0
  private let transfers: [Transfer]
  private let wrapper: [UInt8]

  /// - Parameter data: bytes that `command` moves.
  init(_ rig: DiskRig, _ command: [UInt8], data: Int, isIn: Bool) {
    loop = rig.loop
    disk = rig.disk
    wrapper = DiskRig.wrapper(1, UInt32(data), isIn: isIn, command)
    let buffers = SizedBufferPools()
    transfers = [(UInt8(0x02), 31), (isIn ? 0x81 : 0x02, data), (0x81, 13)].map { endpoint, length in
      let transfer = rig.disk.makeTransfer(isoPackets: 0)
      transfer.type = .bulk
      transfer.endpoint = EndpointAddress(rawValue: endpoint)
      transfer.length = length
      transfer.buffer = buffers.take(length)
      transfer.buffer?.setPayload(count: length)
      return transfer
    }
    for transfer in transfers { transfer.owner = self }
  }

  func run() {
    let wrapper = wrapper
    transfers[0].buffer?.copy(wrapper.span)
    out = transfers.count
    disk.submit(transfers[0])
    disk.submit(transfers[1])
    disk.submit(transfers[2])
    while out > 0 { loop.wholeTurn() }
  }

  func completed(_ transfer: Transfer) {
    out -= 1
    if out == 0 { status = transfer.buffer?.withPayload { $0[12] } ?? 0xff }
  }
}

@Suite(.enabled(if: allocationsAreCounted() == 1))
struct DiskAllocationTests {
  @Test(arguments: [
    (DiskRig.access(0x28, 0, 8), 8 * 512, true), (DiskRig.access(0x28, 0, 1000), 1000 * 512, true),
    (DiskRig.access(0x2a, 0, 8), 8 * 512, false),
    (DiskRig.access(0x2a, 0, 1000, flags: 8), 1000 * 512, false),
  ])
  func aCommandAllocatesNothing(command: [UInt8], data: Int, isIn: Bool) throws {
    let rig = try DiskRig()
    let host = QuietHost(rig, command, data: data, isIn: isIn)
    var before: UInt64 = 0
    for round in 0..<20 {
      if round == 10 { before = allocationCount() }
      host.run()
    }
    let allocations = allocationCount() - before
    #expect(host.status == 0)
    #expect(allocations == 0, "\(allocations) in 10 rounds")
  }
}
