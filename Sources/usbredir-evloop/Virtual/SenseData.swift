// Why a command failed, in SCSI's words. SPC-4, 4.5 and annex D.2.

/// Sense key, additional sense code and its qualifier.
struct SenseData: Error, Equatable {
  var key: UInt8
  var code: UInt8
  var qualifier: UInt8 = 0
  /// The block that it is about, where there is one.
  var block: UInt64?

  static let none = SenseData(key: 0, code: 0)
  static let mediumNotPresent = SenseData(key: 2, code: 0x3a)
  static let invalidOperation = SenseData(key: 5, code: 0x20)
  static let invalidField = SenseData(key: 5, code: 0x24)
  static let savingNotSupported = SenseData(key: 5, code: 0x39)
  static let removalPrevented = SenseData(key: 5, code: 0x53, qualifier: 2)
  static let writeProtected = SenseData(key: 7, code: 0x27)

  static func outOfRange(_ block: UInt64) -> SenseData { SenseData(key: 5, code: 0x21, block: block) }
  static func unrecoveredRead(_ block: UInt64?) -> SenseData { SenseData(key: 3, code: 0x11, block: block) }
  static func writeError(_ block: UInt64?) -> SenseData { SenseData(key: 3, code: 0x0c, block: block) }

  /// Fixed format, 18 bytes. SPC-4, 4.5.3.
  func append(to response: inout SCSIResponse) {
    // INFORMATION has 32 bits; VALID says that it holds the block.
    let information = block.flatMap { UInt32(exactly: $0) }
    response.add([information == nil ? 0x70 : 0xf0, 0, key])
    response.add(information ?? 0)
    response.add([10, 0, 0, 0, 0, code, qualifier, 0, 0, 0, 0])
  }
}
