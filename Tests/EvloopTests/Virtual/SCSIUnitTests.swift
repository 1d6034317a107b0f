// The logical unit by itself: commands as bytes, answers as bytes.
import Testing

@testable import usbredir_evloop

/// A disk of 256 blocks, a larger one, a read-only one, a CD.
private let disk = DiskGeometry(blocks: 256, serial: "0123456789AB")
private let huge = DiskGeometry(blocks: 0x1_8000_0000, serial: "0123456789AB")
private let readOnly = DiskGeometry(blocks: 256, isReadOnly: true, serial: "0123456789AB")
private let cd = DiskGeometry(blocks: 300_000, isCD: true, isReadOnly: true, serial: "0123456789AB")

private func block(_ hex: String) -> CommandBlock {
  let bytes = Hex.bytes(hex.filter { $0 != " " }) ?? []
  return CommandBlock(bytes.span)
}

extension SCSIUnit {
  /// What a command given in hexadecimal comes to, in words.
  fileprivate mutating func run(_ hex: String) -> String {
    switch execute(block(hex)) {
    case .done: "done"
    case .failed: text(sense)
    case .respond(let count): Hex.text(response.bytes.span.extracting(0..<count))
    case .read(let range): "read \(range.offset) \(range.count)"
    case .write(let range, let sync): "write \(range.offset) \(range.count)" + (sync ? " sync" : "")
    case .verify(let range): "verify \(range.offset) \(range.count)"
    case .synchronize: "synchronize"
    }
  }

  private func text(_ sense: SenseData) -> String {
    [sense.key, sense.code, sense.qualifier].map { Hex.text(UInt32($0), digits: 2) }.joined(separator: "/")
      + (sense.block.map { " block \($0)" } ?? "")
  }
}

