// A host that asks a disk for whatever it likes, takes transfers back and resets, at random but repeatable. What must
// hold always: what was acknowledged is there, what was not has either content; a status that promises the medium
// comes behind a sync; every transfer comes back, and behind a recovery the disk works.
import CPosix
import Testing

@testable import usbredir_evloop

struct DiskPropertyTests {
  @Test(arguments: 0..<6 as Range<UInt64>)
  func anything(seed: UInt64) throws {
    var run = try Run(seed: seed)
    for _ in 0..<40 { run.step() }
    run.finish()
    let faults = run.faults
    #expect(faults == [], "seed \(seed)")
  }

  private struct Run {
    private static let blocks: UInt64 = 4096
    private static let synchronize: [UInt8] = [0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    private let rig: DiskRig
    private var random: SeededGenerator
    /// What a block may hold; what is not here is as the store made it.
    private var contents: [UInt64: [[UInt8]]] = [:]
    private var log: [String] = []
    private(set) var faults: [String] = []

    init(seed: UInt64) throws {
      random = SeededGenerator(seed: seed)
      rig = try DiskRig(DiskGeometry(blocks: Run.blocks, serial: "0123456789AB"))
    }

    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    private mutating func chance(_ outOf: Int) -> Bool { number(1...outOf) == 1 }

    private mutating func fault(_ text: String) { faults.append("\(text), behind \(log.suffix(4))") }

    mutating func step() {
      let first = UInt64(number(0...3500))
      let count = chance(4) ? number(257...596) : number(1...20)
      let salt = number(1...255)
      let data = (0..<count).flatMap {
        [UInt8](repeating: UInt8(truncatingIfNeeded: $0 &* 3 &+ salt), count: 512)
      }
      let kind = number(0...11)
      log.append("\(kind) \(first) \(count)")
      switch kind {
      case 0, 1, 2: write(first, data)
      case 3, 4, 5: read(first, count)
      case 6: interruptedWrite(first, data)
      case 7: interruptedRead(first, count)
      case 8: noWrapper()
      case 9: anyCommand()
      case 10: leave()
      default: breakBlock(first)
      }
    }

    mutating func finish() {
      settle()
      rig.store.failures = [:]
      for first in stride(from: 0, to: Run.blocks, by: 512) { read(first, 512) }
    }

    /// The worker has nothing to do: its store may be looked at.
    private func settle() { rig.user.run { !rig.disk.isWorking } }

    private mutating func may(_ first: UInt64, _ data: [UInt8], replace: Bool) {
      for index in 0..<data.count / 512 {
        let number = first + UInt64(index)
        let block = Array(data[index * 512..<(index + 1) * 512])
        contents[number] = replace ? [block] : (contents[number] ?? [FakeStore.block(number)]) + [block]
      }
    }

    private func fails(_ first: UInt64, _ count: Int) -> Bool {
      (first..<first + UInt64(count)).contains { rig.store.failures[$0] != nil }
    }

    private mutating func write(_ first: UInt64, _ data: [UInt8]) {
      settle()
      let willFail = fails(first, data.count / 512)
      let promises = chance(3)
      let piece = 512 * number(1...300)
      let outcome = rig.write(UInt32(first), data, flags: promises ? 0x08 : 0, piece: piece)
      settle()
      if willFail != outcome.status.hasPrefix("failed") { fault("write: \(outcome)") }
      if !willFail && outcome.status != "passed 0" { fault("write: \(outcome)") }
      if promises && !willFail && rig.store.record.last != "sync" { fault("FUA without a sync") }
      may(first, data, replace: !willFail)
      if chance(4) {
        if rig.tell(Run.synchronize).status != "passed 0" { fault("sync") }
        if rig.store.record.last != "sync" { fault("SYNCHRONIZE CACHE without a sync") }
      }
    }

    private mutating func read(_ first: UInt64, _ count: Int) {
      settle()
      rig.store.isCached = chance(2)
      let willFail = fails(first, count)
      let outcome = rig.read(UInt32(first), UInt16(count), piece: 512 * number(1...300))
      settle()
      if willFail != outcome.status.contains("failed") { fault("read: \(outcome)") }
      for index in 0..<outcome.data.count / 512 {
        let number = first + UInt64(index)
        let block = Array(outcome.data[index * 512..<(index + 1) * 512])
        if !(contents[number] ?? [FakeStore.block(number)]).contains(block) {
          return fault("block \(number) has what nobody wrote")
        }
      }
      if !willFail && outcome.data.count != count * 512 { fault("read: \(outcome)") }
    }

    private mutating func takeBack(_ transfer: Transfer, behind turns: Int) {
      rig.user.run(turns: turns) { transfer.state == .idle }
      rig.disk.cancel(transfer)
      rig.settle(transfer)
      if transfer.state != .idle { fault("a cancelled transfer does not come back") }
    }

    private mutating func recover() {
      if rig.recover() != "00 completed" { fault("no recovery") }
      rig.user.events = []
      if chance(3) {
        rig.disk.perform(chance(2) ? .reset : .setAlternateSetting(interface: 0, setting: 0))
        rig.user.turn()
      }
      let status = rig.tell([0, 0, 0, 0, 0, 0]).status
      if status != "passed 0" { fault("TEST UNIT READY: \(status)") }
    }

    private mutating func interruptedWrite(_ first: UInt64, _ data: [UInt8]) {
      may(first, data, replace: false)
      rig.start(DiskRig.access(0x2a, UInt32(first), UInt16(data.count / 512)), data.count, isIn: false)
      let piece = Array(data.prefix(512 * number(1...data.count / 512)))
      takeBack(rig.user.submit(0x02, .bulk, length: piece.count, data: piece), behind: number(0...2))
      recover()
      if chance(2) { write(first, data) }
    }

    private mutating func interruptedRead(_ first: UInt64, _ count: Int) {
      rig.start(DiskRig.access(0x28, UInt32(first), UInt16(count)), count * 512, isIn: true)
      takeBack(rig.user.submit(0x81, .bulk, length: 512 * number(1...count)), behind: number(0...3))
      recover()
    }

    private mutating func noWrapper() {
      let bytes = (0..<number(0...64)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if rig.out(bytes) != .stalled { fault("\(bytes) is a wrapper") }
      recover()
    }

    /// Anything but a write, with any expectation.
    private mutating func anyCommand() {
      var command = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
      let known: [UInt8] = [
        0, 3, 8, 0x12, 0x1a, 0x1e, 0x23, 0x25, 0x28, 0x2f, 0x35, 0x5a, 0x88, 0x9e, 0xa8, 0xaf,
      ]
      if chance(2) { command[0] = known[number(0...known.count - 1)] }
      if chance(2) { for index in 1..<6 { command[index] = 0 } }
      if [0x0a, 0x2a, 0x8a, 0xaa, 0x1b].contains(command[0]) { command[0] = 0 }
      let length = chance(3) ? UInt32.random(in: 0 ... .max, using: &random) : UInt32(number(0...4096))
      let wrapper = DiskRig.wrapper(7, length, isIn: chance(2), command, count: number(1...16))
      if rig.out(wrapper) != .completed { return fault("\(wrapper) is no wrapper") }
      for _ in 0..<number(0...4) {
        let size = number(0...5000)
        let transfer =
          chance(2)
          ? rig.user.submit(0x81, .bulk, length: size)
          : rig.user.submit(0x02, .bulk, length: size, data: [UInt8](repeating: 0, count: size))
        takeBack(transfer, behind: number(0...3))
      }
      recover()
    }

    private mutating func leave() {
      rig.close()
      if rig.store.record.lastIndex(where: { $0.hasPrefix("write") }) ?? -1
        > rig.store.record.lastIndex(of: "sync") ?? -1
      {
        fault("a guest left, and what it wrote is not on the medium")
      }
      rig.disk.owner = rig.user
    }

    private mutating func breakBlock(_ number: UInt64) {
      settle()
      if chance(2) { rig.store.failures = [:] } else { rig.store.failures[number] = EIO }
    }
  }
}
