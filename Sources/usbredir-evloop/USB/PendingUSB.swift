// Placeholder until the USB folder lands: [usb] deletes this file with its first push; these are the names Server/ uses.
struct USBError: Error, CustomStringConvertible { var mayPass = false; var description: String { "" } }
protocol USBSystemObserver: AnyObject { func devicesChanged() }
struct USBDeviceInfo { var bus: UInt8, address: UInt8, ports: [UInt8], vendor: UInt16, product: UInt16, serial: String? }
final class USBSystem { var observer: (any USBSystemObserver)?; init(loop: EventLoop, log: Log, calls: BlockingCalls) throws(USBError) {}; func devices() -> [USBDeviceInfo] { [] } }
final class USBDevice: Device {
  enum Target { case info(USBDeviceInfo), descriptor(Int32) }
  var onClosed: (() -> Void)?
  var model = DeviceModel(); var label: String { "" }
  var owner: (any DeviceOwner)?
  func makeTransfer(isoPackets: Int) -> Transfer { Transfer() }
  func submit(_ transfer: Transfer) {}
  func cancel(_ transfer: Transfer) {}
  func perform(_ call: DeviceCall) {}
  func close(_ closed: @escaping () -> Void) {}
  static func open(_ t: Target, loop: EventLoop, calls: BlockingCalls, log: Log, then: @escaping (Result<USBDevice, USBError>) -> Void) {}
}
