// What a device says of itself, as plain values: identity, the configuration in force, its interfaces and
// endpoints. Built from descriptors (`DescriptorParser`), read by announcements, `list` and `probe`.

/// One endpoint of an alternate setting. USB 2.0, 9.6.6; the companions USB 3.2, 9.6.7 and 9.6.8.
struct EndpointModel: Equatable {
  var address: EndpointAddress
  var type: TransferType
  /// wMaxPacketSize as it stands in the descriptor, multiplier bits included.
  var rawMaxPacketSize: UInt16
  var interval: UInt8
  /// SuperSpeed companion, 0 where there is none.
  var maxBurst: UInt8 = 0
  var companionAttributes: UInt8 = 0
  var bytesPerInterval: UInt16 = 0
  /// SuperSpeedPlus isochronous companion's dwBytesPerInterval, 0 where there is none.
  var isoBytesPerInterval: UInt32 = 0
}

/// One alternate setting of an interface. USB 2.0, 9.6.5.
struct AlternateSetting: Equatable {
  var number: UInt8
  var classCode: UInt8
  var subclass: UInt8
  var `protocol`: UInt8
  var endpoints: [EndpointModel]
}

/// An interface and all of its alternate settings; numbers may have gaps.
struct InterfaceModel: Equatable {
  var number: UInt8
  var alternateSettings: [AlternateSetting]
  /// bAlternateSetting of the one in force.
  var current: UInt8 = 0

  /// The setting in force, or nil if the device's descriptors do not have it.
  var currentSetting: AlternateSetting? {
    alternateSettings.first { $0.number == current }
  }
}

/// A device as it is now.
struct DeviceModel: Equatable {
  var speed = Speed.unknown
  var vendor: UInt16 = 0
  var product: UInt16 = 0
  /// bcdDevice.
  var release: UInt16 = 0
  /// bcdUSB.
  var usbVersion: UInt16 = 0
  var classCode: UInt8 = 0
  var subclass: UInt8 = 0
  var `protocol`: UInt8 = 0
  /// bMaxPacketSize0 as it stands in the descriptor (an exponent for SuperSpeed).
  var maxPacketSize0: UInt8 = 8
  /// bConfigurationValue in force, 0 when the device is unconfigured.
  var configuration: UInt8 = 0
  /// Interfaces of the configuration in force, in descriptor order; empty when it is unconfigured.
  var interfaces: [InterfaceModel] = []
}
