// The two packets that carry load, taken apart where they lie in the inbox.

/// An interrupt_packet from the usb-host: a report, or the answer to one. Valid during the call it is handed
/// to.
struct InterruptPacket {
  static let headerSize = 4

  let id: UInt64
  let endpoint: UInt8
  let status: UInt8
  let data: UnsafeRawBufferPointer

  var isIn: Bool { endpoint & 0x80 != 0 }

  /// nil when it is too short to be one.
  @inline(__always)
  init?(id: UInt64, body: UnsafeRawPointer, count: Int) {
    guard count >= InterruptPacket.headerSize else { return nil }
    self.id = id
    endpoint = body.u8(0)
    status = body.u8(1)
    data = UnsafeRawBufferPointer(
      start: body + InterruptPacket.headerSize, count: count - InterruptPacket.headerSize)
  }
}

/// A bulk_packet from the usb-host: the answer to a request. Valid during the call it is handed to.
struct BulkPacket {
  let id: UInt64
  let endpoint: UInt8
  let status: UInt8
  /// Bytes moved.
  let length: Int
  let data: UnsafeRawBufferPointer

  var isIn: Bool { endpoint & 0x80 != 0 }

  /// nil when it is too short to be one.
  init?(id: UInt64, body: UnsafeRawPointer, count: Int, _ capabilities: Capabilities) {
    let size = capabilities.bulkHeaderSize
    guard count >= size else { return nil }
    self.id = id
    endpoint = body.u8(0)
    status = body.u8(1)
    let high = capabilities.contains(.bulkLength32) ? Int(body.u16(8)) << 16 : 0
    length = high | Int(body.u16(2))
    data = UnsafeRawBufferPointer(start: body + size, count: count - size)
  }
}
