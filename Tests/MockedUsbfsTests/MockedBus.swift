// A bus of mocked devices, and the loop that our USB code runs in on it.
import CMockedUsbfs
import CPosix
import Testing

@testable import usbredir_evloop

/// umockdev answers only in a process that it was loaded into.
let isPreloaded: Bool = {
  guard let value = unsafe getenv("LD_PRELOAD") else { return false }
  return unsafe String(cString: value).contains("umockdev")
}()

/// One for all tests: libusb enumerates for the first context of a process alone.
@safe final class MockedBus: USBSystemObserver {
  nonisolated(unsafe) static let shared = MockedBus()

  let loop: EventLoop
  let calls: BlockingCalls
  let system: USBSystem
  private(set) var changes = 0
  private(set) var lines: [String] = []
  fileprivate let testbed: UnsafeMutablePointer<UMockdevTestbed>
  private var devices: UInt8 = 0
  private var number: UInt8 = 1

  private init() {
    do {
      unsafe testbed = umockdev_testbed_new()
      loop = try EventLoop(pollFiles: true)
      calls = try BlockingCalls(loop)
      var said: [String] = []
      let log = Log(level: .debug) { _, text in said.append(text) }
      system = try USBSystem(loop: loop, log: log, calls: calls)
      lines = said
      system.observer = self
    } catch {
      preconditionFailure("the mocked bus does not start: \(error)")
    }
  }

  func devicesChanged() {
    changes += 1
  }

  /// Turns the loop until `condition` holds, for a minute at most.
  func run(_ sourceLocation: SourceLocation = #_sourceLocation, until condition: () -> Bool) {
    let deadline = monotonicNanoseconds() + 60_000_000_000
    var tick: Timer?
    tick = Timer(loop) { tick?.start(milliseconds: 5) }
    tick?.start(milliseconds: 5)
    while !condition() {
      guard monotonicNanoseconds() < deadline else {
        Issue.record("nothing happened for a minute", sourceLocation: sourceLocation)
        break
      }
      turn()
    }
    tick = nil
  }

  /// One turn of the loop, with everything that belongs to it.
  func turn() {
    loop.turn()
    loop.reaps.run()
    loop.flushes.run()
  }

  /// A bus has room for so many devices; then comes the next one.
  private static let devicesPerBus: UInt8 = 100

  /// Where the next device is plugged in, which is a port of its own; addresses begin with 4.
  func nextPlace() -> (bus: UInt8, address: UInt8) {
    if devices == MockedBus.devicesPerBus { (devices, number) = (0, number + 1) }
    devices += 1
    return (number, devices + 3)
  }
}

/// A mocked device: plugged in when it is made, pulled out by `unplug`.
@safe final class MockedDevice {
  let busNumber: UInt8
  let address: UInt8
  let port: UInt8
  let node: String
  private let device: UnsafeMutablePointer<CMockedUsbfs.MockedDevice>
  private let testbed: UnsafeMutablePointer<UMockdevTestbed>
  private var isPlugged = true

  init(
    vendor: UInt16 = 0x046d, product: UInt16 = 0xc31c, drivers: [String] = ["usbhid", ""]
  ) {
    let bus = unsafe MockedBus.shared
    (busNumber, address) = bus.nextPlace()
    port = address
    unsafe testbed = bus.testbed
    node = "/dev/bus/usb/" + digits3(busNumber) + "/" + digits3(address)
    unsafe device = mockedDeviceNew(testbed, node, Int32(address), 3)
    for (index, driver) in drivers.enumerated() where !driver.isEmpty {
      unsafe mockedDeviceDriver(device, UInt32(index), driver)
    }
    let description = describe(vendor: vendor, product: product, drivers: drivers)
    var error: UnsafeMutablePointer<GError>?
    let added = unsafe umockdev_testbed_add_from_string(testbed, description, &error)
    if added == 0, let error = unsafe error {
      Issue.record("\(unsafe String(cString: error.pointee.message))")
    }
  }

  private var sysfsName: String { "usb\(busNumber)/\(busNumber)-\(port)" }
  var path: String { "/sys/devices/" + sysfsName }

  /// What enumeration says of it.
  var info: USBDeviceInfo? {
    unsafe (try? MockedBus.shared.system.devices())?.first { $0.bus == busNumber && $0.address == address }
  }

  func fail(_ request: MockedRequest, _ error: Int32, count: Int32 = 1, after passes: Int32 = 0) {
    unsafe mockedDeviceFail(device, request, error, count, passes)
  }

  func hold(_ request: MockedRequest) {
    unsafe mockedDeviceHold(device, request)
  }

  var isHolding: Bool { unsafe mockedDeviceHolds(device) != 0 }

  func letGo() {
    unsafe mockedDeviceLetGo(device)
  }

  /// The oldest IN transfer of the endpoint (behind `skip` older ones) ends, or the next one as soon as it is posted.
  func answer(_ endpoint: UInt8, skip: Int32 = 0, status: Int32 = 0, _ bytes: [UInt8]) {
    let isPlanned = unsafe mockedDeviceAnswer(device, endpoint, skip, status, bytes, Int32(bytes.count))
    #expect(isPlanned != 0, "too many answers wait")
  }

  /// As `answer`, for a transfer that brings nothing; `taken` bytes of an OUT transfer went out.
  func finish(_ endpoint: UInt8, skip: Int32 = 0, status: Int32 = 0, taken: Int32 = 0) {
    let isPlanned = unsafe mockedDeviceAnswer(device, endpoint, skip, status, nil, taken)
    #expect(isPlanned != 0, "too many answers wait")
  }

