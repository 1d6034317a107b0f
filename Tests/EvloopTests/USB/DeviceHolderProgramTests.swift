// Who has a device: drivers by their names, and a program that really has a file open.
import CPosix
import Foundation
import Testing

@testable import usbredir_evloop

struct DeviceHolderProgramTests {
  @Test func driversAreNamedOnceAndUsbfsByItsProgram() throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "held-\(getpid())")
      .resolvingSymlinksInPath()
    try Data().write(to: path)
    defer { try? FileManager.default.removeItem(at: path) }
    let program = Process()
    program.executableURL = URL(filePath: "/bin/sleep")
    program.arguments = ["60"]
    program.standardInput = try FileHandle(forReadingFrom: path)
    try program.run()
    // Where signals are blocked it was started with them blocked.
    defer { kill(program.processIdentifier, SIGKILL) }
    let pid = "(pid \(program.processIdentifier))"
    let names = DeviceHolder.programs(with: path.path)
    #expect(names.count == 1)
    #expect(names.first?.hasSuffix(pid) == true)
    var info = USBDeviceInfo(
      bus: 250, address: 250, ports: [1], vendor: 1, product: 2, classCode: 0, speed: .low)
    info.interfaces = ["usbhid", nil, "usbhid", "usbfs"].enumerated().map {
      USBInterfaceInfo(number: UInt8($0.offset), classCode: 3, driver: $0.element)
    }
    #expect(DeviceHolder.names(info) == ["usbhid", "usbfs"])
  }
}
