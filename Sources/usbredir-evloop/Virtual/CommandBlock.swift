// A SCSI command descriptor block and the fields that every one of its group has in the same place. SPC-4, 4.2.5.

/// The operation codes that are answered. SPC-4, SBC-3, MMC-6.
enum SCSIOperation {
  static let testUnitReady: UInt8 = 0x00
  static let requestSense: UInt8 = 0x03
  static let read6: UInt8 = 0x08
  static let write6: UInt8 = 0x0a
  static let inquiry: UInt8 = 0x12
  static let modeSense6: UInt8 = 0x1a
  static let startStopUnit: UInt8 = 0x1b
  static let preventAllowMediumRemoval: UInt8 = 0x1e
  static let readFormatCapacities: UInt8 = 0x23
  static let readCapacity10: UInt8 = 0x25
  static let read10: UInt8 = 0x28
  static let write10: UInt8 = 0x2a
  static let verify10: UInt8 = 0x2f
  static let synchronizeCache10: UInt8 = 0x35
  static let readTOC: UInt8 = 0x43
  static let getConfiguration: UInt8 = 0x46
  static let getEventStatusNotification: UInt8 = 0x4a
  static let readDiscInformation: UInt8 = 0x51
  static let modeSense10: UInt8 = 0x5a
  static let read16: UInt8 = 0x88
  static let write16: UInt8 = 0x8a
  static let verify16: UInt8 = 0x8f
  static let synchronizeCache16: UInt8 = 0x91
  static let serviceActionIn16: UInt8 = 0x9e
  static let reportLUNs: UInt8 = 0xa0
  static let read12: UInt8 = 0xa8
  static let write12: UInt8 = 0xaa
  static let verify12: UInt8 = 0xaf
}

/// A command descriptor block, filled up with zeros to 16 bytes, as two big-endian numbers.
struct CommandBlock {
  private var high: UInt64 = 0
  private var low: UInt64 = 0
  /// Bytes that the host sent, 1…16.
  let count: Int

  init(_ bytes: Span<UInt8>) {
    count = min(bytes.count, 16)
    for index in 0..<16 {
      high = high << 8 | low >> 56
      low = low << 8 | (index < count ? UInt64(bytes[index]) : 0)
    }
  }

  subscript(index: Int) -> UInt8 {
    UInt8(u16(at: index) >> 8)
  }

  var operation: UInt8 { self[0] }

  /// Bytes that a command of this group has.
  var size: Int {
    switch operation >> 5 {
    case 0: 6
    case 4: 16
    case 5: 12
    default: 10
    }
  }

  /// Logical block address.
  var address: UInt64 {
    switch size {
    case 6: UInt64(u32(at: 0) & 0x1f_ffff)
    case 16: high << 16 | low >> 48
    default: UInt64(u32(at: 2))
    }
  }

  /// Transfer length, or allocation length.
  var length: UInt32 {
    switch size {
    case 6: UInt32(self[4])
    case 12: u32(at: 6)
    case 16: u32(at: 10)
    default: UInt32(u16(at: 7))
    }
  }

  func u16(at index: Int) -> UInt16 {
    UInt16(u32(at: index) >> 16)
  }

  private func u32(at index: Int) -> UInt32 {
    // Shifts by more than 63 bits leave nothing, those by less than 0 go the other way.
    UInt32(truncatingIfNeeded: high >> (32 - 8 * index) | low >> (96 - 8 * index))
  }
}
