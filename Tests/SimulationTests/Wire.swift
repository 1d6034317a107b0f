// The guest's end of the wire: takes the server's bytes apart by the protocol's text and lets nothing pass that is
// against it (B1.9). It shares no code with the product, which it is there to judge.
@testable import usbredir_evloop

/// One packet of the server.
struct WirePacket {
  let type: UInt32
  let id: UInt64
  let header: [UInt8]
  let data: [UInt8]

  func u16(_ offset: Int) -> UInt16 { UInt16(header[offset]) | UInt16(header[offset + 1]) << 8 }
  func u32(_ offset: Int) -> UInt32 { UInt32(u16(offset)) | UInt32(u16(offset + 2)) << 16 }
}

/// Numbers of the protocol, from its text.
enum Wire {
  static let hello: UInt32 = 0
  static let deviceConnect: UInt32 = 1
  static let deviceDisconnect: UInt32 = 2
  static let reset: UInt32 = 3
  static let interfaceInfo: UInt32 = 4
  static let endpointInfo: UInt32 = 5
  static let setConfiguration: UInt32 = 6
  static let getConfiguration: UInt32 = 7
  static let configurationStatus: UInt32 = 8
  static let setAlternate: UInt32 = 9
  static let getAlternate: UInt32 = 10
  static let alternateStatus: UInt32 = 11
  static let startIso: UInt32 = 12
  static let stopIso: UInt32 = 13
  static let isoStatus: UInt32 = 14
  static let startInterrupt: UInt32 = 15
  static let stopInterrupt: UInt32 = 16
  static let interruptStatus: UInt32 = 17
  static let allocateStreams: UInt32 = 18
  static let freeStreams: UInt32 = 19
  static let streamsStatus: UInt32 = 20
  static let cancel: UInt32 = 21
  static let filterReject: UInt32 = 22
  static let filter: UInt32 = 23
  static let disconnectAck: UInt32 = 24
  static let startBulk: UInt32 = 25
  static let stopBulk: UInt32 = 26
  static let bulkStatus: UInt32 = 27
  static let control: UInt32 = 100
  static let bulk: UInt32 = 101
  static let iso: UInt32 = 102
  static let interrupt: UInt32 = 103
  static let bufferedBulk: UInt32 = 104

  /// Capability bits.
  static let bulkStreamsBit: UInt32 = 1
  static let versionBit: UInt32 = 2
  static let filterBit: UInt32 = 4
  static let ackBit: UInt32 = 8
  static let packetSizeBit: UInt32 = 16
  static let ids64Bit: UInt32 = 32
  static let length32Bit: UInt32 = 64
  static let receivingBit: UInt32 = 128

  static let success: UInt8 = 0
  static let cancelled: UInt8 = 1
  static let invalid: UInt8 = 2
  static let ioError: UInt8 = 3
  static let stall: UInt8 = 4

  /// A number of so many bytes, little-endian.
  static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
  }

  static func packet(_ type: UInt32, id: UInt64, _ body: [UInt8], wide: Bool) -> [UInt8] {
    bytes(UInt64(type), 4) + bytes(UInt64(body.count), 4) + bytes(id, wide ? 8 : 4) + body
  }

  static func hello(_ capabilities: UInt32, name: String) -> [UInt8] {
    let version = Array(name.utf8) + [UInt8](repeating: 0, count: 64 - name.utf8.count)
    return packet(hello, id: 0, version + bytes(UInt64(capabilities), 4), wide: false)
  }
}

/// Bytes in, packets out.
struct WireReader {
  /// In force, once the server's hello was read.
  private(set) var capabilities: UInt32 = 0
  private(set) var hasHello = false
  /// Why the stream is no usbredir, or what the C parser would refuse.
  private(set) var fault: String?
  private let ours: UInt32
  private var bytes: [UInt8] = []
  private var start = 0

  init(offering ours: UInt32) {
    self.ours = ours
  }

  mutating func append(_ new: ArraySlice<UInt8>) {
    if start == bytes.count {
      bytes.removeAll(keepingCapacity: true)
      start = 0
    }
    bytes += new
  }

  func has(_ bit: UInt32) -> Bool { capabilities & bit != 0 }

  /// The next complete packet.
  mutating func next() -> WirePacket? {
    guard fault == nil else { return nil }
    let headerSize = hasHello && has(Wire.ids64Bit) ? 16 : 12
    guard bytes.count - start >= headerSize else { return nil }
    let type = number(start, 4)
    let length = Int(number(start + 4, 4))
    guard length <= 128 << 20 + 1024 else { return refuse("a length of \(length)") }
    guard bytes.count - start >= headerSize + length else { return nil }
    let id = number(start + 8, headerSize - 8)
    let body = Array(bytes[start + headerSize..<start + headerSize + length])
    start += headerSize + length
    if start > 1 << 16 {
      bytes.removeFirst(start)
      start = 0
    }
    return take(UInt32(type), id, body)
  }

