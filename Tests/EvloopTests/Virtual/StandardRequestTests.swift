// Descriptors byte for byte, and every standard request of USB 2.0, 9.4, right and wrong.
import Testing

@testable import usbredir_evloop

struct KeyboardDescriptorTests {
  @Test func device() {
    #expect(
      DeviceDescription.keyboard.deviceDescriptor() == [
        18, 1, 0x10, 0x01, 0, 0, 0, 8, 0x09, 0x12, 0x01, 0x00, 0x00, 0x01, 1, 2, 3, 1,
      ])
  }

  @Test func configuration() {
    #expect(
      DeviceDescription.keyboard.configurationDescriptor(index: 0) == [
        9, 2, 41, 0, 1, 1, 0, 0xa0, 50,
        9, 4, 0, 0, 2, 3, 1, 1, 0,
        9, 0x21, 0x11, 0x01, 33, 1, 0x22, 63, 0,
        7, 5, 0x81, 3, 8, 0, 4,
        7, 5, 0x01, 3, 8, 0, 4,
      ])
    #expect(DeviceDescription.keyboard.configurationDescriptor(index: 1) == nil)
  }

  @Test func strings() {
    let description = DeviceDescription.keyboard
    #expect(description.stringDescriptor(0) == [4, 3, 0x09, 0x04])
    #expect(description.stringDescriptor(1) == [32, 3] + "usbredir-evloop".utf8.flatMap { [$0, 0] })
    #expect(description.stringDescriptor(2) == [34, 3] + "Virtual Keyboard".utf8.flatMap { [$0, 0] })
    #expect(description.stringDescriptor(3) == [4, 3, 0x31, 0])
    #expect(description.stringDescriptor(4) == nil)
  }

  @Test func aLongStringIsCut() {
    var description = DeviceDescription.keyboard
    description.productName = String(repeating: "ä", count: 200)
    #expect(description.stringDescriptor(2)?.count == 254)
    #expect(description.stringDescriptor(2)?.first == 254)
    description.productName = String(repeating: "🎹", count: 100)
    #expect(
      description.stringDescriptor(2) == [254, 3]
        + (0..<63).flatMap { _ in [0x3c, 0xd8, 0xb9, 0xdf] as [UInt8] })
    description.productName += "ä"
    #expect(description.stringDescriptor(2)?.count == 254)
    description.productName = "ä" + String(repeating: "🎹", count: 100)
    #expect(description.stringDescriptor(2)?.count == 252, "no half of a pair")
  }

  @Test(arguments: [DeviceDescription.keyboard, .scripted])
  func theParserReadsTheSameModel(_ description: DeviceDescription) throws {
    for (index, configuration) in description.configurations.enumerated() {
      let bytes = try #require(description.configurationDescriptor(index: index))
      let model = DescriptorParser.model(
        deviceDescriptor: description.deviceDescriptor().span, configuration: bytes.span, speed: .full)
      #expect(model == description.model(configuration: configuration.value))
    }
  }

  @Test func model() {
    let model = DeviceDescription.keyboard.model(configuration: 1)
    #expect(model.vendor == 0x1209 && model.product == 1 && model.speed == .full)
    #expect(model.configuration == 1)
    let table = EndpointTable(model)
    for address: UInt8 in [0x81, 0x01] {
      let slot = table[EndpointAddress(rawValue: address)]
      #expect(slot == EndpointSlot(type: .interrupt, interval: 4, interface: 0, maxPacketSize: 8))
    }
  }
}

struct StandardRequestTests {
  private let user: VirtualUser
  private let device: ScriptedDevice

  init() throws {
    let loop = try EventLoop()
    device = ScriptedDevice(loop: loop)
    user = VirtualUser(loop, device)
  }

