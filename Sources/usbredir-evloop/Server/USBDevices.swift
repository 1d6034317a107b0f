// Plugged-in devices for exports: finds the one a selector means, opens it, and remembers which are taken, so
// that of identical devices each export gets one of its own.
import CPosix

/// All exports' view of the USB system. Loop thread only.
final class USBDevices: USBSystemObserver {
  private let system: USBSystem
  private var sources: [USBDeviceSource] = []
  /// Bus and address of each device that an export has open.
  private var taken: [UInt16] = []
  private var lookAgain: Work?

  init(_ loop: EventLoop, calls: BlockingCalls, log: Log) throws(USBError) {
    system = try USBSystem(loop: loop, log: log, calls: calls)
    system.observer = self
    // Not from within: the export that gave it back has not finished with its session yet.
    lookAgain = Work(on: loop.reaps) { [devices = Unowned(self)] in devices.value.devicesChanged() }
  }

  deinit {
    lookAgain?.cancel()
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
    let present: [USBDeviceInfo]
    do throws(USBError) {
      present = try system.devices()
    } catch {
      return .failure(.refused(error.description, mayPass: error.mayPass))
    }
    switch selector.choose(present, taken: { taken.contains($0.key) }) {
    case .success(let info): return .success(.info(info))
    case .failure(let reason): return .failure(reason)
    }
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
        device.onClosed = { [self] in givenBack(key) }
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

  /// An export has given the device back: another one may have waited for it.
  private func givenBack(_ key: UInt16?) {
    release(key)
    lookAgain?.schedule()
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

  /// Of the devices that fit (in order of bus and port path) the n-th, or the first that is not taken.
  func choose(
    _ devices: [USBDeviceInfo], taken: (USBDeviceInfo) -> Bool
  ) -> Result<USBDeviceInfo, DeviceUnavailable> {
    var fitting = devices.filter { fits($0) }
    if case .id(_, _, _, let nth?) = self {
      fitting = nth >= 1 && nth <= fitting.count ? [fitting[nth - 1]] : []
    }
    if let free = fitting.first(where: { !taken($0) }) { return .success(free) }
    if fitting.isEmpty { return .failure(.absent("device " + description + " is not plugged in")) }
    // Nobody tells when the other one gives it back.
    return .failure(.refused("device " + description + " is in use by another export", mayPass: true))
  }
}
