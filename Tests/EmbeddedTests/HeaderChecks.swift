// Every packet header: its size in each set of capabilities, and back and forth with numbers that fill their fields.
#if !hasFeature(Embedded)
  @testable import usbredir_evloop
#endif

let headerChecks = [
  Check("sizes of all type headers, without and with all capabilities") { findings in
    for (type, without, with) in sizes {
      findings.expect(type.typeHeaderSize([]) == without)
      findings.expect(type.typeHeaderSize(.all) == with)
    }
    findings.expect(sizes.count == PacketType.allCases.count)
    findings.expect(PacketHeader.size([]) == 12 && PacketHeader.size(.all) == 16)
  },
  Check("every type header decodes and encodes to the same bytes") { findings in
    for capabilities in [[], Capabilities.all] {
      findings.expect(returns(HelloHeader.self, capabilities))
      findings.expect(returns(DeviceConnectHeader.self, capabilities))
      findings.expect(returns(InterfaceInfoHeader.self, capabilities))
      findings.expect(returns(EndpointInfoHeader.self, capabilities))
      findings.expect(returns(SetConfigurationHeader.self, capabilities))
      findings.expect(returns(ConfigurationStatusHeader.self, capabilities))
      findings.expect(returns(SetAltSettingHeader.self, capabilities))
      findings.expect(returns(GetAltSettingHeader.self, capabilities))
      findings.expect(returns(AltSettingStatusHeader.self, capabilities))
      findings.expect(returns(StartIsoStreamHeader.self, capabilities))
      findings.expect(returns(StopIsoStreamHeader.self, capabilities))
      findings.expect(returns(IsoStreamStatusHeader.self, capabilities))
      findings.expect(returns(StartInterruptReceivingHeader.self, capabilities))
      findings.expect(returns(StopInterruptReceivingHeader.self, capabilities))
      findings.expect(returns(InterruptReceivingStatusHeader.self, capabilities))
      findings.expect(returns(AllocBulkStreamsHeader.self, capabilities))
      findings.expect(returns(FreeBulkStreamsHeader.self, capabilities))
      findings.expect(returns(BulkStreamsStatusHeader.self, capabilities))
      findings.expect(returns(StartBulkReceivingHeader.self, capabilities))
      findings.expect(returns(StopBulkReceivingHeader.self, capabilities))
      findings.expect(returns(BulkReceivingStatusHeader.self, capabilities))
      findings.expect(returns(ControlPacketHeader.self, capabilities))
      findings.expect(returns(BulkPacketHeader.self, capabilities))
      findings.expect(returns(IsoPacketHeader.self, capabilities))
      findings.expect(returns(InterruptPacketHeader.self, capabilities))
      findings.expect(returns(BufferedBulkPacketHeader.self, capabilities))
    }
  },
  Check("a bulk packet of four gibibytes less one") { findings in
    let header = BulkPacketHeader(endpoint: 0x81, status: .success, length: .max, streamID: .max)
    let bytes = encoded(header, id: .max, .all)
    let expected: [UInt8] = [101, 0, 0, 0, 10, 0, 0, 0] + ff(8) + [0x81, 0] + ff(2) + ff(4) + ff(2)
    findings.expect(bytes == expected)
    findings.expect(BulkPacketHeader(decoding: Array(bytes[16...]).span).length == .max)
  },
  Check("lengths beyond 2^31 and transfers beyond 2^32 in start_bulk_receiving") { findings in
    let header = StartBulkReceivingHeader(
      streamID: 0x8000_0000, bytesPerTransfer: 0xffff_fe00, endpoint: 0x82, transfers: 255)
    let bytes = encoded(header, id: 0, .all)
    let again = StartBulkReceivingHeader(decoding: Array(bytes[16...]).span)
    findings.expect(again == header)
    let pipe = PipeParameters(
      endpoint: EndpointAddress(rawValue: 0x82), type: .bulk, transferLength: 0x7fff_fe00, depth: 16)
    findings.expect(pipe.bytes == 0x7_ffff_e000)
  },
  Check("an id beyond 2^32 keeps its low half where ids have 32 bits") { findings in
    let header = InterruptPacketHeader(endpoint: 0x81, status: .success, length: 0)
    let narrow = PacketHeader(decoding: encoded(header, id: 0x1_8000_0001, []).span, [])
    findings.expect(narrow.id == 0x8000_0001)
    let wide = PacketHeader(decoding: encoded(header, id: 0xffff_fffe_8000_0001, .all).span, .all)
    findings.expect(wide.id == 0xffff_fffe_8000_0001)
  },
  Check("little-endian numbers at odd offsets") { findings in
    let bytes: [UInt8] = [0, 1, 2, 3, 0x84, 5, 6, 7, 0x88]
    findings.expect(bytes.span.u16(at: 1) == 0x0201)
    findings.expect(bytes.span.u32(at: 1) == 0x8403_0201)
    findings.expect(bytes.span.u64(at: 1) == 0x8807_0605_8403_0201)
  },
]

private let sizes: [(PacketType, Int, Int)] = [
  (.hello, 64, 64), (.deviceConnect, 8, 10), (.deviceDisconnect, 0, 0), (.reset, 0, 0),
  (.interfaceInfo, 132, 132), (.endpointInfo, 96, 288), (.setConfiguration, 1, 1), (.getConfiguration, 0, 0),
  (.configurationStatus, 2, 2), (.setAltSetting, 2, 2), (.getAltSetting, 1, 1), (.altSettingStatus, 3, 3),
  (.startIsoStream, 3, 3), (.stopIsoStream, 1, 1), (.isoStreamStatus, 2, 2), (.startInterruptReceiving, 1, 1),
  (.stopInterruptReceiving, 1, 1), (.interruptReceivingStatus, 2, 2), (.allocBulkStreams, 8, 8),
  (.freeBulkStreams, 4, 4), (.bulkStreamsStatus, 9, 9), (.cancelDataPacket, 0, 0), (.filterReject, 0, 0),
  (.filterFilter, 0, 0), (.deviceDisconnectAck, 0, 0), (.startBulkReceiving, 10, 10),
  (.stopBulkReceiving, 5, 5), (.bulkReceivingStatus, 6, 6), (.controlPacket, 10, 10), (.bulkPacket, 8, 10),
  (.isoPacket, 4, 4), (.interruptPacket, 4, 4), (.bufferedBulkPacket, 10, 10),
]

/// Packet header, type header and data as they leave.
func encoded<Header: TypeHeader>(
  _ header: Header, id: UInt64, _ capabilities: Capabilities, data: [UInt8] = []
) -> [UInt8] {
  let buffer = BufferPool(capacity: max(PacketBuffer.controlCapacity, data.count), keep: 0).take()
  buffer.copy(data.span)
  buffer.finish(header, id: id, capabilities)
  return buffer.withBytes(copy)
}

func copy(_ bytes: Span<UInt8>) -> [UInt8] { bytes.indices.map { bytes[$0] } }

func ff(_ count: Int) -> [UInt8] { [UInt8](repeating: 0xff, count: count) }

/// Decodes a header of distinct bytes and encodes it again. Every byte is below 7, so that each status is one.
private func returns<Header: TypeHeader>(_ type: Header.Type, _ capabilities: Capabilities) -> Bool {
  let bytes = (0..<Header.size(capabilities)).map { UInt8($0 % 7) }
  let packet = encoded(Header(decoding: bytes.span), id: 1, capabilities)
  return Array(packet[PacketHeader.size(capabilities)...]) == bytes
}
