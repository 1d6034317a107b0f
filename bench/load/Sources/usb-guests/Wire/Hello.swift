// Everything before a device is there: both hellos, and the packets that announce it.

/// The hello of either side, and what it says.
enum Hello {
  static let versionSize = 64

  /// The whole packet, with its 32-bit id.
  static func packet(_ capabilities: Capabilities) -> [UInt8] {
    var version = Array("usb-guests".utf8)
    version += [UInt8](repeating: 0, count: versionSize - version.count)
    return bytes(of: PacketType.hello) + bytes(of: UInt32(versionSize + 4)) + bytes(of: UInt32(0)) + version
      + bytes(of: capabilities.rawValue)
  }

  /// The capabilities in a hello's body; nil when it is none.
  static func capabilities(in body: UnsafeRawPointer, count: Int) -> Capabilities? {
    guard count >= versionSize, count % 4 == 0 else { return nil }
    return count == versionSize ? [] : Capabilities(rawValue: body.u32(versionSize))
  }
}

/// The endpoints of an ep_info packet; nil when it has not the size that the capabilities ask for.
func endpoints(in body: UnsafeRawPointer, count: Int, _ capabilities: Capabilities) -> [Endpoint]? {
  let slots = 32
  let hasSizes = capabilities.contains(.endpointInfoMaxPacketSize)
  guard count == slots * 3 + (hasSizes ? slots * 2 : 0) else { return nil }
  return (0..<slots).compactMap { slot in
    let type = body.u8(slot)
    guard type != 255, slot % 16 != 0 else { return nil }
    return Endpoint(
      address: UInt8(slot & 15) | (slot < 16 ? 0 : 0x80), type: type,
      maxPacketSize: hasSizes ? Int(body.u16(slots * 3 + slot * 2)) : 64)
  }
}

/// The bytes of an integer, little-endian.
func bytes<Value: FixedWidthInteger>(of value: Value) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
