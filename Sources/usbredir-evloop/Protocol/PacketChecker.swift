// What the C parser would say to a packet of ours. One packet that it refuses can abort QEMU, so debug
// builds ask before every send (B1.9).

/// Judges one complete packet, without a reader and without memory.
enum PacketChecker {
  /// nil when the peer of `sender` takes the packet.
  /// - Parameters:
  ///   - bytes: one packet, from its header to its last byte.
  ///   - capabilities: in force; a hello is judged without.
  static func fault(
    in bytes: Span<UInt8>, sentBy sender: Role, _ capabilities: Capabilities
  ) -> PacketFault? {
    let isHello = bytes.count >= 4 && bytes.u32(at: 0) == PacketType.hello.rawValue
    let inForce = isHello ? [] : capabilities
    let headerSize = PacketHeader.size(inForce)
    guard bytes.count >= headerSize else { return .wrongLength(.hello, length: UInt32(bytes.count)) }
    let header = PacketHeader(decoding: bytes, inForce)
    guard header.length <= PacketLimits.packet else { return .hugeLength(header.length) }
    guard let type = header.type else { return .unknownType(header.typeNumber) }
    let rules = PacketRules(sender: sender, capabilities: inForce, maxTransfer: PacketLimits.parserTransfer)
    if let fault = rules.fault(type, length: header.length) { return fault }
    guard bytes.count == headerSize + Int(header.length) else {
      return .wrongLength(type, length: header.length)
    }
    let end = headerSize + type.typeHeaderSize(inForce)
    let data = bytes.extracting(end..<bytes.count)
    return rules.fault(type, bytes.extracting(headerSize..<end), dataCount: UInt32(data.count))
      ?? PacketRules.fault(type, data: data)
  }
}