struct SCSIUnitTests {
  @Test(
    "a disk's commands",
    arguments: [
      ("00 00 00 00 00 00", "done"),
      // INQUIRY, whole, cut short, and with more room than there is.
      ("12 00 00 00 24 00", "008005021f00000055534252454449525669727475616c204469736b20202020312e3020"),
      ("12 00 00 00 05 00", "008005021f"),
      ("12 00 00 01 00 00", "008005021f00000055534252454449525669727475616c204469736b20202020312e3020"),
      ("12 01 00 00 ff 00", "00000003008083"),
      ("12 01 80 00 ff 00", "0080000c303132333435363738394142"),
      ("12 01 83 00 ff 00", "00830018020100145553425245444952303132333435363738394142"),
      ("12 01 b0 00 ff 00", "05/24/00"),
      ("12 00 80 00 ff 00", "05/24/00"),
      ("12 02 00 00 ff 00", "05/24/00"),
      // REQUEST SENSE with nothing to tell.
      ("03 00 00 00 12 00", "700000000000000a00000000000000000000"),
      // MODE SENSE: FUA is heeded, the cache is on; what can be changed is nothing.
      ("1a 00 3f 00 c0 00", "170010000812040000000000000000000000000000000000"),
      ("1a 00 08 00 04 00", "17001000"),
      ("1a 00 48 00 c0 00", "170010000812000000000000000000000000000000000000"),
      ("5a 00 08 00 00 00 00 00 c0 00", "001a0010000000000812040000000000000000000000000000000000"),
      ("1a 00 c8 00 c0 00", "05/39/00"),
      ("1a 00 1c 00 c0 00", "05/24/00"),
      ("1a 00 08 01 c0 00", "05/24/00"),
      // MODE SELECT (6) and (10), FORMAT UNIT, WRITE SAME (10), UNMAP and a vendor's own are not known.
      ("15 10 00 00 18 00", "05/20/00"),
      ("55 10 00 00 00 00 00 00 18 00", "05/20/00"),
      ("04 00 00 00 00 00", "05/20/00"),
      ("41 00 00 00 00 00 00 00 01 00", "05/20/00"),
      ("42 00 00 00 00 00 00 00 18 00", "05/20/00"),
      ("c0 00 00 00 00 00 00 00 00 00", "05/20/00"),
      // READ FORMAT CAPACITIES, READ CAPACITY.
      ("23 00 00 00 00 00 00 00 fc 00", "000000080000010002000200"),
      ("25 00 00 00 00 00 00 00 00 00", "000000ff00000200"),
      ("25 00 00 00 00 01 00 00 00 00", "05/24/00"),
      ("25 00 00 00 00 00 00 00 01 00", "05/24/00"),
      (
        "9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00",
        "00000000000000ff000002000000000000000000000000000000000000000000"
      ),
      ("9e 10 00 00 00 00 00 00 00 00 00 00 00 0c 00 00", "00000000000000ff00000200"),
      ("9e 11 00 00 00 00 00 00 00 00 00 00 00 20 00 00", "05/24/00"),
      ("a0 00 00 00 00 00 00 00 00 10 00 00", "00000008000000000000000000000000"),
      // READ in its four sizes; 0 blocks are 256 of them in READ (6) alone.
      ("08 00 00 01 02 00", "read 512 1024"),
      ("08 00 00 00 00 00", "read 0 131072"),
      ("28 00 00 00 00 ff 00 00 01 00", "read 130560 512"),
      ("28 00 00 00 01 00 00 00 00 00", "read 131072 0"),
      ("a8 00 00 00 00 02 00 00 00 03 00 00", "read 1024 1536"),
      ("88 00 00 00 00 00 00 00 00 02 00 00 00 03 00 00", "read 1024 1536"),
      ("28 00 00 00 00 ff 00 00 02 00", "05/21/00 block 256"),
      ("28 00 00 00 01 01 00 00 00 00", "05/21/00 block 257"),
      ("a8 00 00 00 00 00 ff ff ff ff 00 00", "05/21/00 block 256"),
      ("88 00 ff ff ff ff ff ff ff ff ff ff ff ff 00 00", "05/21/00 block 18446744073709551615"),
      // WRITE, with FUA in bit 3.
      ("0a 00 00 01 01 00", "write 512 512"),
      ("2a 00 00 00 00 01 00 00 01 00", "write 512 512"),
      ("2a 08 00 00 00 01 00 00 01 00", "write 512 512 sync"),
      ("aa 08 00 00 00 01 00 00 00 01 00 00", "write 512 512 sync"),
      ("8a 08 00 00 00 00 00 00 00 01 00 00 00 01 00 00", "write 512 512 sync"),
      ("2a 00 00 00 01 00 00 00 01 00", "05/21/00 block 256"),
      // VERIFY, but not against data.
      ("2f 00 00 00 00 01 00 00 01 00", "verify 512 512"),
      ("af 00 00 00 00 01 00 00 00 01 00 00", "verify 512 512"),
      ("8f 00 00 00 00 00 00 00 00 01 00 00 00 01 00 00", "verify 512 512"),
      ("2f 02 00 00 00 01 00 00 01 00", "05/24/00"),
      ("2f 00 00 00 01 00 00 00 01 00", "05/21/00 block 256"),
      ("35 00 00 00 00 00 00 00 00 00", "synchronize"),
      ("91 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", "synchronize"),
      // START STOP UNIT without LOEJ, and with a power condition, changes nothing.
      ("1b 00 00 00 00 00", "done"),
      ("1b 00 00 00 32 00", "done"),
      ("1e 00 00 00 01 00", "done"),
      ("1e 00 00 00 02 00", "05/24/00"),
      // A CD's commands are none of a disk's.
      ("43 00 00 00 00 00 00 00 0c 00", "05/20/00"),
      ("46 00 00 00 00 00 00 00 0c 00", "05/20/00"),
      ("4a 01 00 00 10 00 00 00 08 00", "05/20/00"),
      ("51 00 00 00 00 00 00 00 22 00", "05/20/00"),
      // Fewer bytes than the command has.
      ("28 00 00 00 00 00", "05/24/00"),
    ])
  func diskCommands(command: String, answer: String) {
    var unit = SCSIUnit(disk)
    #expect(unit.run(command) == answer, "\(command)")
  }

