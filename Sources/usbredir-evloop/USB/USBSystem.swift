// The USB devices of this machine: enumeration and hot-plug, in a libusb context that opens nothing.
import CLibUSB
import CPosix

/// Told that the set of plugged-in devices has changed. Loop thread only.
protocol USBSystemObserver: AnyObject {
  /// Devices came, went, or both. The node of one that came may not be accessible yet: udev is still at work.
  func devicesChanged()
}

/// Discovery. One for the life of the process: libusb 1.0.26 keeps "no discovery", which the contexts of open
/// devices need, as a process-wide default, so that a second one would see no devices. Loop thread only.
@safe final class USBSystem {
  let loop: EventLoop
  let log: Log
  let calls: BlockingCalls
  /// Must be nil again before that one goes away.
  var observer: (any USBSystemObserver)? {
    get { unsafe told }
    set { unsafe told = newValue }
  }

  private let context: OpaquePointer
  private var events: USBEvents?
  private var work: Work?
  private var openDevices: [USBDevice] = []
  private var isChanged = false
  /// What was read of each device when it was first seen, by bus and address: the kernel locks a device for
  /// its strings as it does for a reset, so that asking again could block the loop (B3.6).
  private var known: [USBDeviceInfo] = []
  private unowned(unsafe) var told: (any USBSystemObserver)?

  /// Starts without devices, without usbfs and without permissions too; says what it sees once.
  init(loop: EventLoop, log: Log, calls: BlockingCalls) throws(USBError) {
    self.loop = loop
    self.log = log
    self.calls = calls
    var new: OpaquePointer?
    posixSetErrno(0)
    let code = unsafe libusb_init(&new)
    guard code == 0, let new = unsafe new else {
      throw .starting("discovery", code: code, reason: posixErrno())
    }
    unsafe context = new
    usbNoDeviceDiscovery()
    let work = Work(on: loop.reaps) { [system = Unowned(self)] in system.value.reap() }
    self.work = work
    do throws(SystemError) {
      events = try unsafe USBEvents(new, loop, due: work)
    } catch {
      throw USBError(error, "USB discovery")
    }
    try watchHotPlug()
    if try devices().isEmpty { log.warning("\(USBSystem.reasonForNone); waiting for a device") }
  }

  deinit {
    work?.cancel()
    events?.stop()
    unsafe libusb_exit(context)
  }

  /// Every device that is plugged in now, hubs included, in order of bus and port path.
  func devices() throws(USBError) -> [USBDeviceInfo] {
    var list: UnsafeMutablePointer<OpaquePointer?>?
    let count = unsafe libusb_get_device_list(context, &list)
    guard count >= 0, let list = unsafe list else {
      throw USBError(code: Int32(count), "cannot list the USB devices")
    }
    defer { unsafe libusb_free_device_list(list, 1) }
    var found: [USBDeviceInfo] = []
    for index in 0..<count {
      if let device = unsafe list[index], let info = unsafe info(device) { found.append(info) }
    }
    return found.sorted(byKey: { $0.place })
  }

  /// Why there may be no device.
  static var reasonForNone: String {
    unsafe access("/dev/bus/usb", F_OK) == 0
      ? "no USB device is plugged in" : "there is no usbfs here, /dev/bus/usb does not exist"
  }

  @unsafe private func info(_ device: OpaquePointer) -> USBDeviceInfo? {
    let key = unsafe key(device)
    guard var info = known.first(where: { $0.key == key }) else {
      let new = unsafe USBDeviceInfo(device)
      if let new { known.append(new) }
      return new
    }
    info.refreshInterfaces()
    return info
  }

  @unsafe private func key(_ device: OpaquePointer) -> UInt16 {
    unsafe UInt16(libusb_get_bus_number(device)) << 8 | UInt16(libusb_get_device_address(device))
  }

  func opened(_ device: USBDevice) {
    openDevices.append(device)
  }

  func closed(_ device: USBDevice) {
    openDevices.removeAll { $0 === device }
  }

  private func watchHotPlug() throws(USBError) {
    let wanted = LIBUSB_HOTPLUG_EVENT_DEVICE_ARRIVED.rawValue | LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT.rawValue
    let any = LIBUSB_HOTPLUG_MATCH_ANY
    let code = unsafe libusb_hotplug_register_callback(
      context, Int32(wanted), 0, any, any, any,
      { _, device, event, user in
        guard let user = unsafe user, let device = unsafe device else { return 0 }
        unsafe recover(user, as: USBSystem.self).changed(device, event)
        return 0
      }, usbredir_evloop.context(of: self), nil)
    guard code != 0 else { return }
    guard code != LIBUSB_ERROR_NO_MEM.rawValue else {
      throw USBError(code: code, "cannot watch for arrivals")
    }
    log.warning("this libusb reports no arrivals: only devices that are plugged in now can be exported")
  }

  private func changed(_ device: OpaquePointer, _ event: libusb_hotplug_event) {
    isChanged = true
    let key = unsafe key(device)
    known.removeAll { $0.key == key }
    guard event == LIBUSB_HOTPLUG_EVENT_DEVICE_LEFT else { return }
    for open in openDevices where UInt16(open.bus) << 8 | UInt16(open.address) == key { open.left() }
  }

  private func reap() {
    events?.reap()
    guard isChanged else { return }
    isChanged = false
    observer?.devicesChanged()
  }
}
