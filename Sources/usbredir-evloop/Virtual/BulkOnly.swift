// The USB Mass Storage Class Bulk-Only Transport 1.0, without any I/O: the wrappers around commands and their status,
// and what host and device make of each other's expectations.

/// The numbers of its class requests (3.1, 3.2) and of the data phase's agreement.
enum BulkOnly {
  static let getMaxLUN: UInt8 = 0xfe
  static let reset: UInt8 = 0xff
}

/// Command Block Wrapper: what the host sends first. 5.1.
struct CommandWrapper {
  static let size = 31
  private static let signature: UInt32 = 0x4342_5355

  /// dCBWTag, which the status wrapper repeats.
  let tag: UInt32
  /// dCBWDataTransferLength: bytes that the host expects to move.
  let length: UInt32
  /// bmCBWFlags, bit 7: they come from the device.
  let isIn: Bool
  let command: CommandBlock

  /// nil when it is not valid and meaningful (6.2) for a device with a single logical unit.
  init?(_ bytes: Span<UInt8>) {
    guard bytes.count == CommandWrapper.size, bytes.u32(at: 0) == CommandWrapper.signature else { return nil }
    guard bytes[12] & 0x7f == 0, bytes[13] == 0, 1...16 ~= bytes[14] else { return nil }
    tag = bytes.u32(at: 4)
    length = bytes.u32(at: 8)
    isIn = bytes[12] != 0
    command = CommandBlock(bytes.extracting(15..<15 + Int(bytes[14])))
  }
}

/// Command Status Wrapper: what the device sends last. 5.2.
struct StatusWrapper {
  /// bCSWStatus, table 5.3.
  enum Status: UInt8 {
    case passed = 0
    case failed = 1
    case phaseError = 2
  }

  static let size = 13

  var tag: UInt32 = 0
  /// dCSWDataResidue: what the host expected to move and the device did not use.
  var residue: UInt32 = 0
  var status = Status.passed

  func encode(into bytes: inout MutableRawSpan) {
    bytes.put(0x5342_5355 as UInt32, at: 0)
    bytes.put(tag, at: 4)
    bytes.put(residue, at: 8)
    bytes.put(status.rawValue, at: 12)
  }
}

/// What passes between command and status: the thirteen cases of 6.7. The device sends all that it has and
/// ends with a stall when the host expects more (4, 5); it takes all that the host has and uses what it needs
/// (9, 11). Where it wants another direction, or more than the host has (2, 3, 7, 8, 10, 13), nothing is
/// carried out: the pipe stalls, and the status is a phase error.
struct DataPhase: Equatable {
  enum Direction {
    case none
    case fromDevice
    case toDevice
  }

  private(set) var host = Direction.none
  private(set) var isPhaseError = false
  /// Bytes that the host still expects to move.
  var left: UInt32 = 0
  /// Bytes of them that the device still has, or uses.
  var useful: UInt32 = 0

  /// None at all.
  init() {}

  /// - Parameters:
  ///   - device: what the command wants; `.none` with an amount of 0.
  ///   - amount: bytes, which may be more than the transport can express.
  init(_ wrapper: CommandWrapper, device: Direction, amount: UInt64) {
    let wanted = amount == 0 ? .none : device
    host = wrapper.length == 0 ? .none : wrapper.isIn ? .fromDevice : .toDevice
    isPhaseError = wanted != .none && (wanted != host || amount > UInt64(wrapper.length))
    left = wrapper.length
    useful = isPhaseError ? 0 : UInt32(amount)
  }
}