  @Test(
    "beyond 32 bits of blocks and of bytes",
    arguments: [
      ("25 00 00 00 00 00 00 00 00 00", "ffffffff00000200"),
      ("9e 10 00 00 00 00 00 00 00 00 00 00 00 0c 00 00", "000000017fffffff00000200"),
      ("23 00 00 00 00 00 00 00 fc 00", "00000008ffffffff02000200"),
      ("28 00 ff ff ff ff 00 00 01 00", "read 2199023255040 512"),
      ("88 00 00 00 00 01 7f ff ff ff 00 00 00 01 00 00", "read 3298534882816 512"),
      ("88 00 00 00 00 00 00 00 00 00 ff ff ff ff 00 00", "read 0 2199023255040"),
      ("88 00 00 00 00 01 80 00 00 00 00 00 00 01 00 00", "05/21/00 block 6442450944"),
      ("8a 00 00 00 00 01 7f ff ff fe 00 00 00 02 00 00", "write 3298534882304 1024"),
    ])
  func hugeCommands(command: String, answer: String) {
    var unit = SCSIUnit(huge)
    #expect(unit.run(command) == answer, "\(command)")
  }

  @Test(
    "write protected",
    arguments: [
      ("1a 00 3f 00 04 00", "17008000"),
      ("5a 00 3f 00 00 00 00 00 08 00", "001a008000000000"),
      ("0a 00 00 01 01 00", "07/27/00"),
      ("2a 00 00 00 00 01 00 00 01 00", "07/27/00"),
      ("aa 00 00 00 00 01 00 00 00 01 00 00", "07/27/00"),
      ("8a 00 00 00 00 00 00 00 00 01 00 00 00 01 00 00", "07/27/00"),
      ("28 00 00 00 00 01 00 00 01 00", "read 512 512"),
      ("1b 00 00 00 02 00", "done"),
    ])
  func readOnlyCommands(command: String, answer: String) {
    var unit = SCSIUnit(readOnly)
    #expect(unit.run(command) == answer, "\(command)")
  }

  @Test(
    "a CD's commands",
    arguments: [
      ("12 00 00 00 24 00", "058005021f00000055534252454449525669727475616c2043442d524f4d2020312e3020"),
      ("25 00 00 00 00 00 00 00 00 00", "000493df00000800"),
      ("28 00 00 00 00 01 00 00 02 00", "read 2048 4096"),
      ("2a 00 00 00 00 01 00 00 01 00", "07/27/00"),
      ("1a 00 2a 00 c0 00", "170000002a120b00700029001b90000000001b9000000000"),
      ("1a 00 08 00 c0 00", "05/24/00"),
      // The table of contents in blocks and in minutes; the lead-out alone; sessions; the lead-in.
      ("43 00 00 00 00 00 00 00 ff 00", "0012010100140100000000000014aa00000493e0"),
      ("43 02 00 00 00 00 00 00 ff 00", "0012010100140100000002000014aa0000422a00"),
      ("43 00 00 00 00 00 aa 00 ff 00", "000a01010014aa00000493e0"),
      ("43 00 00 00 00 00 02 00 ff 00", "05/24/00"),
      ("43 00 01 00 00 00 00 00 0c 00", "000a01010014010000000000"),
      ("43 00 00 00 00 00 00 00 0c 40", "000a01010014010000000000"),
      (
        "43 02 02 00 00 00 00 00 ff 00",
        "002e0101011400a000000000010000011400a100000000010000011400a200000000422a000114000100000000000200"
      ),
      ("43 00 05 00 00 00 00 00 ff 00", "05/24/00"),
      (
        "51 00 00 00 00 00 00 00 22 00",
        "00200e01010101200000000000000000000000000000000000000000000000000000"
      ),
      ("51 01 00 00 00 00 00 00 22 00", "05/24/00"),
      ("4a 01 00 00 10 00 00 00 08 00", "0006041000020000"),
      ("4a 01 00 00 02 00 00 00 08 00", "00028010"),
      ("4a 00 00 00 10 00 00 00 08 00", "05/24/00"),
      ("46 00 00 00 00 00 00 00 08 00", "0000003c00000008"),
      ("46 02 00 03 00 00 00 00 ff 00", "0000000c000000080003030429000000"),
      ("46 01 00 1e 00 00 00 00 ff 00", "0000000c00000008001e090400000000"),
      ("46 02 01 00 00 00 00 00 ff 00", "0000000400000008"),
      // READ DVD STRUCTURE is not known.
      ("ad 00 00 00 00 00 00 00 08 00 00 00", "05/20/00"),
    ])
  func cdCommands(command: String, answer: String) {
    var unit = SCSIUnit(cd)
    #expect(unit.run(command) == answer, "\(command)")
  }

