// A plugged-in device as enumeration and sysfs(5) show it: nothing here needs the device to be opened.
import CLibUSB
import CPosix

/// An interface of the configuration in force, and the kernel driver that has it.
struct USBInterfaceInfo: Equatable {
  var number: UInt8
  var classCode: UInt8
  /// `usbhid`, `usb-storage` …; `usbfs` when a program has claimed it; nil when it is free.
  var driver: String?
}

/// One plugged-in device.
struct USBDeviceInfo: Equatable {
  var bus: UInt8
  var address: UInt8
  /// Port numbers from the root port on; empty for a root hub.
  var ports: [UInt8]
  var vendor: UInt16
  var product: UInt16
  var classCode: UInt8
  var speed: Speed
  /// The strings that the kernel read when the device was plugged in.
  var manufacturer: String?
  var productName: String?
  var serial: String?
  var interfaces: [USBInterfaceInfo] = []

  /// As sysfs names the device: `1-2.3`, and `usb1` for a root hub.
  var port: String { portPath(bus, ports) }

  /// Bus and address as one number.
  var key: UInt16 { UInt16(bus) << 8 | UInt16(address) }

  /// Bus and port path as one number, in the order of listings.
  var place: UInt64 {
    (0..<7).reduce(UInt64(bus)) { place, tier in place << 8 | UInt64(tier < ports.count ? ports[tier] : 0) }
  }

  /// usbfs' node: `/dev/bus/usb/001/004`.
  var nodePath: String { "/dev/bus/usb/" + digits3(bus) + "/" + digits3(address) }

  /// `/sys/bus/usb/devices/1-2.3/`.
  var sysfsPath: String { Sysfs.devices + port + "/" }

  /// For logs: `046d:c31c "USB Keyboard" at 1-2.3`.
  var label: String { USBDeviceInfo.label(vendor, product, productName, at: port) }

  /// The same of what is known. The device chose its name: nothing of it may steer a terminal or end the line.
  static func label(_ vendor: UInt16, _ product: UInt16, _ name: String?, at place: String) -> String {
    deviceID(vendor, product) + (name.map { " \"" + printable($0) + "\"" } ?? "") + " at " + place
  }

  private func digits3(_ value: UInt8) -> String {
    let digits = String(value)
    return String(repeating: "0", count: 3 - digits.utf8.count) + digits
  }
}

extension USBDeviceInfo {
  /// What libusb enumerated, and sysfs' files about it. nil when it has gone already.
  @unsafe init?(_ device: OpaquePointer) {
    var descriptor = libusb_device_descriptor()
    guard unsafe libusb_get_device_descriptor(device, &descriptor) == 0 else { return nil }
    var ports = [UInt8](repeating: 0, count: 7)  // USB 3.2, 10.16.2.7: at most seven tiers.
    let depth = unsafe libusb_get_port_numbers(device, &ports, Int32(ports.count))
    self.init(
      bus: unsafe libusb_get_bus_number(device), address: unsafe libusb_get_device_address(device),
      ports: Array(ports.prefix(Int(max(0, depth)))), vendor: descriptor.idVendor,
      product: descriptor.idProduct,
      classCode: descriptor.bDeviceClass,
      speed: unsafe Speed(
        libusb: libusb_get_device_speed(device), usbVersion: descriptor.bcdUSB,
        maxPacketSize0: descriptor.bMaxPacketSize0))
    readSysfs()
  }

  private mutating func readSysfs() {
    manufacturer = Sysfs.text(sysfsPath + "manufacturer")
    productName = Sysfs.text(sysfsPath + "product")
    serial = Sysfs.text(sysfsPath + "serial")
    refreshInterfaces()
  }

  /// Reads again which driver has which interface.
  mutating func refreshInterfaces() {
    interfaces = Sysfs.names(in: sysfsPath).filter { $0.hasPrefix(port + ":") }.compactMap { name in
      let path = sysfsPath + name + "/"
      guard let number = Sysfs.number(path + "bInterfaceNumber", radix: 16) else { return nil }
      return USBInterfaceInfo(
        number: number, classCode: Sysfs.number(path + "bInterfaceClass", radix: 16) ?? 0,
        driver: Sysfs.linkName(path + "driver"))
    }.sorted(byKey: { UInt64($0.number) })
  }
}

extension Speed {
  /// B2.3: anything from 5 Gb/s on is super. libusb 1.0.26 calls 20 Gb/s unknown; the descriptor gives it
  /// away.
  init(libusb speed: Int32, usbVersion: UInt16, maxPacketSize0: UInt8) {
    switch speed {
    case Int32(LIBUSB_SPEED_LOW.rawValue): self = .low
    case Int32(LIBUSB_SPEED_FULL.rawValue): self = .full
    case Int32(LIBUSB_SPEED_HIGH.rawValue): self = .high
    case Int32(LIBUSB_SPEED_SUPER.rawValue)...: self = .super
    default: self = usbVersion >= 0x0300 && maxPacketSize0 == 9 ? .super : .unknown
    }
  }
}
