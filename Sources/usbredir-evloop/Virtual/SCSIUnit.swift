// The logical unit: what it makes of a command. It answers by itself what concerns itself, and says what is to be
// done with the blocks; doing it is somebody else's business. SPC-4, SBC-3, and MMC-6 for a CD.

/// What a disk is.
struct DiskGeometry: Equatable {
  /// 512; 2048 for a CD.
  var blockSize: UInt32 { isCD ? 2048 : 512 }
  /// At least 1.
  var blocks: UInt64
  var isCD = false
  var isReadOnly = false
  /// iSerialNumber, and that of INQUIRY. BOT 4.1.1: at least 12 digits, 0…9 and A…F.
  var serial: String
}

/// Some of a disk's bytes.
struct DiskRange: Equatable {
  var offset: UInt64
  var count: UInt64
}

/// What comes of a command.
enum SCSIAction: Equatable {
  case done
  /// CHECK CONDITION; why stands in `sense`.
  case failed
  /// The first bytes of `response`.
  case respond(count: Int)
  case read(DiskRange)
  /// `sync`: on the medium before the command is done (FUA).
  case write(DiskRange, sync: Bool)
  /// Read, and nothing of it sent.
  case verify(DiskRange)
  case synchronize
}

/// One logical unit. No I/O.
struct SCSIUnit {
  let geometry: DiskGeometry
  private(set) var sense = SenseData.none
  private(set) var response = SCSIResponse()
  /// False after an eject, until the next load or reset.
  private(set) var isLoaded = true
  private var preventsRemoval = false

  init(_ geometry: DiskGeometry) {
    self.geometry = geometry
  }

  /// As it is for a new guest, and after a reset.
  mutating func reset() {
    sense = .none
    isLoaded = true
    preventsRemoval = false
  }

  /// The command that `execute` let pass came to grief after all.
  mutating func fail(_ sense: SenseData) {
    self.sense = sense
  }

  mutating func execute(_ command: CommandBlock) -> SCSIAction {
    response.clear()
    if command.operation == SCSIOperation.requestSense { sense.append(to: &response) }
    // Sense data is there until it is fetched, or the next command replaces it. SAM-5, 5.14.
    sense = .none
    do throws(SenseData) {
      guard command.count >= command.size else { throw .invalidField }
      let action = try action(command)
      guard case .respond(let most) = action else { return action }
      return .respond(count: min(most, response.bytes.count))
    } catch {
      sense = error
      return .failed
    }
  }

  private mutating func action(_ command: CommandBlock) throws(SenseData) -> SCSIAction {
    let room = Int(min(command.length, 0xffff))
    switch command.operation {
    case SCSIOperation.requestSense: return .respond(count: room)
    case SCSIOperation.inquiry:
      try response.inquire(command, geometry)
      return .respond(count: Int(command.u16(at: 3)))
    case SCSIOperation.reportLUNs:
      response.add([0, 0, 0, 8] + [UInt8](repeating: 0, count: 12))
      return .respond(count: room)
    case SCSIOperation.modeSense6, SCSIOperation.modeSense10:
      try response.senseMode(command, geometry)
      return .respond(count: room)
    case SCSIOperation.startStopUnit: return try startStop(command)
    case SCSIOperation.preventAllowMediumRemoval:
      guard command[4] & 0xfe == 0 else { throw .invalidField }
      preventsRemoval = command[4] & 1 != 0
      return .done
    default:
      if geometry.isCD, try response.answerCD(command, geometry, isLoaded: isLoaded) {
        return .respond(count: room)
      }
      return try mediumAction(command, room)
    }
  }

  /// What needs a medium to be there. An operation that nobody knows is wrong without one as well.
  private mutating func mediumAction(
    _ command: CommandBlock, _ room: Int
  ) throws(SenseData) -> SCSIAction {
    let action = try accessAction(command, room)
    guard isLoaded else { throw .mediumNotPresent }
    return action
  }

  private mutating func accessAction(
    _ command: CommandBlock, _ room: Int
  ) throws(SenseData) -> SCSIAction {
    switch command.operation {
    case SCSIOperation.testUnitReady: return .done
    case SCSIOperation.readFormatCapacities:
      response.add([0, 0, 0, 8])
      response.add(UInt32(clamping: geometry.blocks))
      // The medium is formatted; the size of its blocks has 24 bits.
      response.add(2 << 24 | geometry.blockSize)
      return .respond(count: room)
    case SCSIOperation.readCapacity10:
      guard command.address == 0, command[8] & 1 == 0 else { throw .invalidField }
      response.add(UInt32(clamping: geometry.blocks - 1))
      response.add(geometry.blockSize)
      return .respond(count: 8)
    case SCSIOperation.serviceActionIn16:
      guard command[1] & 0x1f == SCSIUnit.readCapacity16 else { throw .invalidField }
      response.add(UInt32((geometry.blocks - 1) >> 32))
      response.add(UInt32(truncatingIfNeeded: geometry.blocks - 1))
      response.add(geometry.blockSize)
      response.add([UInt8](repeating: 0, count: 20))
      return .respond(count: room)
    case SCSIOperation.read6, SCSIOperation.read10, SCSIOperation.read12, SCSIOperation.read16:
      return .read(try range(command))
    case SCSIOperation.write6, SCSIOperation.write10, SCSIOperation.write12, SCSIOperation.write16:
      guard !geometry.isReadOnly else { throw .writeProtected }
      return .write(try range(command), sync: command.size > 6 && command[1] & 0x08 != 0)
    case SCSIOperation.verify10, SCSIOperation.verify12, SCSIOperation.verify16:
      // BYTCHK: compared with data from the host.
      guard command[1] & 0x06 == 0 else { throw .invalidField }
      return .verify(try range(command))
    case SCSIOperation.synchronizeCache10, SCSIOperation.synchronizeCache16: return .synchronize
    default: throw .invalidOperation
    }
  }

  /// The service action of SERVICE ACTION IN (16).
  private static let readCapacity16: UInt8 = 0x10

  private func range(_ command: CommandBlock) throws(SenseData) -> DiskRange {
    let isLong = command.size > 6
    let count = isLong || command.length > 0 ? UInt64(command.length) : 256
    let first = command.address
    guard first <= geometry.blocks, count <= geometry.blocks - first else {
      throw .outOfRange(max(first, geometry.blocks))
    }
    let size = UInt64(geometry.blockSize)
    return DiskRange(offset: first * size, count: count * size)
  }

  /// START STOP UNIT: START in bit 0, LOEJ in bit 1, and a power condition, which changes nothing here.
  private mutating func startStop(_ command: CommandBlock) throws(SenseData) -> SCSIAction {
    guard command[4] & 0xf2 == 0x02 else { return .done }
    let loads = command[4] & 1 != 0
    guard loads || !preventsRemoval else { throw .removalPrevented }
    isLoaded = loads
    // What is written so far should be safe when somebody takes the medium out.
    return loads || geometry.isReadOnly ? .done : .synchronize
  }
}