  @Test func moreThanACDHoldsIsADVD() {
    var unit = SCSIUnit(DiskGeometry(blocks: 360_001, isCD: true, isReadOnly: true, serial: ""))
    #expect(unit.run("46 02 00 00 00 00 00 00 ff 00") == "0000001000000010000003080010010000080000")
  }

  @Test("sense data is told once, and the next command replaces it") func sense() {
    var unit = SCSIUnit(disk)
    #expect(unit.run("28 00 00 00 01 00 00 00 01 00") == "05/21/00 block 256")
    #expect(unit.run("03 00 00 00 12 00") == "f00005000001000a00000000210000000000")
    #expect(unit.run("03 00 00 00 12 00") == "700000000000000a00000000000000000000")
    _ = unit.run("c0 00 00 00 00 00 00 00 00 00")
    #expect(unit.run("00 00 00 00 00 00") == "done")
    #expect(unit.run("03 00 00 00 08 00") == "700000000000000a")
  }

  @Test("a block that has no place in the sense data is not told") func distantBlock() {
    var unit = SCSIUnit(huge)
    #expect(unit.run("88 00 00 00 00 01 80 00 00 00 00 00 00 01 00 00") == "05/21/00 block 6442450944")
    #expect(unit.run("03 00 00 00 08 00") == "700005000000000a")
  }

  @Test func ejectedUntilItIsLoadedOrReset() {
    var unit = SCSIUnit(disk)
    #expect(unit.run("1e 00 00 00 01 00") == "done")
    #expect(unit.run("1b 00 00 00 02 00") == "05/53/02")
    #expect(unit.run("1e 00 00 00 00 00") == "done")
    #expect(unit.run("1b 00 00 00 02 00") == "synchronize")
    for command in ["00 00 00 00 00 00", "28 00 00 00 00 01 00 00 01 00", "25 00 00 00 00 00 00 00 00 00"] {
      #expect(unit.run(command) == "02/3a/00")
    }
    #expect(unit.run("c0 00 00 00 00 00 00 00 00 00") == "05/20/00")
    #expect(unit.run("12 00 00 00 02 00") == "0080")
    #expect(unit.run("1b 00 00 00 03 00") == "done")
    #expect(unit.run("00 00 00 00 00 00") == "done")
    _ = unit.run("1b 00 00 00 02 00")
    unit.reset()
    #expect(unit.run("00 00 00 00 00 00") == "done")
  }

  @Test func anEjectedCDSaysSo() {
    var unit = SCSIUnit(cd)
    #expect(unit.run("1b 00 00 00 02 00") == "done")
    #expect(unit.run("4a 01 00 00 10 00 00 00 08 00") == "0006041000000000")
    #expect(unit.run("46 02 00 03 00 00 00 00 08 00") == "0000000c00000000")
    #expect(unit.run("43 00 00 00 00 00 00 00 ff 00") == "02/3a/00")
    #expect(unit.run("51 00 00 00 00 00 00 00 22 00") == "02/3a/00")
  }
}
