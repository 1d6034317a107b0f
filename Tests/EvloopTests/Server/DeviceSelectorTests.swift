// Which plugged-in device a selector means, of several that look alike, and of those that others have.
import Testing

@testable import usbredir_evloop

struct DeviceSelectorTests {
  /// In the order of discovery: bus and port path.
  private let devices = [
    device(1, 2, [1], 0x046d, 0xc31c, nil), device(1, 7, [2, 3], 0x046d, 0xc31c, "A"),
    device(1, 5, [4], 0x1209, 0x0001, "A"), device(2, 7, [1], 0x046d, 0xc31c, "B"),
    device(2, 8, [1, 2], 0x046d, 0xc31c, "A"),
  ]

  private static func device(
    _ bus: UInt8, _ address: UInt8, _ ports: [UInt8], _ vendor: UInt16, _ product: UInt16, _ serial: String?
  ) -> USBDeviceInfo {
    USBDeviceInfo(
      bus: bus, address: address, ports: ports, vendor: vendor, product: product, classCode: 0, speed: .full,
      serial: serial)
  }

  private static func id(_ serial: String? = nil, nth: Int? = nil) -> DeviceSelector {
    .id(vendor: 0x046d, product: 0xc31c, serial: serial, nth: nth)
  }

  /// The port of the device, or why there is none.
  private func choice(_ selector: DeviceSelector, taken: [String] = []) -> String {
    switch selector.choose(devices, taken: { taken.contains($0.port) }) {
    case .success(let info): info.port
    case .failure(.absent): "absent"
    case .failure(.refused(_, let mayPass)): mayPass ? "taken" : "refused"
    }
  }

  @Test(
    arguments: [
      (id(), "1-1"), (id("A"), "1-2.3"), (id("B"), "2-1"), (id("C"), "absent"), (id(""), "absent"),
      (id(nth: 1), "1-1"), (id(nth: 3), "2-1"), (id(nth: 4), "2-1.2"), (id(nth: 5), "absent"),
      (id(nth: 0), "absent"), (id("A", nth: 2), "2-1.2"), (id("A", nth: 3), "absent"),
      (.id(vendor: 0x046d, product: 0x0001, serial: nil, nth: nil), "absent"),
      (.port(bus: 1, ports: [2, 3]), "1-2.3"), (.port(bus: 1, ports: [2]), "absent"),
      (.port(bus: 2, ports: [1]), "2-1"), (.port(bus: 1, ports: [1, 2]), "absent"),
      (.address(bus: 1, address: 7), "1-2.3"), (.address(bus: 2, address: 7), "2-1"),
      (.address(bus: 1, address: 8), "absent"), (.descriptor(3), "absent"),
    ] as [(DeviceSelector, String)])
  func chosen(_ selector: DeviceSelector, _ expected: String) {
    #expect(choice(selector) == expected)
  }

  @Test(
    arguments: [
      (id(), ["1-1"], "1-2.3"), (id(), ["1-1", "1-2.3", "2-1"], "2-1.2"),
      (id(), ["1-1", "1-2.3", "2-1", "2-1.2"], "taken"), (id("A"), ["1-2.3"], "2-1.2"),
      (id("B"), ["2-1"], "taken"),
      // The n-th is a place, whoever has the others.
      (id(nth: 2), ["1-1"], "1-2.3"), (id(nth: 2), ["1-2.3"], "taken"), (id(nth: 9), ["1-1"], "absent"),
      (.port(bus: 1, ports: [1]), ["1-1"], "taken"), (.address(bus: 1, address: 2), ["1-1"], "taken"),
    ] as [(DeviceSelector, [String], String)])
  func chosenOfThoseLeft(_ selector: DeviceSelector, _ taken: [String], _ expected: String) {
    #expect(choice(selector, taken: taken) == expected)
  }

  @Test("several exports of the same id each get one of their own")
  func oneEach() {
    var taken: [String] = []
    for _ in 0..<4 { taken.append(choice(DeviceSelectorTests.id(), taken: taken)) }
    #expect(taken == ["1-1", "1-2.3", "2-1", "2-1.2"])
    #expect(choice(DeviceSelectorTests.id(), taken: taken) == "taken")
  }

  @Test func lines() {
    let selector = DeviceSelectorTests.id("X")
    guard case .failure(let absent) = selector.choose(devices, taken: { _ in false }),
      case .failure(let taken) = DeviceSelectorTests.id("B").choose(devices, taken: { _ in true })
    else {
      Issue.record("there is a device")
      return
    }
    #expect(absent.description == "device id=046d:c31c,serial=X is not plugged in")
    #expect(taken.description == "device id=046d:c31c,serial=B is in use by another export")
  }
}
