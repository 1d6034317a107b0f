// The 32 endpoint slots of usbredir's ep_info, derived from a device's descriptors by the rules of B2.4: what the
// guest is told, and what every packet that names an endpoint is checked against.

/// One slot of the table. Fields as in usbredir's ep_info.
struct EndpointSlot: Equatable {
  /// nil for an endpoint that is not there (255 on the wire).
  var type: TransferType?
  var interval: UInt8 = 0
  var interface: UInt8 = 0
  var maxPacketSize: UInt16 = 0
  var maxStreams: UInt32 = 0
}

/// Slots OUT 0…15, then IN 16…31.
struct EndpointTable: Equatable {
  static let count = 32
  /// One bit for each slot that is not control: what a device call quiesces.
  static let allButControl: UInt32 = 0xfffe_fffe

  private(set) var slots = [EndpointSlot](repeating: EndpointSlot(), count: EndpointTable.count)

  /// The endpoints of every interface's current alternate setting, and endpoint 0.
  init(_ model: DeviceModel) {
    let control = EndpointSlot(type: .control, maxPacketSize: EndpointTable.controlPacketSize(model))
    slots[EndpointAddress.controlOut.slot] = control
    slots[EndpointAddress.controlIn.slot] = control
    for interface in model.interfaces {
      for endpoint in interface.currentSetting?.endpoints ?? [] where endpoint.address.number != 0 {
        slots[endpoint.address.slot] = EndpointTable.slot(endpoint, of: interface.number, speed: model.speed)
      }
    }
  }

  subscript(address: EndpointAddress) -> EndpointSlot { slots[address.slot] }

  /// One bit for each endpoint of `interface` (bit = slot).
  func slots(ofInterface interface: UInt8) -> UInt32 {
    var mask: UInt32 = 0
    for (index, slot) in slots.enumerated() where slot.interface == interface {
      if slot.type != nil && slot.type != .control { mask |= 1 << UInt32(index) }
    }
    return mask
  }

  private static func controlPacketSize(_ model: DeviceModel) -> UInt16 {
    // For SuperSpeed the field is an exponent (USB 3.2, table 9-11).
    model.speed == .super ? 512 : UInt16(model.maxPacketSize0)
  }

  private static func slot(_ endpoint: EndpointModel, of interface: UInt8, speed: Speed) -> EndpointSlot {
    let polled = endpoint.type == .isochronous || endpoint.type == .interrupt
    return EndpointSlot(
      type: endpoint.type,
      // QEMU rejects a device with interval 0 on such an endpoint.
      interval: polled ? max(1, endpoint.interval) : endpoint.interval,
      interface: interface,
      maxPacketSize: maxPacketSize(endpoint, speed: speed),
      maxStreams: maxStreams(endpoint, speed: speed))
  }

  /// Interrupt and bulk: one bus packet, since QEMU joins interrupt packets of exactly this size. Iso: all of an interval.
  private static func maxPacketSize(_ endpoint: EndpointModel, speed: Speed) -> UInt16 {
    let packet = UInt32(endpoint.rawMaxPacketSize & 0x7ff)
    guard endpoint.type == .isochronous else { return UInt16(packet) }
    switch speed {
    case .super:
      if endpoint.isoBytesPerInterval > 0 { return UInt16(min(endpoint.isoBytesPerInterval, 65535)) }
      if endpoint.bytesPerInterval > 0 { return endpoint.bytesPerInterval }
      let burst = UInt32(endpoint.maxBurst) + 1
      let mult = UInt32(endpoint.companionAttributes & 3) + 1
      return UInt16(min(packet * burst * mult, 65535))
    case .high:
      return UInt16(packet * (UInt32(endpoint.rawMaxPacketSize >> 11) & 3 + 1))
    case .low, .full, .unknown:
      return UInt16(packet)
    }
  }

  private static func maxStreams(_ endpoint: EndpointModel, speed: Speed) -> UInt32 {
    let exponent = UInt32(endpoint.companionAttributes & 0x1f)
    guard speed == .super, endpoint.type == .bulk, exponent > 0 else { return 0 }
    return 1 << min(exponent, 16)
  }
}