  private func number(_ offset: Int, _ count: Int) -> UInt64 {
    (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
  }

  private mutating func refuse(_ text: String) -> WirePacket? {
    fault = "B1.9: \(text)"
    return nil
  }

  private mutating func take(_ type: UInt32, _ id: UInt64, _ body: [UInt8]) -> WirePacket? {
    if type == Wire.hello { return greet(body) }
    guard hasHello else { return refuse("packet type \(type) before the hello") }
    guard let size = headerSize(type) else { return refuse("packet type \(type) of a usb-host") }
    if let bit = neededBit(type), !has(bit) { return refuse("packet type \(type) without its capability") }
    guard body.count >= size else { return refuse("packet type \(type) of \(body.count) bytes") }
    let packet = WirePacket(type: type, id: id, header: Array(body[..<size]), data: Array(body[size...]))
    if let text = check(packet) { return refuse(text) }
    return packet
  }

  private mutating func greet(_ body: [UInt8]) -> WirePacket? {
    guard !hasHello else { return refuse("a second hello") }
    guard body.count >= 64, body.count % 4 == 0 else { return refuse("a hello of \(body.count) bytes") }
    hasHello = true
    let theirs = body.count >= 68 ? UInt32(body[64]) | UInt32(body[65]) << 8 : 0
    capabilities = theirs & ours
    if !has(Wire.packetSizeBit) { capabilities &= ~Wire.bulkStreamsBit }
    return WirePacket(type: Wire.hello, id: 0, header: Array(body[..<64]), data: Array(body[64...]))
  }

  /// Bytes of the type header; nil for what a usb-host does not send.
  private func headerSize(_ type: UInt32) -> Int? {
    switch type {
    case Wire.deviceConnect: has(Wire.versionBit) ? 10 : 8
    case Wire.deviceDisconnect: 0
    case Wire.interfaceInfo: 132
    case Wire.endpointInfo: !has(Wire.packetSizeBit) ? 96 : has(Wire.bulkStreamsBit) ? 288 : 160
    case Wire.configurationStatus, Wire.isoStatus, Wire.interruptStatus: 2
    case Wire.alternateStatus: 3
    case Wire.streamsStatus: 9
    case Wire.bulkStatus: 6
    case Wire.filter: 0
    case Wire.control: 10
    case Wire.bulk: has(Wire.length32Bit) ? 10 : 8
    case Wire.iso, Wire.interrupt: 4
    case Wire.bufferedBulk: 10
    default: nil
    }
  }

  private func neededBit(_ type: UInt32) -> UInt32? {
    switch type {
    case Wire.filter: Wire.filterBit
    case Wire.streamsStatus: Wire.bulkStreamsBit
    case Wire.bulkStatus, Wire.bufferedBulk: Wire.receivingBit
    default: nil
    }
  }

  /// Data goes one way, and its length is the one announced (B1.6).
  private func check(_ packet: WirePacket) -> String? {
    let header = packet.header
    var announced = 0
    var endpoint: UInt8?
    var isIn = true
    switch packet.type {
    case Wire.control:
      announced = Int(packet.u16(8))
      endpoint = header[0]
      if header[3] > 6 { return "status \(header[3])" }
    case Wire.bulk:
      announced = Int(packet.u16(2)) | (header.count > 8 ? Int(packet.u16(8)) << 16 : 0)
      endpoint = header[0]
      if header[1] > 6 { return "status \(header[1])" }
    case Wire.iso, Wire.interrupt:
      announced = Int(packet.u16(2))
      endpoint = header[0]
      if header[1] > 6 { return "status \(header[1])" }
      if packet.type == Wire.iso && header[0] & 0x80 == 0 { return "an iso_packet for an OUT endpoint" }
    case Wire.bufferedBulk:
      announced = Int(packet.u32(4))
      endpoint = header[8]
      if header[8] & 0x80 == 0 { return "a buffered_bulk_packet for an OUT endpoint" }
      if header[9] > 6 { return "status \(header[9])" }
    case Wire.interruptStatus, Wire.bulkStatus:
      let address = packet.type == Wire.bulkStatus ? header[4] : header[1]
      return address & 0x80 == 0 ? "a receiving status for OUT endpoint \(address)" : nil
    case Wire.filter: return nil
    default: break
    }
    if let endpoint { isIn = endpoint & 0x80 != 0 }
    if !isIn { return packet.data.isEmpty ? nil : "data for OUT endpoint \(endpoint ?? 0)" }
    return packet.data.count == announced
      ? nil : "\(packet.data.count) bytes of data, announced as \(announced)"
  }
}
