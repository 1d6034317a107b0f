// Headers written in front of a payload: how every packet of ours is made. Nothing is allocated and nothing
// moved.

extension PacketBuffer {
  /// Payload capacity that holds any packet without data.
  static let controlCapacity = PacketLimits.typeHeader

  /// Makes the payload the data of a packet: writes `header` and the packet header in front of it. A header
  /// too large for the headroom becomes the payload itself, which must be empty then and have
  /// `controlCapacity`.
  /// - Parameters:
  ///   - id: of the request or stream; 0 where the packet has none. Without 64-bit ids its low half counts.
  ///   - capabilities: in force.
  func finish<Header: TypeHeader>(_ header: Header, id: UInt64, _ capabilities: Capabilities) {
    let size = Header.size(capabilities)
    if size + PacketHeader.size(capabilities) <= start {
      prepend(size) { header.encode(into: &$0, at: 0, capabilities) }
    } else {
      precondition(count == 0)
      fill(size) { header.encode(into: &$0, at: 0, capabilities) }
    }
    finish(Header.type, id: id, capabilities)
  }

  /// As above for a packet without type header; the payload is empty, or a filter's text with its NUL.
  func finish(_ type: PacketType, id: UInt64, _ capabilities: Capabilities) {
    let header = PacketHeader(type: type, length: UInt32(count), id: id)
    prepend(PacketHeader.size(capabilities)) { header.encode(into: &$0, at: 0, capabilities) }
  }

  /// Makes an empty buffer a hello: the first packet, in the form that needs no agreement (B1.2).
  /// - Parameter version: see `HelloHeader.init(version:)`.
  func finishHello(version: String, offering capabilities: Capabilities) {
    let hello = HelloHeader(version: version)
    let size = HelloHeader.size([])
    fill(size + 4) {
      hello.encode(into: &$0, at: 0, [])
      $0.put(capabilities.rawValue, at: size)
    }
    finish(.hello, id: 0, [])
  }
}
