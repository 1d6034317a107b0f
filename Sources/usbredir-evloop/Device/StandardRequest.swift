// The numbers of the standard requests. USB 2.0, 9.4.

/// bRequest, USB 2.0, table 9-4.
enum StandardRequest {
  static let getStatus: UInt8 = 0
  static let clearFeature: UInt8 = 1
  static let setFeature: UInt8 = 3
  static let setAddress: UInt8 = 5
  static let getDescriptor: UInt8 = 6
  static let getConfiguration: UInt8 = 8
  static let setConfiguration: UInt8 = 9
  static let getInterface: UInt8 = 10
  static let setInterface: UInt8 = 11
}

/// bmRequestType of standard requests from us to the device, USB 2.0, table 9-2.
enum RequestType {
  static let toDevice: UInt8 = 0x00
  static let toInterface: UInt8 = 0x01
  static let toEndpoint: UInt8 = 0x02
}

/// Feature selectors, USB 2.0, table 9-6.
enum Feature {
  static let endpointHalt: UInt16 = 0
  static let deviceRemoteWakeup: UInt16 = 1
}
