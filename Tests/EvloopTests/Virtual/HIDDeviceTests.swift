// What HID devices say of themselves, and the requests that all of them answer or stall.
import Testing

@testable import usbredir_evloop

private let all: [HIDDescription] = [
  .keyboard, PointerKind.tablet.description, PointerKind.mouse.description, .echo,
]

struct HIDDescriptionTests {
  @Test func tablet() {
    #expect(
      PointerKind.tablet.description.device.configurationDescriptor(index: 0) == [
        9, 2, 34, 0, 1, 1, 0, 0xa0, 50,
        9, 4, 0, 0, 1, 3, 0, 0, 0,
        9, 0x21, 0x11, 0x01, 0, 1, 0x22, 63, 0,
        7, 5, 0x81, 3, 6, 0, 4,
      ])
  }

  @Test func mouse() {
    #expect(
      PointerKind.mouse.description.device.configurationDescriptor(index: 0) == [
        9, 2, 34, 0, 1, 1, 0, 0xa0, 50,
        9, 4, 0, 0, 1, 3, 1, 2, 0,
        9, 0x21, 0x11, 0x01, 0, 1, 0x22, 62, 0,
        7, 5, 0x81, 3, 4, 0, 4,
      ])
  }

  @Test func echo() {
    #expect(
      HIDDescription.echo.device.configurationDescriptor(index: 0) == [
        9, 2, 41, 0, 1, 1, 0, 0xa0, 50,
        9, 4, 0, 0, 2, 3, 0, 0, 0,
        9, 0x21, 0x11, 0x01, 0, 1, 0x22, 25, 0,
        7, 5, 0x81, 3, 64, 0, 1,
        7, 5, 0x01, 3, 64, 0, 1,
      ])
  }

  @Test(arguments: all.indices)
  func theParserReadsTheSameModel(index: Int) throws {
    let device = all[index].device
    let bytes = try #require(device.configurationDescriptor(index: 0))
    let model = DescriptorParser.model(
      deviceDescriptor: device.deviceDescriptor().span, configuration: bytes.span, speed: .full)
    #expect(model == device.model(configuration: 1))
  }

  @Test func noTwoAreTheSame() {
    let products = Set(all.map { $0.product } + [DeviceDescription.scripted.product])
    #expect(products.count == all.count + 1)
  }

  /// Walks the items and adds up what Input and Output items declare. HID 1.11, 6.2.2.2.
  @Test(arguments: all.indices)
  func theReportDescriptorDeclaresTheReport(index: Int) {
    let bytes = all[index].reportDescriptor
    var position = 0
    var size = 0
    var count = 0
    var depth = 0
    var bits = (input: 0, output: 0)
    while position < bytes.count {
      let length = [0, 1, 2, 4][Int(bytes[position] & 3)]
      let data = bytes[position + 1..<position + 1 + length].reversed().reduce(0) { $0 << 8 | Int($1) }
      switch bytes[position] & 0xfc {
      case 0x74: size = data
      case 0x94: count = data
      case 0x80: bits.input += size * count
      case 0x90: bits.output += size * count
      case 0xa0: depth += 1
      case 0xc0: depth -= 1
      default: break
      }
      position += 1 + length
    }
    #expect(position == bytes.count && depth == 0)
    #expect(bits.input == 8 * all[index].reportSize)
    // The keyboard's LEDs are one byte; who has no OUT endpoint has no output report either.
    #expect((bits.output > 0) == all[index].hasOutput && bits.output <= 8 * all[index].reportSize)
  }
}

struct HIDRequestTests {
  private let log = Log(level: .error)

  private func user(_ options: VirtualDeviceOptions) throws -> VirtualUser {
    let loop = try EventLoop()
    return VirtualUser(loop, try options.make(loop: loop, log: log))
  }

  @Test func theMouseKnowsTheBootProtocol() throws {
    let user = try user(.pointer(PointerOptions(kind: .mouse)))
    #expect(user.control(0xa1, 3, 0, 0, length: 1) == "80 completed 01")
    #expect(user.control(0x21, 0x0b, 0, 0, length: 0) == "00 completed")
    #expect(user.control(0xa1, 3, 0, 0, length: 1) == "80 completed 00")
    #expect(user.control(0x21, 0x0b, 2, 0, length: 0) == "00 stalled")
    user.device.perform(.reset)
    user.turn()
    #expect(user.control(0xa1, 3, 0, 0, length: 1) == "80 completed 01")
  }

  @Test(arguments: [VirtualDeviceOptions.pointer(PointerOptions(kind: .tablet)), .echo(EchoOptions())])
  func othersDoNot(options: VirtualDeviceOptions) throws {
    let user = try user(options)
    #expect(user.control(0xa1, 3, 0, 0, length: 1) == "80 stalled")
    #expect(user.control(0x21, 0x0b, 0, 0, length: 0) == "00 stalled")
  }

  @Test func whoHasNoOutputReportTakesNone() throws {
    let user = try user(.pointer(PointerOptions(kind: .mouse)))
    #expect(user.control(0x21, 9, 0x0200, 0, length: 1, data: [1]) == "00 stalled")
    #expect(user.control(0xa1, 1, 0x0200, 0, length: 1) == "80 stalled")
    #expect(user.control(0xa1, 1, 0x0100, 0, length: 4) == "80 completed 00000000")
    user.write(0x01, [1])
    user.turn()
    #expect(user.take() == ["01 refused"])
  }

  @Test func theEchoDoesNotRepeatItself() throws {
    let user = try user(.echo(EchoOptions()))
    #expect(user.control(0x21, 0x0a, 0x0100, 0, length: 0) == "00 stalled")
    #expect(user.control(0xa1, 2, 0, 0, length: 1) == "80 stalled")
  }

  @Test func aRepeatedReportTellsNoChangeTwice() throws {
    let events = try PointerStep.parse(commands: "press right; move 5 -6", for: .mouse)
    let user = try user(.pointer(PointerOptions(kind: .mouse, events: events)))
    for _ in 0..<2 { user.read(0x81) }
    user.run { user.events.count == 2 }
    #expect(user.take() == ["81 completed 02000000", "81 completed 0205fa00"])
    #expect(user.control(0xa1, 1, 0x0100, 0, length: 4) == "80 completed 02000000")
    _ = user.control(0x21, 0x0a, 0x0100, 0, length: 0)
    user.read(0x81)
    user.run { user.events.count == 1 }
    #expect(user.take() == ["81 completed 02000000"])
  }

  @Test func theTabletsReportDescriptor() throws {
    let user = try user(.pointer(PointerOptions(kind: .tablet)))
    #expect(user.control(0x81, 6, 0x2100, 0, length: 255) == "80 completed 092111010001223f00")
    #expect(
      user.control(0x81, 6, 0x2200, 0, length: 255)
        == "80 completed 05010902a1010901a1000509190129031500250175019503810275059501810105010930"
        + "0931150026ff7f75109502810209381581257f750895018106c0c0")
  }
}