  /// requestType, request, value, index, length, what comes back.
  @Test(
    arguments: [
      (0x80, 0, 0, 0, 2, "80 completed 0000"),  // GET_STATUS
      (0x81, 0, 0, 0, 2, "80 completed 0000"),
      (0x81, 0, 0, 9, 2, "80 stalled"),
      (0x82, 0, 0, 0x81, 2, "80 completed 0000"),
      (0x82, 0, 0, 0x00, 2, "80 completed 0000"),
      (0x82, 0, 0, 0x84, 2, "80 stalled"),
      (0x82, 0, 0, 0x181, 2, "80 stalled"),
      (0x82, 0, 0, 0x91, 2, "80 stalled"),
      (0x00, 1, 0, 0, 0, "00 stalled"),  // CLEAR_FEATURE
      (0x00, 1, 1, 0, 0, "00 completed"),
      (0x01, 1, 0, 0, 0, "00 stalled"),
      (0x02, 1, 0, 0x81, 0, "00 completed"),
      (0x02, 1, 0, 0x85, 0, "00 stalled"),
      (0x02, 1, 1, 0x81, 0, "00 stalled"),
      (0x00, 3, 2, 0, 0, "00 stalled"),  // SET_FEATURE(TEST_MODE)
      (0x02, 3, 0, 0x00, 0, "00 stalled"),
      (0x00, 5, 7, 0, 0, "00 completed"),  // SET_ADDRESS
      (0x80, 6, 0x0100, 0, 18, "80 completed 120100020000004009120200000101020302"),
      (0x80, 6, 0x0100, 0, 8, "80 completed 1201000200000040"),
      (0x80, 6, 0x0201, 0, 9, "80 completed 09021900010200c032"),
      (0x80, 6, 0x0202, 0, 9, "80 stalled"),
      (0x80, 6, 0x0300, 0, 255, "80 completed 04030904"),
      (0x80, 6, 0x0309, 0x0409, 255, "80 stalled"),
      (0x80, 6, 0x0600, 0, 10, "80 stalled"),  // device qualifier
      (0x80, 6, 0x0700, 0, 9, "80 stalled"),  // other speed
      (0x80, 6, 0x0f00, 0, 5, "80 stalled"),  // BOS
      (0x00, 7, 0x0100, 0, 0, "00 stalled"),  // SET_DESCRIPTOR
      (0x80, 8, 0, 0, 1, "80 completed 01"),  // GET_CONFIGURATION
      (0x00, 9, 2, 0, 0, "00 completed"),
      (0x00, 9, 3, 0, 0, "00 stalled"),
      (0x00, 9, 0x0101, 0, 0, "00 stalled"),
      (0x81, 10, 0, 1, 1, "80 completed 00"),  // GET_INTERFACE
      (0x81, 10, 0, 2, 1, "80 stalled"),
      (0x01, 11, 1, 1, 0, "00 completed"),
      (0x01, 11, 2, 1, 0, "00 stalled"),
      (0x01, 11, 0, 2, 0, "00 stalled"),
      (0x82, 12, 0, 0x83, 2, "80 stalled"),  // SYNCH_FRAME
      (0x80, 99, 0, 0, 2, "80 stalled"),
      (0xc0, 0, 0, 0, 2, "80 stalled"),
      (0x21, 9, 0x0200, 0, 0, "00 stalled"),
    ] as [(UInt8, UInt8, UInt16, UInt16, UInt16, String)])
  func each(_ row: (UInt8, UInt8, UInt16, UInt16, UInt16, String)) {
    #expect(user.control(row.0, row.1, row.2, row.3, length: row.4) == row.5)
  }

  @Test func configurationChanges() {
    _ = user.control(0x01, 11, 1, 1, length: 0)
    #expect(user.control(0x81, 10, 0, 1, length: 1) == "80 completed 01")
    _ = user.control(0x00, 9, 1, 0, length: 0)
    #expect(user.control(0x81, 10, 0, 1, length: 1) == "80 completed 00")
    _ = user.control(0x00, 9, 2, 0, length: 0)
    #expect(user.control(0x80, 8, 0, 0, length: 1) == "80 completed 02")
    #expect(user.control(0x80, 0, 0, 0, length: 2) == "80 completed 0100", "self-powered")
    #expect(user.control(0x00, 3, 1, 0, length: 0) == "00 stalled", "no remote wakeup here")
    _ = user.control(0x00, 9, 0, 0, length: 0)
    #expect(user.control(0x80, 8, 0, 0, length: 1) == "80 completed 00")
    #expect(user.control(0x81, 0, 0, 0, length: 2) == "80 stalled")
  }

  @Test func aConfigurationThatChangesCancelsWhatWaits() {
    user.read(0x81)
    user.turn()
    #expect(user.control(0x00, 9, 2, 0, length: 0) == "81 cancelled")
    #expect(user.take() == ["00 completed"])
  }

  @Test func remoteWakeup() {
    _ = user.control(0x00, 3, 1, 0, length: 0)
    #expect(user.control(0x80, 0, 0, 0, length: 2) == "80 completed 0200")
    device.perform(.reset)
    user.turn()
    #expect(user.control(0x80, 0, 0, 0, length: 2) == "80 completed 0000")
  }

  @Test func endpointHalt() {
    #expect(user.control(0x02, 3, 0, 0x81, length: 0) == "00 completed")
    #expect(user.control(0x82, 0, 0, 0x81, length: 2) == "80 completed 0100")
    user.read(0x81)
    user.turn()
    #expect(user.take().last == "81 stalled")
    #expect(user.control(0x02, 1, 0, 0x81, length: 0) == "00 completed")
    #expect(user.control(0x82, 0, 0, 0x81, length: 2) == "80 completed 0000")
  }
}
