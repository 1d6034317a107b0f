// Plugged-in devices for exports: finds the one a selector means, opens it, and remembers which are taken, so that
// of identical devices each export gets one of its own.
import CPosix

/// All exports' view of the USB system. Loop thread only.
final class USBDevices: USBSystemObserver {
  private let system: USBSystem
  private var sources: [USBDeviceSource] = []
  /// Bus and address of each device that an export has open.
  private var taken: [UInt16] = []

  init(_ loop: EventLoop, calls: BlockingCalls, log: Log) throws(USBError) {
    system = try USBSystem(loop: loop, log: log, calls: calls)
    system.observer = self
  }

  /// The source of the device that `selector` means.
  func source(_ selector: DeviceSelector) -> USBDeviceSource {
    let source = USBDeviceSource(selector, self)
    sources.append(source)
    return source
  }

  func devicesChanged() {
    for source in sources { source.changed?() }
  }

  fileprivate func find(_ selector: DeviceSelector) -> Result<USBDevice.Target, DeviceUnavailable> {
    if case .descriptor(let descriptor) = selector { return .success(.descriptor(descriptor)) }
    let fitting = system.devices().filter { selector.fits($0) }
    if let info = selector.choose(fitting, taken: { taken.contains($0.key) }) { return .success(.info(info)) }
    guard fitting.isEmpty || selector.isBeyond(fitting.count) else {
      return .failure(.refused("device \(selector.description) is in use by another export", mayPass: true))
    }
    return .failure(.absent("device \(selector.description) is not plugged in"))
  }

  fileprivate func open(
    _ target: USBDevice.Target, then: @escaping (Result<OpenDevice, DeviceUnavailable>) -> Void
  ) {
    var key: UInt16?
    if case .info(let info) = target { key = info.key }
    if let key { taken.append(key) }
    USBDevice.open(target, in: system) { [self] result in
      switch result {
      case .success(let device):
        device.onClosed = { [self] in release(key) }
        then(.success(OpenDevice(device: device)))
      case .failure(let error):
        release(key)
        then(.failure(.refused(error.description, mayPass: error.mayPass)))
      }
    }
  }

  private func release(_ key: UInt16?) {
    taken.removeAll { $0 == key }
  }
}

/// One export's device among them.
final class USBDeviceSource: DeviceSource {
  var changed: (() -> Void)?
  private let selector: DeviceSelector
  private let devices: Unowned<USBDevices>

  fileprivate init(_ selector: DeviceSelector, _ devices: USBDevices) {
    self.selector = selector
    self.devices = Unowned(devices)
  }

  var absence: DeviceUnavailable? {
    if case .failure(let reason) = devices.value.find(selector) { return reason }
    return nil
  }

  func open(then: @escaping (Result<OpenDevice, DeviceUnavailable>) -> Void) {
    switch devices.value.find(selector) {
    case .success(let target): devices.value.open(target, then: then)
    case .failure(let reason): then(.failure(reason))
    }
  }
}

extension DeviceSelector {
  /// True when the selector can mean this device; `nth` chooses among those that fit.
  func fits(_ info: USBDeviceInfo) -> Bool {
    switch self {
    case .id(let vendor, let product, let serial, _):
      info.vendor == vendor && info.product == product && (serial == nil || serial == info.serial)
    case .port(let bus, let ports): info.bus == bus && info.ports == ports
    case .address(let bus, let address): info.bus == bus && info.address == address
    case .descriptor, .virtual: false
    }
  }

  /// The device among those that fit (in order of bus and port path): the n-th, or the first that is not taken.
  func choose(_ fitting: [USBDeviceInfo], taken: (USBDeviceInfo) -> Bool) -> USBDeviceInfo? {
    if case .id(_, _, _, let nth?) = self {
      guard nth >= 1, nth <= fitting.count, !taken(fitting[nth - 1]) else { return nil }
      return fitting[nth - 1]
    }
    return fitting.first { !taken($0) }
  }

  /// True when fewer devices fit than `nth` asks for.
  fileprivate func isBeyond(_ count: Int) -> Bool {
    if case .id(_, _, _, let nth?) = self { return nth > count }
    return false
  }
}
