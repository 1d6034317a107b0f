// What a usb-host says of its device: device_connect, interface_info and ep_info as one plain value. All of
// it is the peer's word: numbers that USB does not have are left out or read as unknown.

/// One endpoint of ep_info, endpoint 0 excepted.
struct GuestEndpoint: Equatable {
  var address: EndpointAddress
  var type: TransferType
  /// bInterval.
  var interval: UInt8
  /// bInterfaceNumber.
  var interface: UInt8
  /// 0 when it was not sent.
  var maxPacketSize: UInt16
  /// 0 for none, or when it was not sent.
  var maxStreams: UInt32

  var isInterruptIn: Bool { type == .interrupt && address.isIn }

  /// nil for an unused slot, for endpoint 0, and for a type that USB does not have.
  init?(_ slot: EndpointInfoHeader.Slot, at index: Int) {
    address = EndpointAddress(slot: index)
    guard let type = TransferType(rawValue: slot.type), address.number != 0 else { return nil }
    self.type = type
    interval = slot.interval
    interface = slot.interface
    maxPacketSize = slot.maxPacketSize
    maxStreams = slot.maxStreams
  }
}

/// The device that a usb-host has announced.
struct GuestDevice: Equatable {
  var speed: Speed
  var classCode: UInt8
  var subclass: UInt8
  var `protocol`: UInt8
  var vendor: UInt16
  var product: UInt16
  /// bcdDevice; nil when it was not sent.
  var release: UInt16?
  /// Of the configuration in force, in the order they were sent.
  var interfaces: [InterfaceInfoHeader.Interface] = []
  /// By number, OUT before IN.
  var endpoints: [GuestEndpoint] = []

  /// - Parameter capabilities: in force; they say whether bcdDevice was sent.
  init(_ header: DeviceConnectHeader, _ capabilities: Capabilities) {
    speed = Speed(rawValue: header.speed) ?? .unknown
    classCode = header.deviceClass
    subclass = header.deviceSubclass
    `protocol` = header.deviceProtocol
    vendor = header.vendor
    product = header.product
    release = capabilities.contains(.connectDeviceVersion) ? header.deviceVersion : nil
  }

  /// The endpoint at `address`, if the device has it.
  subscript(address: EndpointAddress) -> GuestEndpoint? {
    endpoints.first { $0.address == address }
  }

  /// The interface that `endpoint` belongs to, if it was announced.
  func interface(of endpoint: GuestEndpoint) -> InterfaceInfoHeader.Interface? {
    interfaces.first { $0.number == endpoint.interface }
  }

  /// Endpoint slots of `header` as a list.
  static func endpoints(_ header: EndpointInfoHeader) -> [GuestEndpoint] {
    var endpoints: [GuestEndpoint] = []
    for number in 1..<16 {
      for slot in [number, number + 16] {
        if let endpoint = GuestEndpoint(header.slots[slot], at: slot) { endpoints.append(endpoint) }
      }
    }
    return endpoints
  }

  /// The interfaces that count in `header`; the reader has checked how many.
  static func interfaces(_ header: InterfaceInfoHeader) -> [InterfaceInfoHeader.Interface] {
    (0..<min(32, Int(header.count))).map { header.interfaces[$0] }
  }
}

extension InterfaceInfoHeader.Interface {
  /// HID 1.11, 4.1…4.3: class HID, boot interface, keyboard.
  var isBootKeyboard: Bool { classCode == 3 && subclass == 1 && `protocol` == 1 }
}
