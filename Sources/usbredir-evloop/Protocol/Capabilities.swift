// What the two ends agreed on: the first capability word of both hellos, and which of it is in force (B1.3).

/// The capability word of a hello. `usbredirproto.h`, `usb_redir_cap_bulk_streams` and following.
struct Capabilities: OptionSet, CustomStringConvertible {
  let rawValue: UInt32

  init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  /// USB 3 bulk streams, and max_streams in ep_info.
  static let bulkStreams = Capabilities(rawValue: 1 << 0)
  /// device_connect carries the device's version.
  static let connectDeviceVersion = Capabilities(rawValue: 1 << 1)
  /// filter_reject and filter_filter.
  static let filter = Capabilities(rawValue: 1 << 2)
  static let deviceDisconnectAck = Capabilities(rawValue: 1 << 3)
  /// ep_info carries max_packet_size.
  static let endpointInfoMaxPacketSize = Capabilities(rawValue: 1 << 4)
  /// Packet ids are 64 bits wide after the hellos.
  static let ids64 = Capabilities(rawValue: 1 << 5)
  /// Bulk packets carry the upper half of a 32-bit length.
  static let bulkLength32 = Capabilities(rawValue: 1 << 6)
  /// start_bulk_receiving and what belongs to it.
  static let bulkReceiving = Capabilities(rawValue: 1 << 7)

  /// All of usbredir 0.7: what we advertise (B1.3).
  static let all = Capabilities(rawValue: 0xff)

  /// Reads the words behind a hello's version. Only the first counts, a missing one is empty (B1.2).
  init(decoding words: Span<UInt8>) {
    rawValue = words.count >= 4 ? words.u32(at: 0) : 0
  }

  /// What is in force between `ours` and `theirs`: what both have. Streams need max_packet_size in ep_info,
  /// whose longest form holds both.
  static func negotiated(_ ours: Capabilities, _ theirs: Capabilities) -> Capabilities {
    ours.masked.intersection(theirs.masked)
  }

  /// Without what cannot stand alone.
  private var masked: Capabilities {
    contains(.endpointInfoMaxPacketSize) ? self : subtracting(.bulkStreams)
  }

  /// The names in the protocol's text, separated by spaces; `none` for the empty set. Bits of later versions
  /// are left out.
  var description: String {
    var names: [String] = []
    if contains(.bulkStreams) { names.append("bulk_streams") }
    if contains(.connectDeviceVersion) { names.append("connect_device_version") }
    if contains(.filter) { names.append("filter") }
    if contains(.deviceDisconnectAck) { names.append("device_disconnect_ack") }
    if contains(.endpointInfoMaxPacketSize) { names.append("ep_info_max_packet_size") }
    if contains(.ids64) { names.append("64bits_ids") }
    if contains(.bulkLength32) { names.append("32bits_bulk_length") }
    if contains(.bulkReceiving) { names.append("bulk_receiving") }
    return names.isEmpty ? "none" : names.joined(separator: " ")
  }
}