  /// A host controller that takes no URB over 16 KiB.
  func takesShortURBs() {
    unsafe mockedDeviceTakesShortURBs(device)
  }

  /// The host controller has no more bulk streams than these.
  func hasStreams(_ count: Int32) {
    unsafe mockedDeviceStreams(device, count)
  }

  /// The oldest isochronous IN transfer of the endpoint ends with these packets.
  func answerPackets(_ endpoint: UInt8, _ packets: [(status: Int32, bytes: [UInt8])]) {
    unsafe mockedDeviceAnswerPackets(
      device, endpoint, Int32(packets.count), packets.map { $0.status },
      packets.map { Int32($0.bytes.count) },
      packets.flatMap { $0.bytes })
  }

  /// The oldest isochronous OUT transfer of the endpoint ends; so many bytes of each packet went out.
  func finishPackets(_ endpoint: UInt8, _ packets: [(status: Int32, taken: Int32)]) {
    unsafe mockedDeviceAnswerPackets(
      device, endpoint, Int32(packets.count), packets.map { $0.status }, packets.map { $0.taken }, nil)
  }

  func dataWhileDiscarded(_ endpoint: UInt8, _ bytes: [UInt8]) {
    unsafe mockedDeviceDiscardData(device, endpoint, bytes, Int32(bytes.count))
  }

  var posted: Int { unsafe Int(mockedDevicePosted(device)) }

  func isBound(_ interface: UInt32) -> Bool {
    unsafe mockedDeviceIsBound(device, interface) != 0
  }

  /// The requests since the last call.
  func takeLog() -> [String] {
    guard let text = unsafe mockedDeviceTakeLog(device) else { return [] }
    defer { unsafe free(text) }
    return unsafe String(cString: text).split(separator: "\n").map { String($0) }
  }

  /// Out of the bus, while it may still be open.
  func unplug() {
    guard isPlugged else { return }
    isPlugged = false
    unsafe mockedDeviceUnplug(device)
    unsafe umockdev_testbed_uevent(testbed, path, "remove")
  }

  /// The kernel has no configuration of it: as long as nobody sets one, and when it is being unplugged.
  func loseConfiguration() {
    unsafe umockdev_testbed_set_attribute(testbed, path, "bConfigurationValue", "")
  }

  /// The plug is pulled at that request, from 0; nobody tells by a uevent. -1: at none.
  func unplug(at step: Int) {
    unsafe mockedDeviceUnplugAt(device, Int32(step))
  }

  /// Requests so far, but for reaps.
  var steps: Int { unsafe Int(mockedDeviceSteps(device)) }

  /// The plug is out.
  var isGone: Bool { unsafe mockedDeviceIsGone(device) != 0 }

  private func describe(vendor: UInt16, product: UInt16, drivers: [String]) -> String {
    let bytes = Descriptors.node(vendor: vendor, product: product)
    let node = "bus/usb/\(digits3(busNumber))/\(digits3(address))"
    var text = "P: /devices/\(sysfsName)\nN: \(node)=\(hexText(bytes))\n"
    text += "E: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\nE: BUSNUM=\(digits3(busNumber))\n"
    text += "E: DEVNUM=\(digits3(address))\nE: DEVNAME=/dev/\(node)\n"
    text +=
      "A: busnum=\(busNumber)\\n\nA: devnum=\(address)\\n\nA: speed=480\\n\nA: bConfigurationValue=1\\n\n"
    text += "A: manufacturer=Example\\n\nA: product=USB Keyboard\\n\nA: serial=K\(address)\\n\n"
    text += "H: descriptors=\(hexText(bytes))\n\n"
    for (index, driver) in drivers.enumerated() {
      text +=
        "P: /devices/\(sysfsName)/\(busNumber)-\(port):1.\(index)\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_interface\n"
      text += "A: bInterfaceNumber=0\(index)\\n\nA: bInterfaceClass=\(index == 0 ? "03" : "ff")\\n\n"
      if !driver.isEmpty { text += "L: driver=../../../../bus/usb/drivers/\(driver)\n" }
      text += "\n"
    }
    return text
  }
}

/// What the mocked devices say of themselves.
enum Descriptors {
  static func node(vendor: UInt16, product: UInt16) -> [UInt8] {
    let device: [UInt8] = [
      18, 1, 0x00, 0x02, 0, 0, 0, 64, UInt8(vendor & 0xff), UInt8(vendor >> 8), UInt8(product & 0xff),
      UInt8(product >> 8), 0, 1, 1, 2, 3, 2,
    ]
    return device + first + second
  }

  /// Configuration 1: a keyboard, and an interface whose setting 1 has bulk endpoints and an interrupt OUT.
  static let first: [UInt8] = [
    9, 2, 64, 0, 2, 1, 0, 0xa0, 50,
    9, 4, 0, 0, 1, 3, 1, 1, 0,
    7, 5, 0x81, 3, 8, 0, 4,
    9, 4, 1, 0, 0, 0xff, 0, 0, 0,
    9, 4, 1, 1, 3, 0xff, 0, 0, 0,
    7, 5, 0x82, 2, 0, 2, 0,
    7, 5, 0x02, 2, 0, 2, 0,
    7, 5, 0x03, 3, 64, 0, 1,
  ]

  /// Configuration 2: one interface.
  static let second: [UInt8] = [
    9, 2, 18, 0, 1, 2, 0, 0x80, 50,
    9, 4, 0, 0, 0, 0xfe, 0, 0, 0,
  ]
}

private func digits3(_ value: UInt8) -> String {
  let text = String(value)
  return String(repeating: "0", count: 3 - text.count) + text
}

private func hexText(_ bytes: [UInt8]) -> String {
  Hex.text(bytes.span).uppercased()
}
