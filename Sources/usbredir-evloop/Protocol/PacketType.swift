// The packets of usbredir 0.7: their numbers, names, directions and what has to be agreed before they are
// legal.

/// The two ends of a usbredir connection.
enum Role {
  /// The end that has the device.
  case usbHost
  /// The end that uses it, QEMU for example.
  case usbGuest

  /// The other end.
  var peer: Role { self == .usbHost ? .usbGuest : .usbHost }
}

/// A packet's type, numbered as in the packet header. `usbredirproto.h`, `usb_redir_hello` and following.
enum PacketType: UInt32, CaseIterable, CustomStringConvertible {
  case hello = 0
  case deviceConnect
  case deviceDisconnect
  case reset
  case interfaceInfo
  case endpointInfo
  case setConfiguration
  case getConfiguration
  case configurationStatus
  case setAltSetting
  case getAltSetting
  case altSettingStatus
  case startIsoStream
  case stopIsoStream
  case isoStreamStatus
  case startInterruptReceiving
  case stopInterruptReceiving
  case interruptReceivingStatus
  case allocBulkStreams
  case freeBulkStreams
  case bulkStreamsStatus
  case cancelDataPacket
  case filterReject
  case filterFilter
  case deviceDisconnectAck
  case startBulkReceiving
  case stopBulkReceiving
  case bulkReceivingStatus

  case controlPacket = 100
  case bulkPacket
  case isoPacket
  case interruptPacket
  case bufferedBulkPacket

  /// True when the end in `role` may send this type at all. Data packets may be narrowed further by the
  /// direction of their endpoint (B1.6).
  func maySend(_ role: Role) -> Bool {
    switch self {
    case .hello, .filterFilter, .controlPacket, .bulkPacket, .isoPacket, .interruptPacket:
      true
    case .deviceConnect, .deviceDisconnect, .interfaceInfo, .endpointInfo, .configurationStatus,
      .altSettingStatus, .isoStreamStatus, .interruptReceivingStatus, .bulkStreamsStatus,
      .bulkReceivingStatus, .bufferedBulkPacket:
      role == .usbHost
    case .reset, .setConfiguration, .getConfiguration, .setAltSetting, .getAltSetting, .startIsoStream,
      .stopIsoStream, .startInterruptReceiving, .stopInterruptReceiving, .allocBulkStreams,
      .freeBulkStreams, .cancelDataPacket, .filterReject, .deviceDisconnectAck, .startBulkReceiving,
      .stopBulkReceiving:
      role == .usbGuest
    }
  }

  /// What must be in force for this type to be legal (B1.4); empty for most.
  var requiredCapabilities: Capabilities {
    switch self {
    case .filterReject, .filterFilter: .filter
    case .deviceDisconnectAck: .deviceDisconnectAck
    case .allocBulkStreams, .freeBulkStreams, .bulkStreamsStatus: .bulkStreams
    case .startBulkReceiving, .stopBulkReceiving, .bulkReceivingStatus, .bufferedBulkPacket: .bulkReceiving
    default: []
    }
  }

  /// True when bytes may follow the type header.
  var mayCarryData: Bool {
    switch self {
    case .hello, .filterFilter: true
    default: isDataPacket
    }
  }

  /// True for the five types that move a device's data.
  var isDataPacket: Bool { rawValue >= PacketType.controlPacket.rawValue }

  /// Bytes of the type header with `capabilities` in force (B1.4); 0 for types that have none.
  func typeHeaderSize(_ capabilities: Capabilities) -> Int {
    switch self {
    case .hello: HelloHeader.size(capabilities)
    case .deviceConnect: DeviceConnectHeader.size(capabilities)
    case .interfaceInfo: InterfaceInfoHeader.size(capabilities)
    case .endpointInfo: EndpointInfoHeader.size(capabilities)
    case .setConfiguration: SetConfigurationHeader.size(capabilities)
    case .configurationStatus: ConfigurationStatusHeader.size(capabilities)
    case .setAltSetting: SetAltSettingHeader.size(capabilities)
    case .getAltSetting: GetAltSettingHeader.size(capabilities)
    case .altSettingStatus: AltSettingStatusHeader.size(capabilities)
    case .startIsoStream: StartIsoStreamHeader.size(capabilities)
    case .stopIsoStream: StopIsoStreamHeader.size(capabilities)
    case .isoStreamStatus: IsoStreamStatusHeader.size(capabilities)
    case .startInterruptReceiving: StartInterruptReceivingHeader.size(capabilities)
    case .stopInterruptReceiving: StopInterruptReceivingHeader.size(capabilities)
    case .interruptReceivingStatus: InterruptReceivingStatusHeader.size(capabilities)
    case .allocBulkStreams: AllocBulkStreamsHeader.size(capabilities)
    case .freeBulkStreams: FreeBulkStreamsHeader.size(capabilities)
    case .bulkStreamsStatus: BulkStreamsStatusHeader.size(capabilities)
    case .startBulkReceiving: StartBulkReceivingHeader.size(capabilities)
    case .stopBulkReceiving: StopBulkReceivingHeader.size(capabilities)
    case .bulkReceivingStatus: BulkReceivingStatusHeader.size(capabilities)
    case .controlPacket: ControlPacketHeader.size(capabilities)
    case .bulkPacket: BulkPacketHeader.size(capabilities)
    case .isoPacket: IsoPacketHeader.size(capabilities)
    case .interruptPacket: InterruptPacketHeader.size(capabilities)
    case .bufferedBulkPacket: BufferedBulkPacketHeader.size(capabilities)
    case .deviceDisconnect, .reset, .getConfiguration, .cancelDataPacket, .filterReject, .filterFilter,
      .deviceDisconnectAck:
      0
    }
  }

  /// The name in the protocol's text, without `usb_redir_`.
  var description: String {
    switch self {
    case .hello: "hello"
    case .deviceConnect: "device_connect"
    case .deviceDisconnect: "device_disconnect"
    case .reset: "reset"
    case .interfaceInfo: "interface_info"
    case .endpointInfo: "ep_info"
    case .setConfiguration: "set_configuration"
    case .getConfiguration: "get_configuration"
    case .configurationStatus: "configuration_status"
    case .setAltSetting: "set_alt_setting"
    case .getAltSetting: "get_alt_setting"
    case .altSettingStatus: "alt_setting_status"
    case .startIsoStream: "start_iso_stream"
    case .stopIsoStream: "stop_iso_stream"
    case .isoStreamStatus: "iso_stream_status"
    case .startInterruptReceiving: "start_interrupt_receiving"
    case .stopInterruptReceiving: "stop_interrupt_receiving"
    case .interruptReceivingStatus: "interrupt_receiving_status"
    case .allocBulkStreams: "alloc_bulk_streams"
    case .freeBulkStreams: "free_bulk_streams"
    case .bulkStreamsStatus: "bulk_streams_status"
    case .cancelDataPacket: "cancel_data_packet"
    case .filterReject: "filter_reject"
    case .filterFilter: "filter_filter"
    case .deviceDisconnectAck: "device_disconnect_ack"
    case .startBulkReceiving: "start_bulk_receiving"
    case .stopBulkReceiving: "stop_bulk_receiving"
    case .bulkReceivingStatus: "bulk_receiving_status"
    case .controlPacket: "control_packet"
    case .bulkPacket: "bulk_packet"
    case .isoPacket: "iso_packet"
    case .interruptPacket: "interrupt_packet"
    case .bufferedBulkPacket: "buffered_bulk_packet"
    }
  }
}
