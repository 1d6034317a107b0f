// A usb-host whose answers a test decides packet by packet, in the loop of the probe: for what no device of ours
// does, and for orders that chance would rarely bring.
import CPosix

@testable import usbredir_evloop

/// What a guest sent.
struct Asked {
  let type: PacketType
  let id: UInt64
  let header: [UInt8]
  let data: [UInt8]
  /// Of a data packet or a stream's start and stop; 0 elsewhere.
  var endpoint: UInt8 {
    switch type {
    case .bulkPacket, .interruptPacket, .isoPacket, .startInterruptReceiving, .stopInterruptReceiving,
      .startIsoStream, .stopIsoStream:
      header[0]
    case .startBulkReceiving: header[8]
    case .stopBulkReceiving: header[4]
    default: 0
    }
  }
  /// `bulk_packet 82`, `start_iso_stream 83`, `reset`.
  var words: String {
    endpoint == 0 ? type.description : type.description + " " + Hex.text(UInt32(endpoint), digits: 2)
  }
}

final class FakeHost: ConnectionOwner, PacketReceiver {
  let guestDescriptor: Int32
  /// Says whether it has answered; everything else is answered as a device without descriptors would.
  var onPacket: (Asked) -> Bool = { _ in false }
  /// What the guest sent since the announcement, control requests and get_configuration left out.
  private(set) var asked: [String] = []
  private(set) var isGone = false
  let inForce: Capabilities
  private var connection: Connection?
  private let reader: PacketReader
  private let pools = SizedBufferPools()

  var isPaused: Bool { false }

  init(
    _ loop: EventLoop, _ capabilities: Capabilities = .all, endpoints: [UInt8: EndpointInfoHeader.Slot],
    interfaces: [InterfaceInfoHeader.Interface] = [
      InterfaceInfoHeader.Interface(number: 0, classCode: 0xff, subclass: 0, protocol: 0)
    ]
  ) throws {
    let pair = try unixPair()
    guestDescriptor = pair.peer
    inForce = Capabilities.negotiated(GuestSession.capabilities, capabilities)
    reader = PacketReader(role: .usbHost, capabilities: capabilities)
    connection = try Connection(loop, descriptor: pair.ours, options: TransportOptions(), owner: self)
    write(hello(capabilities))
    send(FakeHost.info(endpoints))
    var header = InterfaceInfoHeader()
    header.count = UInt32(interfaces.count)
    for (index, interface) in interfaces.enumerated() { header.interfaces[index] = interface }
    send(header)
    send(RawHost.connect)
  }

  static func info(_ endpoints: [UInt8: EndpointInfoHeader.Slot]) -> EndpointInfoHeader {
    var header = EndpointInfoHeader()
    for slot in [0, 16] { header.slots[slot].type = 0 }
    for (address, slot) in endpoints { header.slots[EndpointAddress(rawValue: address).slot] = slot }
    return header
  }

  static func slot(_ type: TransferType, _ size: UInt16, interval: UInt8 = 1) -> EndpointInfoHeader.Slot {
    EndpointInfoHeader.Slot(type: type.rawValue, interval: interval, interface: 0, maxPacketSize: size)
  }

  // MARK: what the test says

  func write(_ bytes: [UInt8]) {
    let buffer = pools.take(bytes.count)
    buffer.copy(bytes.span)
    connection?.queue(buffer)
  }

  func send<Header: TypeHeader>(_ header: Header, id: UInt64 = 0, _ data: [UInt8] = []) {
    write(packet(header, id: id, data: data, inForce))
  }

  func bulk(_ asked: Asked, _ status: Status = .success, _ data: [UInt8] = [], count: Int? = nil) {
    let length = UInt32(count ?? data.count)
    send(
      BulkPacketHeader(endpoint: asked.endpoint, status: status, length: length, streamID: 0), id: asked.id,
      data)
  }

  /// A report of an interrupt IN endpoint, or the answer to an OUT request.
  func interrupt(
    _ endpoint: UInt8, _ data: [UInt8] = [], status: Status = .success, id: UInt64 = 0, count: Int? = nil
  ) {
    let length = UInt16(count ?? data.count)
    send(InterruptPacketHeader(endpoint: endpoint, status: status, length: length), id: id, data)
  }

  func control(_ asked: Asked, _ status: Status, _ data: [UInt8] = []) {
    var header = asked.header.withSpan { ControlPacketHeader(decoding: $0) }
    header.status = status
    header.length = header.endpoint == 0 ? header.length : UInt16(data.count)
    send(header, id: asked.id, data)
  }

  func disconnect() { write(packet(.deviceDisconnect, inForce)) }

  // MARK: ConnectionOwner, PacketReceiver

  func connectionReadable(_ connection: Connection) {
    unsafe reader.withFree { free in
      guard case .bytes(let count) = unsafe connection.receive(into: free) else { return 0 }
      return count
    }
    reader.drain(self)
  }

  func connectionEnded(_ connection: Connection, _ reason: ConnectionEnd) { isGone = true }
  func connectionCrossedHighWater(_ connection: Connection) {}
  func connectionCrossedLowWater(_ connection: Connection) {}
  func rejected(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ fault: PacketFault) {
    asked.append("REJECTED " + fault.description)
  }
  func broken(_ fault: PacketFault) { asked.append("BROKEN " + fault.description) }

  func receive(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>) {
    guard let type = header.type else { return }
    let packet = Asked(type: type, id: header.id, header: array(typeHeader), data: array(data))
    if ![.hello, .controlPacket, .getConfiguration].contains(type) { asked.append(packet.words) }
    if !onPacket(packet) { answer(packet) }
  }

  private func answer(_ packet: Asked) {
    switch packet.type {
    case .getConfiguration: send(ConfigurationStatusHeader(status: .success, configuration: 1), id: packet.id)
    case .setConfiguration:
      send(ConfigurationStatusHeader(status: .success, configuration: packet.header[0]), id: packet.id)
    case .setAltSetting:
      send(
        AltSettingStatusHeader(status: .success, interface: packet.header[0], alt: packet.header[1]),
        id: packet.id)
    case .controlPacket: control(packet, .stall)
    case .startInterruptReceiving, .stopInterruptReceiving:
      send(InterruptReceivingStatusHeader(status: .success, endpoint: packet.endpoint), id: packet.id)
    case .startBulkReceiving, .stopBulkReceiving:
      send(BulkReceivingStatusHeader(streamID: 0, endpoint: packet.endpoint, status: .success), id: packet.id)
    case .startIsoStream, .stopIsoStream:
      send(IsoStreamStatusHeader(status: .success, endpoint: packet.endpoint), id: packet.id)
    default: break
    }
  }
}

extension [UInt8] {
  func withSpan<Result>(_ body: (Span<UInt8>) -> Result) -> Result { body(span) }
}
