// The disk as a host sees it: Bulk-Only Transport around commands, and what becomes of it when things go wrong.
import CPosix
import Testing

@testable import usbredir_evloop

private let testUnitReady: [UInt8] = [0, 0, 0, 0, 0, 0]
private let inquiry: [UInt8] = [0x12, 0, 0, 0, 36, 0]
private let unknown: [UInt8] = [0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0]

private let synchronize = DiskRig.access(0x35, 0, 0)

private func blocks(_ numbers: Range<UInt64>) -> [UInt8] {
  numbers.flatMap { FakeStore.block($0) }
}

/// Data that no block of the store has by itself.
private func pattern(_ count: Int) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 >> 9 + 1) }
}

struct VirtualDiskTests {
  @Test func describesItself() throws {
    let rig = try DiskRig()
    #expect(rig.disk.label == "1209:0008 \"Virtual Disk\" (virtual)")
    #expect(rig.disk.model.speed == .high)
    #expect(
      rig.user.control(0x80, 6, 0x0200, 0, length: 255)
        == "80 completed 0902200001010" + "0c032" + "0904000002080650" + "00" + "07058102000200"
        + "07050202000200")
    #expect(
      rig.user.control(0x80, 6, 0x0303, 0, length: 255)
        == "80 completed 1a03" + "0123456789AB".utf8.map { Hex.text(UInt32($0), digits: 2) + "00" }.joined())
  }

  @Test func classRequests() throws {
    let rig = try DiskRig()
    #expect(rig.user.control(0xa1, 0xfe, 0, 0, length: 1) == "80 completed 00")
    #expect(rig.user.control(0xa1, 0xfe, 1, 0, length: 1) == "80 stalled")
    #expect(rig.user.control(0xa1, 0xfe, 0, 1, length: 1) == "80 stalled")
    #expect(rig.user.control(0x21, 0xff, 0, 0, length: 0) == "00 completed")
    #expect(rig.user.control(0x21, 0xff, 1, 0, length: 0) == "00 stalled")
  }

  // MARK: the thirteen cases, BOT 6.7

  @Test("6.7.1: a host that expects no data") func hostExpectsNone() throws {
    let rig = try DiskRig()
    #expect(rig.tell(testUnitReady).status == "passed 0", "case 1")
    #expect(rig.ask(DiskRig.access(0x28, 0, 1), 0).description == "phase error 0", "case 2")
    #expect(rig.tell(DiskRig.access(0x2a, 0, 1)).description == "phase error 0", "case 3")
    #expect(rig.store.record == [])
  }

  @Test("6.7.2: a host that expects to receive") func hostExpectsToReceive() throws {
    let rig = try DiskRig()
    #expect(rig.ask(testUnitReady, 8).description == "stalled, passed 8", "case 4")
    #expect(rig.ask(unknown, 512).description == "stalled, failed 512", "case 4, failed")
    let less = rig.ask(DiskRig.access(0x28, 5, 1), 1024)
    #expect(less.description == "completed 512, stalled, passed 512", "case 5")
    #expect(less.data == blocks(5..<6))
    #expect(
      rig.ask(DiskRig.access(0x28, 5, 1), 1024, piece: 512).description
        == "completed 512, stalled, passed 512", "case 5, in a transfer of its own")
    #expect(rig.ask(inquiry, 100).description == "completed 36, stalled, passed 64", "case 5, a short packet")
    #expect(rig.read(5, 2).description == "completed 1024, passed 0", "case 6")
    #expect(rig.ask(DiskRig.access(0x28, 0, 2), 512).description == "stalled, phase error 512", "case 7")
    #expect(rig.ask(DiskRig.access(0x2a, 0, 1), 512).description == "stalled, phase error 512", "case 8")
    #expect(!rig.store.record.contains { $0.hasPrefix("write") })
  }

  @Test("6.7.3: a host that expects to send") func hostExpectsToSend() throws {
    let rig = try DiskRig()
    let data = pattern(1024)
    #expect(rig.tell(testUnitReady, data).description == "completed 1024, passed 1024", "case 9")
    #expect(rig.tell(unknown, data).description == "completed 1024, failed 1024", "case 9, failed")
    #expect(rig.tell(DiskRig.access(0x28, 0, 1), data).description == "stalled, phase error 1024", "case 10")
    #expect(rig.store.record == [])
    let less = rig.tell(DiskRig.access(0x2a, 7, 1), data)
    #expect(less.description == "completed 1024, passed 512", "case 11")
    #expect(rig.store.record == ["write 3584 512"])
    #expect(rig.store.blocks[7] == Array(data[0..<512]))
    #expect(rig.tell(DiskRig.access(0x2a, 7, 2), data).description == "completed 1024, passed 0", "case 12")
    #expect(
      rig.tell(DiskRig.access(0x2a, 7, 3), data).description == "stalled, phase error 1024", "case 13")
    #expect(rig.store.record.count == 2)
    #expect(rig.tell(unknown, data).description == "completed 1024, failed 1024", "case 9 again")
    #expect(rig.tell(DiskRig.access(0x2f, 0, 1500), data).description == "completed 1024, passed 1024")
    #expect(rig.store.record.count == 8, "case 9 of a command that works")
  }

  @Test("the same data in transfers of any size") func transfersOfAnySize() throws {
    let rig = try DiskRig()
    let data = pattern(4096)
    for piece in [512, 1024, 1536, 4096] {
      let written = rig.write(1, data, piece: piece)
      #expect(written.status == "passed 0")
      let read = rig.read(0, 10, piece: piece)
      #expect(read.data == blocks(0..<1) + data + blocks(9..<10) && read.status == "passed 0", "\(piece)")
      rig.store.blocks = [:]
    }
  }

  @Test func aHostThatSendsLessThanItSaid() throws {
    let rig = try DiskRig()
    let data = pattern(1300)
    let outcome = rig.tell(DiskRig.access(0x2a, 0, 8), data, length: 4096)
    #expect(outcome.description == "completed 1300, passed 3072", "two whole blocks")
    #expect(rig.store.record == ["write 0 1024"])
  }

  @Test func aStatusThatDoesNotFitStaysToBeFetched() throws {
    let rig = try DiskRig()
    rig.start(testUnitReady, 0, isIn: false)
    #expect(rig.bringIn(12).0 == .overflow)
    #expect(rig.status() == "passed 0")
  }

  @Test func aCommandMayComeBeforeTheStatusIsFetched() throws {
    let rig = try DiskRig()
    rig.start(testUnitReady, 0, isIn: false)
    let early = rig.user.submit(
      0x02, .bulk, length: 31, data: DiskRig.wrapper(99, 36, isIn: true, inquiry))
    rig.user.turn()
    #expect(early.state == .submitted)
    #expect(rig.status() == "passed 0")
    rig.settle(early)
    #expect(rig.bringIn(36).1.count == 36)
  }

  // MARK: wrappers that are none

  @Test(
    "6.2: not valid or not meaningful: both pipes stall until the reset",
    arguments: [
      DiskRig.wrapper(1, 0, isIn: false, testUnitReady) + [0],
      Array(DiskRig.wrapper(1, 0, isIn: false, testUnitReady).dropLast()),
      [0x54] + DiskRig.wrapper(1, 0, isIn: false, testUnitReady).dropFirst(),
      DiskRig.wrapper(1, 0, isIn: false, testUnitReady, count: 0),
      DiskRig.wrapper(1, 0, isIn: false, testUnitReady, count: 17),
      Array(DiskRig.wrapper(1, 0, isIn: false, testUnitReady)[0..<13]) + [1, 6]
        + [UInt8](repeating: 0, count: 16),
      Array(DiskRig.wrapper(1, 0, isIn: false, testUnitReady)[0..<12]) + [0x40, 0, 6]
        + [UInt8](repeating: 0, count: 16),
      [],
    ])
  func invalidWrappers(bytes: [UInt8]) throws {
    let rig = try DiskRig()
    #expect(rig.out(bytes) == .stalled)
    // Clearing the halts does not help (6.6.1).
    for _ in 0..<2 {
      #expect(rig.bringIn(13).0 == .stalled)
      #expect(rig.out(DiskRig.wrapper(1, 0, isIn: false, testUnitReady)) == .stalled)
      rig.clearHalt(0x81)
      rig.clearHalt(0x02)
    }
    #expect(rig.recover() == "00 completed")
    #expect(rig.tell(testUnitReady).status == "passed 0")
  }

  @Test("3.1: the reset itself leaves the halts") func resetLeavesHalts() throws {
    let rig = try DiskRig()
    rig.out([1])
    _ = rig.user.control(0x21, 0xff, 0, 0, length: 0)
    #expect(rig.out(DiskRig.wrapper(1, 0, isIn: false, testUnitReady)) == .stalled)
    rig.clearHalt(0x02)
    rig.clearHalt(0x81)
    #expect(rig.tell(testUnitReady).status == "passed 0")
  }

  @Test func moreDataThanTheWrapperSaidIsNoWrapper() throws {
    let rig = try DiskRig()
    rig.start(DiskRig.access(0x2a, 0, 1), 512, isIn: false)
    #expect(rig.out(pattern(1024)) == .stalled)
    #expect(rig.bringIn(13).0 == .stalled)
    #expect(rig.recover() == "00 completed")
    #expect(rig.read(0, 1).data == blocks(0..<1), "nothing of it was written")
  }

  @Test(arguments: [DeviceCall.reset, .setConfiguration(1), .setAlternateSetting(interface: 0, setting: 0)])
  func aResetOfTheBusHelpsToo(call: DeviceCall) throws {
    let rig = try DiskRig()
    rig.out([1])
    rig.disk.perform(call)
    rig.user.turn()
    #expect(rig.tell(testUnitReady).status == "passed 0")
  }

  // MARK: blocks

  @Test func longCommandsStreamThroughFewChunks() throws {
    let rig = try DiskRig()
    let data = pattern(700 * 512)
    #expect(rig.write(3, data, piece: 100 * 512).status == "passed 0")
    #expect(rig.store.record == ["write 1536 131072", "write 132608 131072", "write 263680 96256"])
    rig.store.record = []
    let read = rig.read(3, 700, piece: 300 * 512)
    #expect(read.data == data && read.status == "passed 0")
    #expect(rig.store.record == ["read 1536 131072", "read 132608 131072", "read 263680 96256"])
  }

  @Test func whatIsInMemoryNeedsNoWorker() throws {
    let rig = try DiskRig()
    rig.store.isCached = true
    try rig.store.hold()
    for piece in [1024, 512] {
      let read = rig.read(4, 2, piece: piece)
      #expect(read.data == blocks(4..<6) && read.status == "passed 0")
    }
    #expect(rig.tell(DiskRig.access(0x2f, 0, 8)).status == "passed 0")
    #expect(rig.read(0, 256).status == "passed 0")
    #expect(rig.store.record == ["now 2048 1024", "now 2048 1024", "now 0 4096", "now 0 131072"])
    rig.store.record = []
    rig.store.letGo(3)
    #expect(rig.read(0, 257).data == blocks(0..<257), "a longer one streams")
    rig.store.failures[5] = EIO
    #expect(rig.read(4, 2).description == "completed 512, stalled, failed 512", "the worker knows why")
    #expect(rig.store.record == ["read 0 131072", "read 131072 512", "now 2048 1024", "read 2048 1024"])
    #expect(rig.sense() == "03/11/00 block 5")
    // Behind what the worker has.
    rig.start(DiskRig.access(0x2a, 8, 1), 512, isIn: false)
    rig.out(pattern(512))
    #expect(rig.recover() == "00 completed")
    rig.start(DiskRig.access(0x28, 8, 1), 512, isIn: true)
    rig.store.letGo(20)
    #expect(rig.bringIn(512).1 == pattern(512))
  }

  @Test("nothing is read ahead of the host but what the chunks hold") func boundedMemory() throws {
    let rig = try DiskRig(DiskGeometry(blocks: 1 << 40, serial: "0123456789AB"))
    let command: [UInt8] = [0x88, 0, 0, 0, 0, 0x7f, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0, 0]
    rig.start(command, 0x7f_ffff * 512, isIn: true)
    rig.user.run(turns: 20_000) { !rig.disk.isWorking }
    rig.user.run(turns: 20) { rig.disk.isWorking }
    #expect(!rig.disk.isWorking && rig.store.record.count == 4)
    #expect(rig.store.record.first == "read \(0x7f_0000_0000 as UInt64 * 512) 131072")
    let (status, data) = rig.bringIn(1 << 20)
    #expect(status == .completed)
    #expect(data == blocks(0x7f_0000_0000..<0x7f_0000_0800))
    // The guest loses interest.
    #expect(rig.recover() == "00 completed")
    #expect(rig.tell(testUnitReady).status == "passed 0")
  }

  @Test func blocksOfACDAreLarger() throws {
    let rig = try DiskRig(DiskGeometry(blocks: 512, isCD: true, isReadOnly: true, serial: "0123456789AB"))
    let outcome = rig.ask(DiskRig.access(0x28, 3, 2), 4096)
    #expect(outcome.data == blocks(12..<20) && outcome.status == "passed 0")
    #expect(rig.write(0, pattern(2048)).description == "completed 2048, failed 2048")
    #expect(rig.sense() == "07/27/00")
  }

  @Test func readOnlyBlocksAreNotWritten() throws {
    let rig = try DiskRig(DiskGeometry(blocks: 512, isReadOnly: true, serial: "0123456789AB"))
    #expect(rig.write(0, pattern(1024)).description == "completed 1024, failed 1024")
    #expect(rig.sense() == "07/27/00")
    #expect(rig.read(1, 1).data == blocks(1..<2))
    rig.close()
    #expect(rig.store.record == ["read 512 512"], "and nothing is synchronized")
  }

  @Test func whatTheDiskDoesNotKnow() throws {
    let rig = try DiskRig()
    #expect(rig.tell(unknown).description == "failed 0")
    #expect(rig.sense() == "05/20/00")
    #expect(rig.sense() == "00/00/00", "told once")
    #expect(
      rig.tell([0x15, 0x10, 0, 0, 24, 0], pattern(24)).description == "completed 24, failed 24", "MODE SELECT"
    )
    #expect(rig.sense() == "05/20/00")
    #expect(rig.ask([0x12, 1, 0xb0, 0, 64, 0], 64).description == "stalled, failed 64", "a page")
    #expect(rig.sense() == "05/24/00")
    #expect(rig.read(2048, 1).description == "stalled, failed 512")
    #expect(rig.sense() == "05/21/00 block 2048")
  }

  @Test func verifyReadsAndSendsNothing() throws {
    let rig = try DiskRig()
    #expect(rig.tell(DiskRig.access(0x2f, 0, 1500)).status == "passed 0")
    #expect(rig.store.record.count == 6)
    rig.store.failures[1400] = EIO
    #expect(rig.tell(DiskRig.access(0x2f, 0, 1500)).status == "failed 0")
    #expect(rig.sense() == "03/11/00 block 1400")
  }

  // MARK: on the medium

  @Test("FUA and SYNCHRONIZE CACHE come before the status") func synchronizes() throws {
    let rig = try DiskRig()
    let data = pattern(512)
    #expect(rig.write(0, data).status == "passed 0")
    #expect(rig.store.record == ["write 0 512"], "the mode page says that there is a cache")
    #expect(rig.tell([0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]).status == "passed 0")
    #expect(rig.write(1, data, flags: 0x08).status == "passed 0")
    #expect(rig.store.record == ["write 0 512", "sync", "write 512 512", "sync"])
    try rig.store.hold()
    rig.start(DiskRig.access(0x2a, 2, 1, flags: 0x08), 512, isIn: false)
    rig.out(data)
    let status = rig.user.submit(0x81, .bulk, length: 13)
    rig.store.letGo(1)
    rig.user.run(turns: 50) { false }
    #expect(status.state == .submitted, "written, not synchronized")
    rig.store.letGo(1)
    rig.settle(status)
    #expect(rig.user.take().last?.hasSuffix("00" + "00000000" + "00") == true)
    rig.store.letGo(20)
  }

  @Test func whatAGuestLeavesBehindIsSynchronized() throws {
    let rig = try DiskRig()
    #expect(rig.write(0, pattern(512)).status == "passed 0")
    rig.close()
    #expect(rig.store.record == ["write 0 512", "sync"])
    rig.user.events = []
    rig.disk.owner = rig.user
    rig.close()
    #expect(rig.store.record.count == 2, "nothing new to synchronize")
  }

  @Test func closingWaitsForTheWorker() throws {
    let rig = try DiskRig()
    try rig.store.hold()
    rig.start(DiskRig.access(0x2a, 2, 1), 512, isIn: false)
    rig.out(pattern(512))
    var isClosed = false
    rig.disk.close { isClosed = true }
    rig.user.run(turns: 20) { isClosed }
    #expect(!isClosed)
    rig.store.letGo(1)
    rig.user.run(turns: 20) { isClosed }
    #expect(!isClosed, "not synchronized")
    rig.store.letGo(1)
    rig.user.run { isClosed }
    #expect(isClosed && rig.store.record == ["write 1024 512", "sync"])
    rig.store.letGo(20)
    rig.disk.owner = rig.user
    #expect(rig.tell(testUnitReady).status == "passed 0", "and the next guest finds a ready disk")
  }

  // MARK: failures of the store

  @Test func blocksThatCannotBeRead() throws {
    let rig = try DiskRig()
    rig.store.failures[10] = EIO
    let half = rig.read(8, 4)
    #expect(half.description == "completed 1024, stalled, failed 1024")
    #expect(half.data == blocks(8..<10))
    #expect(rig.sense() == "03/11/00 block 10")
    #expect(rig.read(10, 4).description == "stalled, failed 2048")
    #expect(rig.sense() == "03/11/00 block 10")
    #expect(rig.lines.last == "image x: read at 5120: Input/output error")
    #expect(rig.read(8, 2).status == "passed 0")
    // In a later chunk, with transfers that end before it.
    #expect(rig.ask(DiskRig.access(0x28, 11, 700), 700 * 512, piece: 65536).status == "passed 0")
    rig.store.failures[300] = EIO
    #expect(rig.read(0x0b, 700, piece: 512).description.hasSuffix("stalled, failed \((700 - 289) * 512)"))
    #expect(rig.sense() == "03/11/00 block 300")
  }

  @Test func blocksThatCannotBeWritten() throws {
    let rig = try DiskRig()
    rig.store.failures[9] = ENOSPC
    #expect(rig.write(8, pattern(1024)).description == "completed 1024, failed 512")
    #expect(rig.sense() == "03/0c/00 block 9")
    #expect(rig.lines == ["image x: write at 4608: No space left on device"])
    // The host goes on sending after the failure; it is taken and forgotten.
    let long = rig.write(9, pattern(1500 * 512), piece: 65536)
    #expect(long.status == "failed \(1500 * 512)")
    #expect(long.transfers.allSatisfy { $0.hasPrefix("completed") })
    #expect(rig.sense() == "03/0c/00 block 9")
    #expect(rig.write(10, pattern(512)).status == "passed 0")
  }

  @Test("no sync behind a write that failed, and none that fails is hidden") func failingSync() throws {
    let rig = try DiskRig()
    rig.store.failures[9] = ENOSPC
    #expect(rig.write(9, pattern(512), flags: 0x08).status == "failed 512")
    #expect(!rig.store.record.contains("sync"))
    rig.store.syncFailure = EIO
    #expect(rig.write(8, pattern(512), flags: 0x08).status == "failed 0")
    #expect(rig.sense() == "03/0c/00")
    #expect(rig.lines.last == "image x: fdatasync: Input/output error")
    #expect(rig.tell([0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]).status == "failed 0")
    #expect(rig.sense() == "03/0c/00")
    #expect(rig.write(8, pattern(512)).status == "passed 0")
    let told = rig.lines.count
    rig.close()
    #expect(rig.lines.count == told + 1, "a failure behind the guest's back is told")
  }

  /// fdatasync(2) tells of a failure once.
  @Test("a sync that failed behind a reset fails the next one") func failedSyncOfAnOldCommand() throws {
    let rig = try DiskRig()
    #expect(rig.write(8, pattern(512)).status == "passed 0")
    try rig.store.hold()
    rig.store.syncFailure = EIO
    rig.start(synchronize, 0, isIn: false)
    #expect(rig.recover() == "00 completed")
    rig.store.letGo(20)
    rig.user.run { !rig.disk.isWorking }
    rig.store.syncFailure = 0
    #expect(rig.tell(synchronize).status == "failed 0")
    #expect(rig.sense() == "03/0c/00")
    #expect(rig.tell(synchronize).status == "passed 0")
  }

  @Test func aSyncThatFailsAfterItsGuestHasLeftIsTold() throws {
    let rig = try DiskRig()
    #expect(rig.write(8, pattern(512)).status == "passed 0")
    try rig.store.hold()
    rig.store.syncFailure = EIO
    rig.store.syncFailures = 1
    rig.start(synchronize, 0, isIn: false)
    var isClosed = false
    rig.disk.close { isClosed = true }
    rig.store.letGo(21)
    rig.user.run(turns: 20_000) { isClosed }
    #expect(isClosed && rig.lines == ["image x: fdatasync: Input/output error"])
  }

  @Test func aGuestCannotFillTheLog() throws {
    let rig = try DiskRig()
    rig.store.failures[0] = EIO
    for _ in 0..<110 { #expect(rig.read(0, 1).status.hasSuffix("failed 512")) }
    #expect(rig.lines.count == 101)
    #expect(rig.lines.last == "image x: no more of this for this guest")
    rig.close()
    rig.disk.owner = rig.user
    _ = rig.read(0, 1)
    #expect(rig.lines.count == 102, "the next one's are told again")
  }

  // MARK: at any moment

  @Test func aTransferIsCancelledWhileTheWorkerReads() throws {
    let rig = try DiskRig()
    try rig.store.hold()
    rig.start(DiskRig.access(0x28, 0, 400), 400 * 512, isIn: true)
    let transfer = rig.user.submit(0x81, .bulk, length: 400 * 512)
    rig.store.letGo(1)
    rig.user.run(turns: 20_000) { (transfer as? VirtualTransfer)?.progress == 131072 }
    #expect(transfer.state == .submitted)
    rig.disk.cancel(transfer)
    rig.user.turn()
    #expect(transfer.status == .cancelled && transfer.actualLength == 131072, "what had moved, and at once")
    rig.store.letGo(20)
    #expect(rig.recover() == "00 completed")
    #expect(rig.read(1, 1).data == blocks(1..<2))
  }

  @Test func aTransferIsCancelledWhileTheWorkerWrites() throws {
    let rig = try DiskRig()
    try rig.store.hold()
    let data = pattern(1500 * 512)
    rig.start(DiskRig.access(0x2a, 0, 1500), data.count, isIn: false)
    let transfer = rig.user.submit(0x02, .bulk, length: data.count, data: data)
    rig.user.run(turns: 20) { false }
    rig.disk.cancel(transfer)
    rig.user.turn()
    #expect(transfer.status == .cancelled && transfer.actualLength == 4 * 131072)
    #expect(rig.recover() == "00 completed")
    // A new command stands behind what the worker still has of the old one.
    rig.start(DiskRig.access(0x28, 0, 1), 512, isIn: true)
    rig.store.letGo(5)
    let (status, bytes) = rig.bringIn(512)
    #expect(status == .completed && bytes == Array(data[0..<512]))
    #expect(rig.status() == "passed 0")
    rig.store.letGo(20)
  }

  @Test(
    "a new command while all chunks are out for an old one",
    arguments: [DiskRig.access(0x35, 0, 0), DiskRig.access(0x2f, 0, 8)])
  func commandBehindStuckWork(command: [UInt8]) throws {
    let rig = try DiskRig()
    try rig.store.hold()
    rig.start(DiskRig.access(0x28, 0, 1500), 1500 * 512, isIn: true)
    #expect(rig.recover() == "00 completed")
    rig.start(command, 0, isIn: false)
    let status = rig.user.submit(0x81, .bulk, length: 13)
    rig.user.run(turns: 20) { false }
    #expect(status.state == .submitted)
    rig.store.letGo(20)
    rig.settle(status)
    #expect(status.actualLength == 13)
  }

  @Test(arguments: [0, 1, 2, 3, 4])
  func aGuestLeavesAtAnyMoment(calls: Int) throws {
    for operation in [0x28, 0x2a] as [UInt8] {
      let rig = try DiskRig()
      try rig.store.hold()
      rig.start(DiskRig.access(operation, 0, 1500), 1500 * 512, isIn: operation == 0x28)
      let transfer = rig.user.submit(
        operation == 0x28 ? 0x81 : 0x02, .bulk, length: 1500 * 512, data: pattern(1500 * 512))
      rig.store.letGo(calls)
      rig.user.run(turns: 10) { false }
      rig.disk.perform(.cancel(slots: .max))
      rig.user.run { transfer.state == .idle }
      #expect(transfer.state == .idle)
      rig.store.letGo(20)
      rig.close()
      rig.disk.owner = rig.user
      #expect(rig.tell(testUnitReady).status == "passed 0")
    }
  }

  @Test func unplugWhileTheWorkerReads() throws {
    let rig = try DiskRig()
    try rig.store.hold()
    rig.start(DiskRig.access(0x28, 0, 400), 400 * 512, isIn: true)
    let transfer = rig.user.submit(0x81, .bulk, length: 400 * 512)
    rig.user.turn()
    rig.disk.unplug()
    rig.user.turn()
    #expect(transfer.status == .deviceGone)
    rig.store.letGo(20)
    rig.close()
  }

  @Test func theDiskGoesWhileTheWorkerReads() throws {
    var rig: DiskRig? = try DiskRig()
    let store = try #require(rig?.store)
    try store.hold()
    rig?.start(DiskRig.access(0x28, 0, 400), 400 * 512, isIn: true)
    store.letGo(20)
    rig = nil
    #expect(store.record == ["read 0 131072", "read 131072 73728"])
  }
}
