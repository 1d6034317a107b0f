// What is said of USB devices without opening one: speeds, names, and a machine without any.
import CPosix
import Testing

@testable import usbredir_evloop

struct USBTextTests {
  @Test(
    arguments: [
      // LIBUSB_SPEED_*, bcdUSB, bMaxPacketSize0. B2.3.
      (1, 0x0110, 8, Speed.low), (2, 0x0200, 64, .full), (3, 0x0200, 64, .high), (4, 0x0300, 9, .super),
      (5, 0x0310, 9, .super), (6, 0x0320, 9, .super), (0, 0x0320, 9, .super), (0, 0x0320, 64, .unknown),
      (0, 0x0210, 9, .unknown), (-1, 0x0110, 8, .unknown),
    ] as [(Int32, UInt16, UInt8, Speed)])
  func speeds(_ libusb: Int32, _ usbVersion: UInt16, _ maxPacketSize0: UInt8, _ speed: Speed) {
    #expect(Speed(libusb: libusb, usbVersion: usbVersion, maxPacketSize0: maxPacketSize0) == speed)
  }

  @Test func namesOfADevice() {
    var info = USBDeviceInfo(
      bus: 1, address: 4, ports: [2, 3], vendor: 0x046d, product: 0xc31c, classCode: 0, speed: .low)
    #expect(info.nodePath == "/dev/bus/usb/001/004")
    #expect(info.sysfsPath == "/sys/bus/usb/devices/1-2.3/")
    #expect(info.label == "046d:c31c at 1-2.3")
    info.productName = "USB Keyboard"
    #expect(info.label == "046d:c31c \"USB Keyboard\" at 1-2.3")
    info.productName = "a\nb\u{1b}[2J\u{9b}m\u{7f}é"
    #expect(info.label == "046d:c31c \"a?b?[2J?m?é\" at 1-2.3", "the device chose its name")
    info.ports = []
    #expect(info.port == "usb1")
    info.bus = 12
    info.address = 123
    #expect(info.nodePath == "/dev/bus/usb/012/123")
  }

  @Test func anErrorNamesWhatFailed() {
    #expect(USBError(code: -6, "claim").description == "claim: LIBUSB_ERROR_BUSY")
    #expect(USBError(code: -6, "claim").kind == .busy)
    #expect(USBError(code: -4, "claim").kind == .gone)
    #expect(!USBError(code: -4, "claim").mayPass)
    let error = USBError.opening("node", "/nonexistent", vendor: 1, product: 2, code: EIO)
    #expect(error.description == "cannot open node: Input/output error")
  }

  @Test func noDescriptorLeftNamesTheLimit() {
    let opening = USBError.opening("node", "/nonexistent", vendor: 1, product: 2, code: EMFILE)
    #expect(opening.description == "cannot open node: Too many open files; raise the limit (ulimit -n)")
    let starting = USBError.starting("node", code: -99, reason: EMFILE)
    #expect(starting.description == "libusb_init for node: Too many open files; raise the limit (ulimit -n)")
    let other = USBError.starting("node", code: -99, reason: EIO)
    #expect(other.description == "libusb_init for node: LIBUSB_ERROR_OTHER")
    let noThread = USBError.starting("node", code: -99, reason: EAGAIN)
    #expect(
      noThread.description
        == "libusb_init for node: Resource temporarily unavailable; raise the limit (ulimit -u)")
    #expect(USBError.starting("node", code: -11, reason: EAGAIN).mayPass)
  }

  @Test func aDescriptorThatIsNoDeviceIsRefused() throws {
    let loop = try EventLoop()
    let calls = try BlockingCalls(loop)
    var lines: [String] = []
    let system = try USBSystem(
      loop: loop, log: Log(level: .debug) { _, text in lines.append(text) }, calls: calls)
    // On a machine without devices it starts all the same, and says so once.
    #expect(lines.count == (try system.devices().isEmpty ? 1 : 0))
    let descriptor = unsafe posixOpen("/dev/null", Int32(O_RDWR | O_CLOEXEC), 0)
    defer { close(descriptor) }
    var outcome: Result<USBDevice, USBError>?
    USBDevice.open(.descriptor(descriptor), in: system) { outcome = $0 }
    calls.drain()
    guard case .failure(let error) = try #require(outcome) else {
      Issue.record("/dev/null is no USB device")
      return
    }
    let advice = "; it must be a usbfs node, open to write"
    #expect(
      error.description == "cannot use descriptor \(descriptor) as a USB device\(advice): LIBUSB_ERROR_IO")
  }
}
