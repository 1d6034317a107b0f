// What the tablet and the mouse say of themselves: descriptors. HID 1.11; HID Usage Tables, pages 1 and 9.

/// Which pointer a device is.
enum PointerKind {
  /// Says where it is, as QEMU's usb-tablet does.
  case tablet
  /// Says how far it has gone: a boot mouse with a wheel.
  case mouse

  /// As on the command line.
  var name: String {
    switch self {
    case .tablet: "tablet"
    case .mouse: "mouse"
    }
  }

  /// The largest place of an axis of the tablet.
  static let maxPlace: UInt32 = 0x7fff

  var description: HIDDescription {
    switch self {
    case .tablet:
      HIDDescription(
        product: 0x0004, productName: "Virtual Tablet", reportSize: 6, changes: 5..<6, interval: 4,
        reportDescriptor: PointerKind.buttons + PointerKind.places + PointerKind.wheel)
    // In the boot protocol a mouse has three bytes and may add others: here the wheel. HID 1.11, appendix B.2.
    case .mouse:
      HIDDescription(
        product: 0x0005, productName: "Virtual Mouse", bootProtocol: 2, reportSize: 4, changes: 1..<4,
        interval: 4, reportDescriptor: PointerKind.buttons + PointerKind.distances + PointerKind.wheel)
    }
  }

  /// One byte: three buttons and five bits of padding.
  private static let buttons: [UInt8] = [
    0x05, 0x01,  // Usage Page (Generic Desktop)
    0x09, 0x02,  // Usage (Mouse)
    0xa1, 0x01,  // Collection (Application)
    0x09, 0x01,  //   Usage (Pointer)
    0xa1, 0x00,  //   Collection (Physical)
    0x05, 0x09,  //     Usage Page (Button)
    0x19, 0x01, 0x29, 0x03,  //     Usages: 1 (left), 2 (right), 3 (middle)
    0x15, 0x00, 0x25, 0x01,  //     Values 0…1
    0x75, 0x01, 0x95, 0x03,  //     3 times 1 bit
    0x81, 0x02,  //     Input (Data, Variable, Absolute)
    0x75, 0x05, 0x95, 0x01,  //     1 time 5 bits
    0x81, 0x01,  //     Input (Constant)
    0x05, 0x01,  //     Usage Page (Generic Desktop)
    0x09, 0x30, 0x09, 0x31,  //     Usages: X, Y
  ]

  private static let places: [UInt8] = [
    0x15, 0x00, 0x26, 0xff, 0x7f,  //     Values 0…32767
    0x75, 0x10, 0x95, 0x02,  //     2 times 16 bits
    0x81, 0x02,  //     Input (Data, Variable, Absolute)
  ]

  private static let distances: [UInt8] = [
    0x15, 0x81, 0x25, 0x7f,  //     Values -127…127
    0x75, 0x08, 0x95, 0x02,  //     2 times 8 bits
    0x81, 0x06,  //     Input (Data, Variable, Relative)
  ]

  private static let wheel: [UInt8] = [
    0x09, 0x38,  //     Usage (Wheel)
    0x15, 0x81, 0x25, 0x7f,  //     Values -127…127
    0x75, 0x08, 0x95, 0x01,  //     1 time 8 bits
    0x81, 0x06,  //     Input (Data, Variable, Relative)
    0xc0,  //   End Collection
    0xc0,  // End Collection
  ]
}
