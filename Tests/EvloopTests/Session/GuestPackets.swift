// What a guest sends, by the names of what it wants.
@testable import usbredir_evloop

extension GuestHarness {
  /// start_interrupt_receiving
  func start(_ id: UInt64, on endpoint: UInt8 = 0x81) -> [UInt8] {
    encode(StartInterruptReceivingHeader(endpoint: endpoint), id: id)
  }

  /// stop_interrupt_receiving
  func stop(_ id: UInt64, on endpoint: UInt8 = 0x81) -> [UInt8] {
    encode(StopInterruptReceivingHeader(endpoint: endpoint), id: id)
  }

  /// start_bulk_receiving
  func startBulk(
    _ id: UInt64, on endpoint: UInt8 = 0x82, bytes: UInt32 = 64, transfers: UInt8 = 2, stream: UInt32 = 0
  ) -> [UInt8] {
    encode(
      StartBulkReceivingHeader(
        streamID: stream, bytesPerTransfer: bytes, endpoint: endpoint, transfers: transfers), id: id)
  }

  func stopBulk(_ id: UInt64, on endpoint: UInt8 = 0x82) -> [UInt8] {
    encode(StopBulkReceivingHeader(streamID: 0, endpoint: endpoint), id: id)
  }

  /// control_packet that reads: endpoint 0x80.
  func controlIn(
    _ id: UInt64, type: UInt8 = 0x80, _ request: UInt8, value: UInt16 = 0, index: UInt16 = 0, length: UInt16
  ) -> [UInt8] {
    encode(
      ControlPacketHeader(
        endpoint: 0x80, request: request, requestType: type, status: .success, value: value, index: index,
        length: length), id: id)
  }

  /// control_packet that writes: endpoint 0x00.
  func controlOut(
    _ id: UInt64, type: UInt8, _ request: UInt8, value: UInt16 = 0, index: UInt16 = 0, _ data: [UInt8] = []
  ) -> [UInt8] {
    encode(
      ControlPacketHeader(
        endpoint: 0, request: request, requestType: type, status: .success, value: value, index: index,
        length: UInt16(data.count)), id: id, data)
  }

  /// CLEAR_FEATURE(ENDPOINT_HALT)
  func clearHalt(_ id: UInt64, _ endpoint: UInt16) -> [UInt8] {
    controlOut(id, type: RequestType.toEndpoint, StandardRequest.clearFeature, index: endpoint)
  }

  func bulkIn(_ id: UInt64, on endpoint: UInt8 = 0x82, length: UInt32 = 64, stream: UInt32 = 0) -> [UInt8] {
    encode(BulkPacketHeader(endpoint: endpoint, status: .success, length: length, streamID: stream), id: id)
  }

  func bulkOut(_ id: UInt64, _ data: [UInt8], on endpoint: UInt8 = 0x02) -> [UInt8] {
    encode(
      BulkPacketHeader(endpoint: endpoint, status: .success, length: UInt32(data.count), streamID: 0), id: id,
      data)
  }

  func interruptOut(_ id: UInt64, _ data: [UInt8], on endpoint: UInt8 = 0x01) -> [UInt8] {
    encode(
      InterruptPacketHeader(endpoint: endpoint, status: .success, length: UInt16(data.count)), id: id, data)
  }

  /// start_iso_stream
  func startIso(_ id: UInt64, on endpoint: UInt8 = 0x83, packets: UInt8 = 2, urbs: UInt8 = 2) -> [UInt8] {
    encode(StartIsoStreamHeader(endpoint: endpoint, packetsPerURB: packets, urbs: urbs), id: id)
  }

  func stopIso(_ id: UInt64, on endpoint: UInt8 = 0x83) -> [UInt8] {
    encode(StopIsoStreamHeader(endpoint: endpoint), id: id)
  }

  /// iso_packet with data for the device
  func isoOut(_ id: UInt64, _ data: [UInt8], on endpoint: UInt8 = 0x03) -> [UInt8] {
    encode(
      IsoPacketHeader(endpoint: endpoint, status: .success, length: UInt16(data.count)), id: id, data)
  }

  func setConfiguration(_ id: UInt64, _ value: UInt8) -> [UInt8] {
    encode(SetConfigurationHeader(configuration: value), id: id)
  }

  func setAlt(_ id: UInt64, _ interface: UInt8, _ alt: UInt8) -> [UInt8] {
    encode(SetAltSettingHeader(interface: interface, alt: alt), id: id)
  }

  func getAlt(_ id: UInt64, _ interface: UInt8) -> [UInt8] {
    encode(GetAltSettingHeader(interface: interface), id: id)
  }

  func cancel(_ id: UInt64) -> [UInt8] { encode(.cancelDataPacket, id: id) }
  func reset() -> [UInt8] { encode(.reset) }
  func acknowledge() -> [UInt8] { encode(.deviceDisconnectAck) }
}

extension EndpointAddress {
  static let interruptIn = EndpointAddress(rawValue: 0x81)
  static let interruptOut = EndpointAddress(rawValue: 0x01)
  static let bulkIn = EndpointAddress(rawValue: 0x82)
  static let bulkOut = EndpointAddress(rawValue: 0x02)
  static let isoIn = EndpointAddress(rawValue: 0x83)
  static let isoOut = EndpointAddress(rawValue: 0x03)
}
