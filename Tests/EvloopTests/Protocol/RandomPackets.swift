// Random packets that keep the rules, and one function that takes a packet through its header struct.
@testable import usbredir_evloop

/// The parts of one packet.
struct PacketParts {
  let type: PacketType
  /// 0 for types that have none.
  let id: UInt64
  let header: [UInt8]
  let data: [UInt8]
  let capabilities: Capabilities

  var bytes: [UInt8] { rawPacket(type.rawValue, id: id, header + data, capabilities) }

  /// The same packet, but decoded into its header struct and encoded again.
  var reencoded: [UInt8] {
    switch type {
    case .hello: through(HelloHeader.self)
    case .deviceConnect: through(DeviceConnectHeader.self)
    case .interfaceInfo: through(InterfaceInfoHeader.self)
    case .endpointInfo: through(EndpointInfoHeader.self)
    case .setConfiguration: through(SetConfigurationHeader.self)
    case .configurationStatus: through(ConfigurationStatusHeader.self)
    case .setAltSetting: through(SetAltSettingHeader.self)
    case .getAltSetting: through(GetAltSettingHeader.self)
    case .altSettingStatus: through(AltSettingStatusHeader.self)
    case .startIsoStream: through(StartIsoStreamHeader.self)
    case .stopIsoStream: through(StopIsoStreamHeader.self)
    case .isoStreamStatus: through(IsoStreamStatusHeader.self)
    case .startInterruptReceiving: through(StartInterruptReceivingHeader.self)
    case .stopInterruptReceiving: through(StopInterruptReceivingHeader.self)
    case .interruptReceivingStatus: through(InterruptReceivingStatusHeader.self)
    case .allocBulkStreams: through(AllocBulkStreamsHeader.self)
    case .freeBulkStreams: through(FreeBulkStreamsHeader.self)
    case .bulkStreamsStatus: through(BulkStreamsStatusHeader.self)
    case .startBulkReceiving: through(StartBulkReceivingHeader.self)
    case .stopBulkReceiving: through(StopBulkReceivingHeader.self)
    case .bulkReceivingStatus: through(BulkReceivingStatusHeader.self)
    case .controlPacket: through(ControlPacketHeader.self)
    case .bulkPacket: through(BulkPacketHeader.self)
    case .isoPacket: through(IsoPacketHeader.self)
    case .interruptPacket: through(InterruptPacketHeader.self)
    case .bufferedBulkPacket: through(BufferedBulkPacketHeader.self)
    case .deviceDisconnect, .reset, .getConfiguration, .cancelDataPacket, .filterReject, .filterFilter,
      .deviceDisconnectAck:
      packet(type, id: id, data: data, capabilities)
    }
  }

  private func through<Header: TypeHeader>(_ header: Header.Type) -> [UInt8] {
    packet(decoded(header, self.header), id: id, data: data, capabilities)
  }
}

extension SeededGenerator {
  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
  }

  /// A packet of `type` that keeps the rules: random bytes where anything goes.
  mutating func packet(
    _ type: PacketType, sentBy sender: Role, _ capabilities: Capabilities
  ) -> PacketParts {
    var header = bytes(type.typeHeaderSize(capabilities))
    var data: [UInt8] = []
    switch type {
    case .filterFilter: data = filterText() + [0]
    case .interfaceInfo: header.replaceSubrange(0..<4, with: [.random(in: 0...32, using: &self), 0, 0, 0])
    case .configurationStatus, .altSettingStatus, .isoStreamStatus: header[0] = status()
    case .startInterruptReceiving, .stopInterruptReceiving: header[0] |= 0x80
    case .interruptReceivingStatus: header.replaceSubrange(0..<2, with: [status(), header[1] | 0x80])
    case .bulkStreamsStatus: header[8] = status()
    case .startBulkReceiving:
      header.replaceSubrange(6..<8, with: [0x10, 0])
      header[8] |= 0x80
    case .stopBulkReceiving: header[4] |= 0x80
    case .bulkReceivingStatus: header.replaceSubrange(4..<6, with: [header[4] | 0x80, status()])
    default:
      guard type.isDataPacket else { break }
      data = dataFields(type, &header, sentBy: sender)
    }
    let id = hasID(type) ? next() >> (capabilities.contains(.ids64) ? 0 : 32) : 0
    return PacketParts(type: type, id: id, header: header, data: data, capabilities: capabilities)
  }

  private mutating func status() -> UInt8 { .random(in: 0...6, using: &self) }

  /// Sets endpoint, length and status of a data packet and returns its data: some, or the length alone in
  /// the direction that has none (B1.6).
  private mutating func dataFields(
    _ type: PacketType, _ header: inout [UInt8], sentBy sender: Role
  ) -> [UInt8] {
    let mayLackData =
      switch type {
      case .controlPacket, .bulkPacket: true
      case .interruptPacket: sender == .usbHost
      default: false
      }
    let lacksData = mayLackData && Bool.random(using: &self)
    let endpoint: UInt8 = (sender == .usbHost) != lacksData ? 0x83 : 0x03
    let length = Int.random(in: 0...300, using: &self)
    let low = [UInt8(truncatingIfNeeded: length), UInt8(truncatingIfNeeded: length >> 8)]
    switch type {
    case .controlPacket:
      (header[0], header[3]) = (endpoint, status())
      header.replaceSubrange(8..<10, with: low)
    case .bufferedBulkPacket:
      header.replaceSubrange(4..<8, with: low + [0, 0])
      (header[8], header[9]) = (endpoint, status())
    default:
      (header[0], header[1]) = (endpoint, status())
      header.replaceSubrange(2..<4, with: low)
      if header.count == 10 { header.replaceSubrange(8..<10, with: [0, 0]) }
    }
    return lacksData ? [] : bytes(length)
  }

  /// A filter of one to four rules as the C library writes them.
  private mutating func filterText() -> [UInt8] {
    let rules = (0..<Int.random(in: 1...4, using: &self)).map { _ in
      FilterRule(
        deviceClass: maybe(), vendor: maybe(), product: maybe(), deviceVersion: maybe(),
        allow: Bool.random(using: &self))
    }
    return Array(Filter(rules: rules).description.utf8)
  }

  private mutating func maybe<Value: FixedWidthInteger>() -> Value? {
    Bool.random(using: &self) ? Value.random(in: .min ... .max, using: &self) : nil
  }

  private func hasID(_ type: PacketType) -> Bool {
    switch type {
    case .hello, .deviceConnect, .deviceDisconnect, .reset, .interfaceInfo, .endpointInfo, .filterReject,
      .filterFilter, .deviceDisconnectAck:
      false
    default: true
    }
  }
}
