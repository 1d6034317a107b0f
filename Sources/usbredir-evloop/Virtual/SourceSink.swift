// A device with an endpoint pair of each kind: IN endpoints always have data, OUT endpoints take everything. For
// trying controllers, guests and networks without hardware; it answers as Linux' gadget zero does in its source/sink
// configuration, so that the kernel's own driver `usbtest` (pattern=1) knows it.
//
//     setting 0    bulk 81, 01 (512 bytes)
//     setting 1    bulk, and isochronous 82, 02 (1024 bytes a millisecond), interrupt 83, 03 (64 bytes a millisecond)

/// A source and a sink. Loop thread only.
final class SourceSink: VirtualDevice {
  /// Vendor requests of gadget zero: keep these bytes, give them back.
  private static let keep: UInt8 = 0x5b
  private static let giveBack: UInt8 = 0x5c

  /// Every packet counts its bytes modulo 63: what comes late, twice or not at all shows.
  private let packet = (0..<1024).map { UInt8($0 % 63) }
  private var kept: [UInt8] = []

  init(loop: EventLoop) {
    super.init(.sourceSink, loop: loop)
  }

  override var isPaced: Bool { true }

  override func isReady(_ endpoint: EndpointAddress) -> Bool { true }

  override func answer(_ transfer: Transfer) -> TransferStatus {
    let status = transfer.take()
    guard transfer.endpoint.isIn, let model = endpoint(transfer.endpoint)?.model else { return status }
    fill(transfer, packetSize: Int(model.rawMaxPacketSize))
    return status
  }

  private func fill(_ transfer: Transfer, packetSize: Int) {
    let packet = packet
    let pattern = packet.span
    var offset = 0
    while offset < transfer.length {
      let count = min(packetSize, transfer.length - offset)
      transfer.buffer?.write(pattern.extracting(0..<count), at: offset)
      offset += count
    }
  }

  override func answerControl(_ transfer: Transfer) -> TransferStatus {
    let setup = transfer.setup
    switch (setup.requestType, setup.request) {
    case (0x40, SourceSink.keep):
      kept = transfer.withData { data in data.indices.map { data[$0] } }
      return transfer.take()
    case (0xc0, SourceSink.giveBack): return transfer.give(kept)
    default: return super.answerControl(transfer)
    }
  }

  override func wasReset() {
    kept = []
  }
}

extension DeviceDescription {
  private static let bulk = pair(1, .bulk, size: 512, interval: 0)

  static let sourceSink = DeviceDescription(
    speed: .high, usbVersion: 0x0200, vendor: 0x0525, product: 0xa4a0, classCode: 0xff,
    manufacturerName: "usbredir-evloop", productName: "Source and Sink", serialNumber: "1",
    configurations: [
      ConfigurationDescription(
        value: 1, attributes: ConfigurationDescription.selfPowered,
        interfaces: [
          InterfaceDescription(
            number: 0,
            settings: [
              vendorSetting(0, bulk),
              vendorSetting(
                1,
                bulk + pair(2, .isochronous, size: 1024, interval: 4)
                  + pair(3, .interrupt, size: 64, interval: 4)),
            ])
        ])
    ])
}
