// Bytes that the logical unit answers with: identity and mode pages. SPC-4, 6.6 (INQUIRY), 7.5 (mode), 7.8 (VPD);
// SBC-3, 6.4 (caching page).

/// A response, big-endian. Its memory is kept from one to the next.
struct SCSIResponse {
  private(set) var bytes: [UInt8] = []

  mutating func clear() {
    bytes.removeAll(keepingCapacity: true)
  }

  @inline(never) mutating func add(_ more: [UInt8]) {
    for byte in more { bytes.append(byte) }
  }

  mutating func add(_ value: UInt16) {
    bytes.append(UInt8(value >> 8))
    bytes.append(UInt8(value & 0xff))
  }

  mutating func add(_ value: UInt32) {
    add(UInt16(value >> 16))
    add(UInt16(value & 0xffff))
  }

  /// Text in a field of `width` bytes, filled up with blanks.
  mutating func add(_ text: StaticString, width: Int) {
    text.withUTF8Buffer { characters in
      for index in 0..<width { bytes.append(unsafe index < characters.count ? characters[index] : 0x20) }
    }
  }

  mutating func add(_ text: String) {
    for byte in text.utf8 { bytes.append(byte) }
  }

  /// Stores how many bytes stand behind `index`, where a length that counts them belongs.
  mutating func setLength(at index: Int, size: Int) {
    let count = bytes.count - index - size
    bytes[index + size - 1] = UInt8(count & 0xff)
    if size > 1 { bytes[index + size - 2] = UInt8(count >> 8) }
  }
}

extension SCSIResponse {
  /// INQUIRY: standard data, or a page of vital product data.
  mutating func inquire(_ command: CommandBlock, _ geometry: DiskGeometry) throws(SenseData) {
    let hasPage = command[1] & 1 != 0
    guard command[1] & 0xfe == 0, hasPage || command[2] == 0 else { throw .invalidField }
    // Peripheral device type: direct access, or CD.
    let type: UInt8 = geometry.isCD ? 5 : 0
    guard hasPage else {
      // Removable; SPC-3; response data format 2; 31 more bytes.
      add([type, 0x80, 5, 2, 31, 0, 0, 0])
      add("USBREDIR", width: 8)
      add(geometry.isCD ? "Virtual CD-ROM" : "Virtual Disk", width: 16)
      return add("1.0", width: 4)
    }
    add([type, command[2], 0, 0])
    switch command[2] {
    case 0x00: add([0x00, 0x80, 0x83])
    case 0x80: add(geometry.serial)
    case 0x83:
      // One designator of the logical unit: ASCII, T10 vendor id and what the vendor makes of it.
      add([2, 1, 0, 0])
      add("USBREDIR", width: 8)
      add(geometry.serial)
      setLength(at: 7, size: 1)
    default: throw .invalidField
    }
    setLength(at: 2, size: 2)
  }

  /// MODE SENSE (6) and (10), without block descriptors.
  mutating func senseMode(_ command: CommandBlock, _ geometry: DiskGeometry) throws(SenseData) {
    let isLong = command.size == 10
    let page = command[2] & 0x3f
    let control = command[2] >> 6
    guard command[3] == 0 || command[3] == 0xff else { throw .invalidField }
    guard control != 3 else { throw .savingNotSupported }
    // Device-specific parameter: WP says that it is write protected, DPOFUA that FUA is heeded.
    let specific: UInt8 = geometry.isCD ? 0 : geometry.isReadOnly ? 0x80 : 0x10
    add(isLong ? [0, 0, 0, specific, 0, 0, 0, 0] : [0, 0, specific, 0])
    let own: UInt8 = geometry.isCD ? 0x2a : 0x08
    guard page == own || page == 0x3f else { throw .invalidField }
    add([own, 18])
    // Control 1 asks for what can be changed: nothing.
    let isBlank = control == 1
    // Write cache enabled.
    let caching: [UInt8] = [4]
    let parameters = isBlank ? [] : geometry.isCD ? SCSIResponse.cdCapabilities : caching
    add(parameters + [UInt8](repeating: 0, count: 18 - parameters.count))
    setLength(at: 0, size: isLong ? 2 : 1)
  }
}
