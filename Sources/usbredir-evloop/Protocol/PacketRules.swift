// Whether a packet is right in itself (B1.4, B1.6, B1.8). All of it can be said once the type header is
// there, before any data: so what is wrong is never collected. The reader asks for what comes in, debug
// builds for what goes out.

/// The rules for packets that one end sends.
struct PacketRules {
  /// Who sends.
  let sender: Role
  /// What is in force; nothing before the hellos.
  var capabilities: Capabilities
  /// The largest transfer.
  let maxTransfer: UInt32

  /// What is wrong with a packet as far as its header tells. Whether a hello is due is the reader's matter.
  func fault(_ type: PacketType, length: UInt32) -> PacketFault? {
    guard type.maySend(sender) else { return .wrongDirection(type) }
    guard capabilities.isSuperset(of: type.requiredCapabilities) else { return .notNegotiated(type) }
    let size = UInt32(type.typeHeaderSize(capabilities))
    guard type.mayCarryData ? length >= size : length == size else {
      return .wrongLength(type, length: length)
    }
    return nil
  }

  /// What is wrong with a packet whose header is right.
  /// - Parameters:
  ///   - header: the type header, all of it.
  ///   - dataCount: bytes behind it, of which none need to be there yet.
  func fault(_ type: PacketType, _ header: Span<UInt8>, dataCount: UInt32) -> PacketFault? {
    switch type {
    case .hello: overLimit(type, dataCount, PacketLimits.helloWords)
    case .filterFilter:
      dataCount == 0 ? .unterminatedFilter : overLimit(type, dataCount, PacketLimits.filterText)
    case .interfaceInfo: interfaceFault(InterfaceInfoHeader(decoding: header))
    case .startInterruptReceiving: notIn(type, StartInterruptReceivingHeader(decoding: header).endpoint)
    case .stopInterruptReceiving: notIn(type, StopInterruptReceivingHeader(decoding: header).endpoint)
    case .interruptReceivingStatus: notIn(type, InterruptReceivingStatusHeader(decoding: header).endpoint)
    case .startBulkReceiving: startFault(StartBulkReceivingHeader(decoding: header))
    case .stopBulkReceiving: notIn(type, StopBulkReceivingHeader(decoding: header).endpoint)
    case .bulkReceivingStatus: notIn(type, BulkReceivingStatusHeader(decoding: header).endpoint)
    default: type.isDataPacket ? dataFault(DataFields(type, header), type, dataCount) : nil
    }
  }

  /// What is wrong with a packet whose header and type header are right.
  static func fault(_ type: PacketType, data: Span<UInt8>) -> PacketFault? {
    guard type == .filterFilter else { return nil }
    return data[data.count - 1] == 0 ? nil : .unterminatedFilter
  }

  private func overLimit(_ type: PacketType, _ length: UInt32, _ limit: UInt32) -> PacketFault? {
    length > limit ? .overLimit(type, length: length, limit: limit) : nil
  }

  private func notIn(_ type: PacketType, _ endpoint: UInt8) -> PacketFault? {
    endpoint & 0x80 == 0 ? .wrongEndpoint(type, endpoint: endpoint) : nil
  }

  private func interfaceFault(_ header: InterfaceInfoHeader) -> PacketFault? {
    header.count > 32 ? .tooManyInterfaces(header.count) : nil
  }

  private func startFault(_ header: StartBulkReceivingHeader) -> PacketFault? {
    notIn(.startBulkReceiving, header.endpoint)
      ?? overLimit(.startBulkReceiving, header.bytesPerTransfer, maxTransfer)
  }

  /// Data goes along with OUT endpoints to the usb-host and with IN endpoints to the usb-guest; the other
  /// direction has requests and answers without data, which iso and buffered bulk do not know, nor
  /// interrupt IN.
  private func dataFault(_ fields: DataFields, _ type: PacketType, _ dataCount: UInt32) -> PacketFault? {
    let toHost = sender == .usbGuest
    let isIn = fields.endpoint & 0x80 != 0
    guard isIn == toHost else {
      guard dataCount == fields.length else {
        return .wrongDataLength(type, announced: fields.length, found: dataCount)
      }
      return overLimit(type, dataCount, maxTransfer)
    }
    if dataCount > 0 { return .unexpectedData(type, endpoint: fields.endpoint) }
    switch type {
    case .isoPacket, .bufferedBulkPacket: return .wrongEndpoint(type, endpoint: fields.endpoint)
    case .interruptPacket where toHost: return .wrongEndpoint(type, endpoint: fields.endpoint)
    default: return overLimit(type, fields.length, maxTransfer)
    }
  }
}

/// What the five data headers have in common.
private struct DataFields {
  let endpoint: UInt8
  let length: UInt32

  /// - Parameter type: one of the five data packets.
  init(_ type: PacketType, _ header: Span<UInt8>) {
    switch type {
    case .controlPacket:
      let header = ControlPacketHeader(decoding: header)
      endpoint = header.endpoint
      length = UInt32(header.length)
    case .bulkPacket:
      let header = BulkPacketHeader(decoding: header)
      endpoint = header.endpoint
      length = header.length
    case .bufferedBulkPacket:
      let header = BufferedBulkPacketHeader(decoding: header)
      endpoint = header.endpoint
      length = header.length
    default:
      // iso_packet and interrupt_packet have one form.
      let header = InterruptPacketHeader(decoding: header)
      endpoint = header.endpoint
      length = UInt32(header.length)
    }
  }
}
