// An export's device where that is a virtual one.

extension VirtualDeviceOptions {
  /// Makes the device, for one export. `log` outlives it.
  func source(loop: EventLoop, log: Log) throws(VirtualDeviceError) -> any DeviceSource {
    VirtualDeviceSource(try make(loop: loop, log: log))
  }
}

/// A virtual device: it lives as long as its export and is there unless its script unplugged it.
private final class VirtualDeviceSource: DeviceSource {
  var changed: (() -> Void)?
  private let device: VirtualDevice

  init(_ device: VirtualDevice) {
    self.device = device
    device.onPlug = { [source = Unowned(self)] in source.value.changed?() }
  }

  var absence: DeviceUnavailable? { device.isPlugged ? nil : .absent("\(device.label) is unplugged") }

  func open(then: @escaping (Result<OpenDevice, DeviceUnavailable>) -> Void) {
    if let absence { return then(.failure(absence)) }
    then(.success(OpenDevice(device: device)))
  }
}
