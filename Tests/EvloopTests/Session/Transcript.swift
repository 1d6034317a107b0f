// What a guest receives, in words that tables can hold: `interrupt 81 #0 success 2 0102`.
@testable import usbredir_evloop

/// Puts packets into words. What a guest refuses becomes a word as well, so that no test can miss it.
final class Transcript: PacketReceiver {
  let isPaused = false
  /// Notes data packets by their number alone: for floods.
  var isCounting = false
  /// Packets so far.
  private(set) var count = 0
  /// Data of all interrupt and buffered bulk packets while counting.
  private(set) var reports: [[UInt8]] = []
  private(set) var ids: [UInt64] = []
  private var words: [String] = []

  /// Words that `take` has to tell.
  var waiting: Int { words.count }

  func take() -> [String] {
    defer { words = [] }
    return words
  }

  func receive(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>) {
    count += 1
    if isCounting && (header.type == .interruptPacket || header.type == .bufferedBulkPacket) {
      reports.append(array(data))
      ids.append(header.id)
    } else {
      words.append(text(header, typeHeader, data))
    }
  }

  func rejected(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ fault: PacketFault) {
    count += 1
    words.append("REFUSED " + fault.description)
  }

  func broken(_ fault: PacketFault) {
    count += 1
    words.append("BROKEN " + fault.description)
  }

  private func text(_ packet: PacketHeader, _ bytes: Span<UInt8>, _ data: Span<UInt8>) -> String {
    let id = " #\(packet.id) "
    switch packet.type {
    case .controlPacket:
      let header = ControlPacketHeader(decoding: bytes)
      return "control\(id)\(header.status) \(header.length)" + hex(data)
    case .bulkPacket:
      let header = BulkPacketHeader(decoding: bytes)
      return "bulk \(hex(header.endpoint))\(id)\(header.status) \(header.length)" + hex(data)
    case .interruptPacket:
      let header = InterruptPacketHeader(decoding: bytes)
      return "interrupt \(hex(header.endpoint))\(id)\(header.status) \(header.length)" + hex(data)
    case .isoPacket:
      let header = IsoPacketHeader(decoding: bytes)
      return "iso \(hex(header.endpoint))\(id)\(header.status) \(header.length)" + hex(data)
    case .bufferedBulkPacket:
      let header = BufferedBulkPacketHeader(decoding: bytes)
      return "buffered_bulk \(hex(header.endpoint))\(id)\(header.status) \(header.length)" + hex(data)
    case .interruptReceivingStatus:
      let header = InterruptReceivingStatusHeader(decoding: bytes)
      return "interrupt_status \(hex(header.endpoint))\(id)\(header.status)"
    case .bulkReceivingStatus:
      let header = BulkReceivingStatusHeader(decoding: bytes)
      return "bulk_status \(hex(header.endpoint))\(id)\(header.status)"
    case .isoStreamStatus:
      let header = IsoStreamStatusHeader(decoding: bytes)
      return "iso_status \(hex(header.endpoint))\(id)\(header.status)"
    case .configurationStatus:
      let header = ConfigurationStatusHeader(decoding: bytes)
      return "configuration\(id)\(header.status) \(header.configuration)"
    case .altSettingStatus:
      let header = AltSettingStatusHeader(decoding: bytes)
      return "alt_setting\(id)\(header.status) \(header.interface) \(header.alt)"
    case .bulkStreamsStatus:
      let header = BulkStreamsStatusHeader(decoding: bytes)
      return "bulk_streams\(id)\(header.status) \(header.streams) of \(String(header.endpoints, radix: 16))"
    default:
      return packet.type?.description ?? "nothing"
    }
  }

  private func hex(_ endpoint: UInt8) -> String { Hex.text(UInt32(endpoint), digits: 2) }

  private func hex(_ data: Span<UInt8>) -> String { data.isEmpty ? "" : " " + Hex.text(data) }
}
