// An open device below its transfers: the node, a libusb context of its own, claims and detached drivers. All
// that can sleep in the kernel is here, and nothing else is: it runs off the loop thread (B3.6).
import CLibUSB
import CPosix

/// An open device. One thread at a time: the loop's, or for the time of one call the one that it runs on.
@safe final class USBHandle {
  /// For logs: `046d:c31c "USB Keyboard" at 1-2.3`.
  private(set) var label: String
  private(set) var bus: UInt8 = 0
  private(set) var address: UInt8 = 0
  private(set) var speed = Speed.unknown
  /// bConfigurationValue in force, 0 for none.
  private(set) var configuration: UInt8 = 0
  private(set) var context: OpaquePointer?
  /// The `libusb_device_handle`.
  private(set) var pointer: OpaquePointer?

  /// For errors: `/dev/bus/usb/001/004 (046d:c31c)`.
  private var name: String
  private let info: USBDeviceInfo?
  private var descriptor: Int32 = -1
  private let isBorrowed: Bool
  private var sysfsPath = ""
  /// As the node reads: the device descriptor and every configuration.
  private var descriptors: [UInt8] = []
  private var originalConfiguration: UInt8 = 0
  private var claimed: [UInt8] = []
  /// Interfaces whose kernel driver made room for us.
  private var detached: [UInt8] = []

  /// Opens the device and claims all interfaces of its configuration, or leaves it as it was.
  static func open(_ target: USBDevice.Target) -> Result<USBHandle, USBError> {
    let handle = USBHandle(target)
    do throws(USBError) {
      try handle.openNode(target)
      try handle.openDevice()
      try handle.claimAll()
      return .success(handle)
    } catch {
      handle.giveBack(reset: false)
      return .failure(error)
    }
  }

  private init(_ target: USBDevice.Target) {
    switch target {
    case .info(let info):
      self.info = info
      isBorrowed = false
      label = info.label
      name = info.nodePath + " (" + deviceID(info.vendor, info.product) + ")"
      bus = info.bus
      address = info.address
      sysfsPath = info.sysfsPath
    case .descriptor(let descriptor):
      info = nil
      isBorrowed = true
      name = "descriptor " + String(descriptor)
      label = name
    }
  }

  /// What the device says of itself now; every interface at its first setting.
  var model: DeviceModel {
    let bytes = descriptors
    return DescriptorParser.model(descriptors: bytes.span, configuration: configuration, speed: speed)
  }

  // MARK: open

  private func openNode(_ target: USBDevice.Target) throws(USBError) {
    switch target {
    case .info(let info):
      descriptor = unsafe posixOpen(info.nodePath, Int32(O_RDWR | O_CLOEXEC), 0)
      guard descriptor >= 0 else {
        throw USBError.opening(
          name, info.nodePath, vendor: info.vendor, product: info.product, code: posixErrno())
      }
    case .descriptor(let given):
      descriptor = given
      findSysfs()
    }
    readDescriptors()
  }

  /// A device node's number leads to its folder in sysfs.
  private func findSysfs() {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0, Int32(status.st_mode) & S_IFMT == S_IFCHR else { return }
    let link =
      "/sys/dev/char/" + String(posixMajor(status.st_rdev)) + ":" + String(posixMinor(status.st_rdev))
    guard let port = Sysfs.linkName(link) else { return }
    sysfsPath = Sysfs.devices + port + "/"
  }

