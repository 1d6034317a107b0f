// The C library's parser with all of its callbacks noted: what every byte of ours is held against.
import CUsbredirParser
import Testing

@testable import usbredir_evloop

/// One `usbredirparser` in one role.
@safe final class CParser {
  /// What a callback was called with. `id` is 0 where the callback has none.
  struct Seen: Equatable {
    let type: PacketType
    let id: UInt64
    let header: [UInt8]
    let data: [UInt8]
  }

  /// In force since the peer's hello.
  private(set) var capabilities: Capabilities = []
  /// What was decoded, hellos left out.
  fileprivate(set) var seen: [Seen] = []
  fileprivate(set) var errors: [String] = []
  fileprivate var output: [UInt8] = []
  fileprivate var input: ArraySlice<UInt8> = []
  private let ours: Capabilities
  let parser: UnsafeMutablePointer<usbredirparser>

  init(_ role: Role, _ capabilities: Capabilities) {
    ours = role == .usbGuest ? capabilities.union(.deviceDisconnectAck) : capabilities
    unsafe parser = usbredirparser_create()
    unsafe parser.pointee.priv = context(of: self)
    setTransportCallbacks()
    setCallbacks()
    setStreamCallbacks()
    setDataCallbacks()
    var word = capabilities.rawValue
    let flags = role == .usbHost ? Int32(usbredirparser_fl_usb_host) : 0
    unsafe usbredirparser_init(parser, "test", &word, 1, flags)
  }

  deinit {
    unsafe usbredirparser_destroy(parser)
  }

  /// A parser that has read the hello of a peer offering `theirs`, its own hello already taken.
  static func agreed(_ role: Role, _ ours: Capabilities, _ theirs: Capabilities) -> CParser {
    let parser = CParser(role, ours)
    _ = parser.written()
    parser.read(hello(theirs))
    parser.capabilities = Capabilities.negotiated(parser.ours, theirs)
    return parser
  }

  /// Reads all of `bytes`, going on behind whatever it refuses.
  func read(_ bytes: [UInt8]) {
    input = bytes[...]
    repeat {
      _ = unsafe usbredirparser_do_read(parser)
    } while !input.isEmpty
  }

  /// What it wants to send.
  func written() -> [UInt8] {
    output = []
    while unsafe usbredirparser_has_data_to_write(parser) > 0 {
      guard unsafe usbredirparser_do_write(parser) == 0 else { break }
    }
    return output
  }

  fileprivate func keep(
    _ type: PacketType, _ id: UInt64, _ header: UnsafeRawPointer?, _ data: UnsafeMutablePointer<UInt8>?,
    _ count: Int32
  ) {
    let size = type.typeHeaderSize(capabilities)
    let header = unsafe [UInt8](UnsafeRawBufferPointer(start: header, count: header == nil ? 0 : size))
    let bytes = unsafe [UInt8](UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : Int(count)))
    seen.append(Seen(type: type, id: id, header: header, data: bytes))
    unsafe usbredirparser_free_packet_data(parser, data)
  }

  private func setTransportCallbacks() {
    unsafe parser.pointee.log_func = { context, level, text in
      guard let context = unsafe context, let text = unsafe text, level <= Int32(usbredirparser_warning)
      else {
        return
      }
      unsafe recover(context, as: CParser.self).errors.append(String(cString: text))
    }
    unsafe parser.pointee.read_func = { context, bytes, count in
      guard let context = unsafe context, let bytes = unsafe bytes else { return -1 }
      let parser = unsafe recover(context, as: CParser.self)
      let piece = parser.input.prefix(Int(count))
      parser.input = parser.input.dropFirst(piece.count)
      unsafe UnsafeMutableRawBufferPointer(start: bytes, count: piece.count).copyBytes(from: piece)
      return Int32(piece.count)
    }
    unsafe parser.pointee.write_func = { context, bytes, count in
      guard let context = unsafe context else { return -1 }
      unsafe recover(context, as: CParser.self).output += UnsafeBufferPointer(start: bytes, count: Int(count))
      return count
    }
  }
}

/// Notes a packet with the parser behind `context`.
private func note(
  _ context: UnsafeMutableRawPointer?, _ type: PacketType, _ id: UInt64 = 0,
  _ header: UnsafeRawPointer? = nil, _ data: UnsafeMutablePointer<UInt8>? = nil, _ count: Int32 = 0
) {
  guard let context = unsafe context else { return }
  unsafe recover(context, as: CParser.self).keep(type, id, header, data, count)
}

