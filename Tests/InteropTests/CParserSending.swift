// How the C parser is made to send each packet.
import CUsbredirParser
import Testing

@testable import usbredir_evloop

extension CParser {
  /// Lets the parser encode `packet`, and returns what it wants to send.
  func encoded(_ packet: PacketParts) -> [UInt8] {
    var header = packet.header + [UInt8](repeating: 0, count: 288)
    var data = packet.data
    unsafe header.withUnsafeMutableBytes { header in
      unsafe data.withUnsafeMutableBufferPointer { data in
        guard let header = header.baseAddress else { return }
        if packet.type.isDataPacket {
          unsafe sendData(packet.type, packet.id, header, data)
        } else {
          unsafe send(packet, header)
        }
      }
    }
    return written()
  }

  private func send(_ packet: PacketParts, _ header: UnsafeMutableRawPointer) {
    let id = packet.id
    switch packet.type {
    case .deviceConnect: unsafe usbredirparser_send_device_connect(parser, at(header))
    case .deviceDisconnect: unsafe usbredirparser_send_device_disconnect(parser)
    case .reset: unsafe usbredirparser_send_reset(parser)
    case .interfaceInfo: unsafe usbredirparser_send_interface_info(parser, at(header))
    case .endpointInfo: unsafe usbredirparser_send_ep_info(parser, at(header))
    case .setConfiguration: unsafe usbredirparser_send_set_configuration(parser, id, at(header))
    case .getConfiguration: unsafe usbredirparser_send_get_configuration(parser, id)
    case .configurationStatus: unsafe usbredirparser_send_configuration_status(parser, id, at(header))
    case .setAltSetting: unsafe usbredirparser_send_set_alt_setting(parser, id, at(header))
    case .getAltSetting: unsafe usbredirparser_send_get_alt_setting(parser, id, at(header))
    case .altSettingStatus: unsafe usbredirparser_send_alt_setting_status(parser, id, at(header))
    case .cancelDataPacket: unsafe usbredirparser_send_cancel_data_packet(parser, id)
    case .filterReject: unsafe usbredirparser_send_filter_reject(parser)
    case .filterFilter: sendFilter(packet.data)
    // Sent by the parser itself as its answer.
    case .deviceDisconnectAck: read(evloopPacket(.deviceDisconnect, capabilities))
    default: unsafe sendStream(packet.type, id, header)
    }
  }

  private func sendStream(_ type: PacketType, _ id: UInt64, _ header: UnsafeMutableRawPointer) {
    switch type {
    case .startIsoStream: unsafe usbredirparser_send_start_iso_stream(parser, id, at(header))
    case .stopIsoStream: unsafe usbredirparser_send_stop_iso_stream(parser, id, at(header))
    case .isoStreamStatus: unsafe usbredirparser_send_iso_stream_status(parser, id, at(header))
    case .startInterruptReceiving:
      unsafe usbredirparser_send_start_interrupt_receiving(parser, id, at(header))
    case .stopInterruptReceiving: unsafe usbredirparser_send_stop_interrupt_receiving(parser, id, at(header))
    case .interruptReceivingStatus:
      unsafe usbredirparser_send_interrupt_receiving_status(parser, id, at(header))
    case .allocBulkStreams: unsafe usbredirparser_send_alloc_bulk_streams(parser, id, at(header))
    case .freeBulkStreams: unsafe usbredirparser_send_free_bulk_streams(parser, id, at(header))
    case .bulkStreamsStatus: unsafe usbredirparser_send_bulk_streams_status(parser, id, at(header))
    case .startBulkReceiving: unsafe usbredirparser_send_start_bulk_receiving(parser, id, at(header))
    case .stopBulkReceiving: unsafe usbredirparser_send_stop_bulk_receiving(parser, id, at(header))
    case .bulkReceivingStatus: unsafe usbredirparser_send_bulk_receiving_status(parser, id, at(header))
    default: Issue.record("the C parser cannot be asked to send \(type.description)")
    }
  }

  private func sendData(
    _ type: PacketType, _ id: UInt64, _ header: UnsafeMutableRawPointer,
    _ data: UnsafeMutableBufferPointer<UInt8>
  ) {
    let count = Int32(data.count)
    let bytes = data.isEmpty ? nil : data.baseAddress
    switch type {
    case .controlPacket: unsafe usbredirparser_send_control_packet(parser, id, at(header), bytes, count)
    case .bulkPacket: unsafe usbredirparser_send_bulk_packet(parser, id, at(header), bytes, count)
    case .isoPacket: unsafe usbredirparser_send_iso_packet(parser, id, at(header), bytes, count)
    case .interruptPacket: unsafe usbredirparser_send_interrupt_packet(parser, id, at(header), bytes, count)
    default: unsafe usbredirparser_send_buffered_bulk_packet(parser, id, at(header), bytes, count)
    }
  }

  private func sendFilter(_ text: [UInt8]) {
    var rules: UnsafeMutablePointer<usbredirfilter_rule>?
    var count: Int32 = 0
    let result = unsafe text.withUnsafeBufferPointer { text in
      unsafe text.withMemoryRebound(to: CChar.self) { text in
        unsafe usbredirfilter_string_to_rules(text.baseAddress, ",", "|", &rules, &count)
      }
    }
    #expect(result == 0)
    unsafe usbredirparser_send_filter_filter(parser, rules, count)
    unsafe usbredirfilter_free(rules)
  }
}

/// The header at `pointer` as whichever struct is wanted.
private func at<Header>(_ pointer: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Header> {
  unsafe pointer.assumingMemoryBound(to: Header.self)
}

/// `packet`, which a parameter hides.
private func evloopPacket(_ type: PacketType, _ capabilities: Capabilities) -> [UInt8] {
  packet(type, capabilities)
}