  private func readDescriptors() {
    let longest = 1 << 20  // 255 configurations of 4 KiB each.
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 4096) { buffer in
      while descriptors.count < longest {
        let count = unsafe pread(descriptor, buffer.baseAddress, buffer.count, off_t(descriptors.count))
        guard count > 0 else { return }
        unsafe descriptors.append(contentsOf: buffer[..<count])
      }
    }
  }

  private func openDevice() throws(USBError) {
    posixSetErrno(0)
    var code = unsafe libusb_init(&context)
    guard code == 0 else { throw .starting(name, code: code, reason: posixErrno()) }
    code = unsafe libusb_wrap_sys_device(context, Int(descriptor), &pointer)
    guard code == 0, let device = unsafe libusb_get_device(pointer) else {
      throw USBError(
        code: code,
        "cannot use " + name + " as a USB device"
          + (isBorrowed ? "; it must be a usbfs node, open to write" : ""))
    }
    if info == nil {
      bus = unsafe libusb_get_bus_number(device)
      address = unsafe libusb_get_device_address(device)
    }
    unsafe describe(device)
    configuration = try readConfiguration()
    originalConfiguration = configuration
  }

  private func describe(_ device: OpaquePointer) {
    let bytes = descriptors
    let told = DescriptorParser.model(descriptors: bytes.span, configuration: 0, speed: .unknown)
    speed = unsafe Speed(
      libusb: libusb_get_device_speed(device), usbVersion: told.usbVersion,
      maxPacketSize0: told.maxPacketSize0)
    if speed == .unknown, let info { speed = info.speed }
    guard info == nil else { return }
    label = USBDeviceInfo.label(
      told.vendor, told.product, Sysfs.text(sysfsPath + "product"),
      at: sysfsPath.split(at: "/").last { !$0.isEmpty } ?? name)
    name += " (" + deviceID(told.vendor, told.product) + ")"
  }

  /// The kernel's own idea of it where sysfs shows it; else the device is asked. An empty file means none, but also a device
  /// that is being unplugged, and then its file goes: only the device tells these apart.
  private func readConfiguration() throws(USBError) -> UInt8 {
    let text = Sysfs.text(sysfsPath + "bConfigurationValue")
    if let number = text?.number(atMost: 0xff) { return UInt8(number) }
    var value: Int32 = 0
    let code = unsafe libusb_get_configuration(pointer, &value)
    guard code != LIBUSB_ERROR_NO_DEVICE.rawValue else {
      throw USBError(.gone, "cannot use " + name + ": it was unplugged")
    }
    return text == nil && code == 0 ? UInt8(truncatingIfNeeded: value) : 0
  }

  // MARK: interfaces

  private func claimAll() throws(USBError) {
    for interface in model.interfaces where interface.number < USBHandle.interfaceLimit {
      detachDriver(interface.number)
      let code = unsafe libusb_claim_interface(pointer, Int32(interface.number))
      guard code == 0 else { throw claimError(interface.number, code) }
      claimed.append(interface.number)
    }
  }

  /// libusb claims no interface with a higher number (USB_MAXINTERFACES); usbfs claims it when it is first
  /// used.
  private static let interfaceLimit: UInt8 = 32

  /// When the driver's state cannot be told the claim decides.
  private func detachDriver(_ interface: UInt8) {
    guard unsafe libusb_kernel_driver_active(pointer, Int32(interface)) == 1 else { return }
    guard unsafe libusb_detach_kernel_driver(pointer, Int32(interface)) == 0 else { return }
    if !detached.contains(interface) { detached.append(interface) }
  }

  private func claimError(_ interface: UInt8, _ code: Int32) -> USBError {
    let operation = "cannot claim interface " + String(interface) + " of " + name
    guard code == LIBUSB_ERROR_BUSY.rawValue else { return USBError(code: code, operation) }
    return USBError(.busy, operation + ": in use by " + holders(interface) + "; stop it and try again")
  }

  private func holders(_ interface: UInt8) -> String {
    guard var device = info else { return "another program or driver" }
    device.refreshInterfaces()
    device.interfaces.removeAll { $0.number != interface }
    let names = DeviceHolder.names(device).filter { $0 != "usbfs" }
    return names.isEmpty ? "another program" : names.joined(separator: ", ")
  }

  /// Alternate settings are 0 afterwards: the kernel sees to that.
  private func releaseAll() {
    for interface in claimed.reversed() { unsafe libusb_release_interface(pointer, Int32(interface)) }
    claimed = []
  }

  // MARK: calls

  /// Carries out a call that is not `cancel`.
  func perform(_ call: DeviceCall) -> DeviceCallResult {
    switch call {
    case .setConfiguration(let value): return setConfiguration(value)
    case .setAlternateSetting(let interface, let setting):
      return unsafe result(libusb_set_interface_alt_setting(pointer, Int32(interface), Int32(setting)))
    case .clearHalt(let endpoint): return unsafe result(libusb_clear_halt(pointer, endpoint.rawValue))
    case .reset: return reset()
    case .allocateStreams(let slots, let count): return allocateStreams(endpoints(slots), count)
    case .freeStreams(let slots):
      var addresses = endpoints(slots)
      return unsafe result(libusb_free_streams(pointer, &addresses, Int32(addresses.count)))
    case .cancel: return .failed
    }
  }

  private func result(_ code: Int32) -> DeviceCallResult {
    switch code {
    case 0...: .done
    case LIBUSB_ERROR_PIPE.rawValue: .stalled
    case LIBUSB_ERROR_NO_DEVICE.rawValue: .deviceGone
    default: .failed
    }
  }

  private func setConfiguration(_ value: UInt8) -> DeviceCallResult {
    releaseAll()
    // -1 also unconfigures a device whose configurations begin with 0.
    let outcome = unsafe result(libusb_set_configuration(pointer, value == 0 ? -1 : Int32(value)))
    guard outcome != .deviceGone else { return outcome }
    do throws(USBError) {
      if outcome == .done {
        configuration = value
        // The kernel has bound drivers to the new configuration; those of the old one are history.
        detached = []
      } else {
        configuration = try readConfiguration()
      }
      try claimAll()
    } catch {
      return error.kind == .gone ? .deviceGone : .failed
    }
    return outcome
  }

  private func reset() -> DeviceCallResult {
    let code = unsafe libusb_reset_device(pointer)
    // Also for ENODEV: the kernel lets go of a device that came back as another one.
    return code == LIBUSB_ERROR_NOT_FOUND.rawValue ? .changed : result(code)
  }

  private func allocateStreams(_ addresses: [UInt8], _ count: UInt32) -> DeviceCallResult {
    var addresses = addresses
    let code = unsafe libusb_alloc_streams(pointer, count, &addresses, Int32(addresses.count))
    guard code >= 0, UInt32(code) < count else { return result(code) }
    unsafe libusb_free_streams(pointer, &addresses, Int32(addresses.count))
    return .failed
  }

  private func endpoints(_ slots: UInt32) -> [UInt8] {
    (0..<EndpointTable.count).filter { slots & 1 << UInt32($0) != 0 }.map {
      EndpointAddress(slot: $0).rawValue
    }
  }

  // MARK: the end

  /// Gives the device back as it was found and closes it (B2.8). Works from any state of opening.
  func giveBack(reset: Bool) {
    if unsafe pointer != nil { restore(reset: reset) }
    unsafe libusb_close(pointer)
    unsafe pointer = nil
    if let context = unsafe context { unsafe libusb_exit(context) }
    unsafe context = nil
    if descriptor >= 0 && !isBorrowed { close(descriptor) }
    descriptor = -1
  }

  private func restore(reset: Bool) {
    if reset { _ = self.reset() }
    releaseAll()
    if configuration != originalConfiguration {
      // Setting it binds the kernel's drivers.
      _ = unsafe libusb_set_configuration(
        pointer, originalConfiguration == 0 ? -1 : Int32(originalConfiguration))
    } else {
      for interface in detached { unsafe libusb_attach_kernel_driver(pointer, Int32(interface)) }
    }
  }
}