extension CParser {
  private func setCallbacks() {
    unsafe parser.pointee.hello_func = { _, _ in }
    unsafe parser.pointee.device_connect_func = { unsafe note($0, .deviceConnect, 0, $1) }
    unsafe parser.pointee.device_disconnect_func = { unsafe note($0, .deviceDisconnect) }
    unsafe parser.pointee.reset_func = { unsafe note($0, .reset) }
    unsafe parser.pointee.interface_info_func = { unsafe note($0, .interfaceInfo, 0, $1) }
    unsafe parser.pointee.ep_info_func = { unsafe note($0, .endpointInfo, 0, $1) }
    unsafe parser.pointee.set_configuration_func = { unsafe note($0, .setConfiguration, $1, $2) }
    unsafe parser.pointee.get_configuration_func = { unsafe note($0, .getConfiguration, $1) }
    unsafe parser.pointee.configuration_status_func = { unsafe note($0, .configurationStatus, $1, $2) }
    unsafe parser.pointee.set_alt_setting_func = { unsafe note($0, .setAltSetting, $1, $2) }
    unsafe parser.pointee.get_alt_setting_func = { unsafe note($0, .getAltSetting, $1, $2) }
    unsafe parser.pointee.alt_setting_status_func = { unsafe note($0, .altSettingStatus, $1, $2) }
    unsafe parser.pointee.cancel_data_packet_func = { unsafe note($0, .cancelDataPacket, $1) }
    unsafe parser.pointee.filter_reject_func = { unsafe note($0, .filterReject) }
    unsafe parser.pointee.device_disconnect_ack_func = { unsafe note($0, .deviceDisconnectAck) }
    unsafe parser.pointee.filter_filter_func = { context, rules, count in
      guard let context = unsafe context else { return }
      let text = unsafe [UInt8](filterText(rules, count).utf8) + [0]
      unsafe recover(context, as: CParser.self).seen.append(
        Seen(type: .filterFilter, id: 0, header: [], data: text))
      unsafe usbredirfilter_free(rules)
    }
  }

  private func setStreamCallbacks() {
    unsafe parser.pointee.start_iso_stream_func = { unsafe note($0, .startIsoStream, $1, $2) }
    unsafe parser.pointee.stop_iso_stream_func = { unsafe note($0, .stopIsoStream, $1, $2) }
    unsafe parser.pointee.iso_stream_status_func = { unsafe note($0, .isoStreamStatus, $1, $2) }
    unsafe parser.pointee.start_interrupt_receiving_func = {
      unsafe note($0, .startInterruptReceiving, $1, $2)
    }
    unsafe parser.pointee.stop_interrupt_receiving_func = { unsafe note($0, .stopInterruptReceiving, $1, $2) }
    unsafe parser.pointee.interrupt_receiving_status_func = {
      unsafe note($0, .interruptReceivingStatus, $1, $2)
    }
    unsafe parser.pointee.alloc_bulk_streams_func = { unsafe note($0, .allocBulkStreams, $1, $2) }
    unsafe parser.pointee.free_bulk_streams_func = { unsafe note($0, .freeBulkStreams, $1, $2) }
    unsafe parser.pointee.bulk_streams_status_func = { unsafe note($0, .bulkStreamsStatus, $1, $2) }
    unsafe parser.pointee.start_bulk_receiving_func = { unsafe note($0, .startBulkReceiving, $1, $2) }
    unsafe parser.pointee.stop_bulk_receiving_func = { unsafe note($0, .stopBulkReceiving, $1, $2) }
    unsafe parser.pointee.bulk_receiving_status_func = { unsafe note($0, .bulkReceivingStatus, $1, $2) }
  }

  private func setDataCallbacks() {
    unsafe parser.pointee.control_packet_func = { unsafe note($0, .controlPacket, $1, $2, $3, $4) }
    unsafe parser.pointee.bulk_packet_func = { unsafe note($0, .bulkPacket, $1, $2, $3, $4) }
    unsafe parser.pointee.iso_packet_func = { unsafe note($0, .isoPacket, $1, $2, $3, $4) }
    unsafe parser.pointee.interrupt_packet_func = { unsafe note($0, .interruptPacket, $1, $2, $3, $4) }
    unsafe parser.pointee.buffered_bulk_packet_func = { unsafe note($0, .bufferedBulkPacket, $1, $2, $3, $4) }
  }
}

/// Rules as the C library writes them; empty for no rules, which it writes without an end.
func filterText(_ rules: UnsafePointer<usbredirfilter_rule>?, _ count: Int32) -> String {
  guard count > 0, let text = unsafe usbredirfilter_rules_to_string(rules, count, ",", "|") else { return "" }
  defer { unsafe usbredirfilter_free(text) }
  return unsafe String(cString: text)
}
