// Descriptors as devices send them, good and bad, and what is made of them (B2.4, B2.5).
import Testing

@testable import usbredir_evloop

private let device: [UInt8] = [
  18, 1, 0x00, 0x02, 0, 0, 0, 64, 0x6d, 0x04, 0x1c, 0xc3, 0x10, 0x01, 1, 2, 0, 2,
]

/// A keyboard with a second interface, number 3, that has two settings.
private let keyboard: [UInt8] = [
  9, 2, 73, 0, 2, 1, 0, 0xa0, 45,
  9, 4, 0, 0, 1, 3, 1, 1, 0,
  9, 0x21, 0x10, 0x01, 0, 1, 0x22, 65, 0,
  7, 5, 0x81, 3, 8, 0, 10,
  9, 4, 3, 0, 0, 0xff, 1, 2, 0,
  9, 4, 3, 2, 2, 0xff, 1, 3, 0,
  9, 5, 0x02, 1, 0x00, 0x14, 1, 0, 0,
  7, 5, 0x82, 2, 0x00, 0x02, 0,
  5, 0x41, 1, 2, 3,
]

private let superSpeed: [UInt8] = [
  9, 2, 60, 0, 1, 2, 0, 0x80, 50,
  9, 4, 0, 0, 3, 8, 6, 0x62, 0,
  7, 5, 0x81, 2, 0x00, 0x04, 0,
  6, 0x30, 15, 4, 0, 0,
  7, 5, 0x83, 1, 0x00, 0x04, 1,
  6, 0x30, 3, 0x82, 0x34, 0x12,
  8, 0x31, 0, 0, 0x00, 0x80, 0x01, 0x00,
  8, 5, 0x04, 3, 0x40, 0x00, 4, 99,
]

private func parse(_ configuration: [UInt8], speed: Speed = .high) -> DeviceModel {
  DescriptorParser.model(deviceDescriptor: device.span, configuration: configuration.span, speed: speed)
}

/// The configuration `head` with `rest` behind it and the length that belongs to both.
private func configuration(_ rest: [UInt8], value: UInt8 = 1) -> [UInt8] {
  let length = UInt16(9 + rest.count)
  return [9, 2, UInt8(length & 0xff), UInt8(length >> 8), 1, value, 0, 0x80, 50] + rest
}

struct DescriptorParserTests {
  @Test func deviceDescriptor() {
    let model = parse([])
    #expect(
      model
        == DeviceModel(
          speed: .high, vendor: 0x046d, product: 0xc31c, release: 0x0110, usbVersion: 0x0200,
          maxPacketSize0: 64))
  }

  @Test func interfacesAlternateSettingsAndEndpoints() {
    let model = parse(keyboard)
    #expect(model.configuration == 1)
    #expect(model.interfaces.map(\.number) == [0, 3])
    #expect(model.interfaces.map(\.current) == [0, 0])
    #expect(
      model.interfaces[0].alternateSettings == [
        AlternateSetting(
          number: 0, classCode: 3, subclass: 1, protocol: 1,
          endpoints: [
            EndpointModel(
              address: EndpointAddress(rawValue: 0x81), type: .interrupt, rawMaxPacketSize: 8, interval: 10)
          ])
      ])
    // Settings may have gaps, and audio's nine bytes are an endpoint descriptor too.
    #expect(model.interfaces[1].alternateSettings.map(\.number) == [0, 2])
    #expect(
      model.interfaces[1].alternateSettings[1].endpoints == [
        EndpointModel(
          address: EndpointAddress(rawValue: 0x02), type: .isochronous, rawMaxPacketSize: 0x1400, interval: 1),
        EndpointModel(
          address: EndpointAddress(rawValue: 0x82), type: .bulk, rawMaxPacketSize: 512, interval: 0),
      ])
  }

  @Test func superSpeedCompanions() {
    let endpoints = parse(superSpeed, speed: .super).interfaces[0].alternateSettings[0].endpoints
    #expect(endpoints.map(\.maxBurst) == [15, 3, 0])
    #expect(endpoints.map(\.companionAttributes) == [4, 0x82, 0])
    #expect(endpoints.map(\.bytesPerInterval) == [0, 0x1234, 0])
    #expect(endpoints.map(\.isoBytesPerInterval) == [0, 0x18000, 0])
  }

  @Test func theConfigurationInForceIsChosenByItsValue() {
    let node = device + keyboard + superSpeed
    let model = DescriptorParser.model(descriptors: node.span, configuration: 2, speed: .super)
    #expect(model.configuration == 2)
    #expect(model.interfaces.map { $0.alternateSettings[0].classCode } == [8])
    #expect(DescriptorParser.model(descriptors: node.span, configuration: 1, speed: .high) == parse(keyboard))
  }

  @Test func unconfiguredHasNoInterfaces() {
    let node = device + keyboard
    let model = DescriptorParser.model(descriptors: node.span, configuration: 0, speed: .high)
    #expect(model == parse([]))
    // In force, but not among the descriptors: what there is to say of it is its number.
    let unknown = DescriptorParser.model(descriptors: node.span, configuration: 7, speed: .high)
    #expect(unknown.configuration == 7)
    #expect(unknown.interfaces.isEmpty)
  }

  @Test func anInterfaceWithoutSettingZeroStartsWithItsFirst() {
    let model = parse(configuration([9, 4, 1, 5, 0, 3, 0, 0, 0, 9, 4, 1, 6, 0, 3, 0, 0, 0]))
    #expect(model.interfaces.map(\.current) == [5])
    let late = parse(configuration([9, 4, 1, 5, 0, 3, 0, 0, 0, 9, 4, 1, 0, 0, 3, 0, 0, 0]))
    #expect(late.interfaces.map(\.current) == [0])
  }

  @Test(
    arguments: [
      // A setting that is there already, with its endpoint.
      ([9, 4, 0, 0, 1, 9, 9, 9, 0, 7, 5, 0x85, 3, 8, 0, 1], 1),
      // An endpoint that the same setting or another interface has.
      ([7, 5, 0x81, 2, 64, 0, 0], 1),
      ([9, 4, 1, 0, 1, 3, 0, 0, 0, 7, 5, 0x81, 2, 64, 0, 0], 1),
      // Endpoint 0, and a reserved bit in the address.
      ([7, 5, 0x80, 2, 64, 0, 0, 7, 5, 0x91, 2, 64, 0, 0], 1),
      // Too short for an endpoint, and a companion behind it that belongs to nothing.
      ([6, 5, 0x82, 2, 64, 0, 6, 0x30, 9, 9, 9, 9], 1),
      // Too short for an interface: its endpoint is nobody's.
      ([8, 4, 2, 0, 1, 3, 0, 0, 7, 5, 0x84, 3, 8, 0, 1], 1),
      // Another setting of the same interface shares the endpoint.
      ([9, 4, 0, 1, 1, 3, 0, 0, 0, 7, 5, 0x81, 3, 8, 0, 1], 2),
    ] as [([UInt8], Int)])
  func duplicatesAndFragmentsArePassedOver(_ rest: [UInt8], endpoints: Int) {
    let model = parse(configuration([9, 4, 0, 0, 1, 3, 1, 1, 0, 7, 5, 0x81, 3, 8, 0, 10] + rest))
    let found = model.interfaces.flatMap { $0.alternateSettings.flatMap(\.endpoints) }
    #expect(found.count == endpoints)
    #expect(found.first?.interval == 10)
    #expect(found.first?.maxBurst == 0)
    #expect(model.interfaces[0].alternateSettings[0].classCode == 3)
  }

  @Test(arguments: [0, 1, 200] as [UInt8])
  func aMalformedLengthEndsTheParse(_ length: UInt8) {
    let good: [UInt8] = [9, 4, 0, 0, 1, 3, 1, 1, 0]
    let model = parse(configuration(good + [length, 5, 0x81, 3, 8, 0, 10] + [9, 4, 1, 0, 0, 3, 1, 1, 0]))
    #expect(model.interfaces.map(\.number) == [0])
    #expect(model.interfaces[0].alternateSettings[0].endpoints.isEmpty)
  }

  @Test func aTotalLengthThatIsTooLongOrTooShortIsBounded() {
    var long = configuration([9, 4, 0, 0, 0, 3, 1, 1, 0])
    long[2] = 255
    #expect(parse(long).interfaces.count == 1)
    var short = long
    short[2] = 8
    #expect(parse(short) == parse([]))
    // Behind a configuration whose length is a lie there is no other one.
    let node = device + short + configuration([], value: 2)
    #expect(DescriptorParser.model(descriptors: node.span, configuration: 2, speed: .high).interfaces.isEmpty)
  }

  @Test func truncatedAnywhere() {
    let node = device + keyboard + superSpeed
    let whole = DescriptorParser.model(descriptors: node.span, configuration: 2, speed: .super)
    for length in 0..<node.count {
      let part = Array(node[..<length])
      let model = DescriptorParser.model(descriptors: part.span, configuration: 2, speed: .super)
      #expect(model != whole)
      #expect(model.vendor == (length < 18 ? 0 : 0x046d))
      _ = DescriptorParser.model(descriptors: part.span, configuration: 1, speed: .low)
      _ = DescriptorParser.model(deviceDescriptor: device.span, configuration: part.span, speed: .low)
    }
  }

  @Test func randomBytesAndDamagedDescriptors() {
    var random = Random(seed: 0x5eed)
    for round in 0..<20_000 {
      var bytes: [UInt8]
      if round % 2 == 0 {
        bytes = device + keyboard + superSpeed
        for _ in 0..<Int(1 + random.next() % 4) {
          bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
        }
      } else {
        bytes = configuration(
          (0..<Int(random.next() % 200)).map { _ in UInt8(truncatingIfNeeded: random.next() % 12) })
      }
      for value in 1...2 as ClosedRange<UInt8> {
        let model = DescriptorParser.model(descriptors: bytes.span, configuration: value, speed: .super)
        #expect(model.interfaces.allSatisfy { $0.currentSetting != nil })
        #expect(Set(model.interfaces.map(\.number)).count == model.interfaces.count)
        _ = EndpointTable(model)
      }
      _ = DescriptorParser.model(deviceDescriptor: bytes.span, configuration: bytes.span, speed: .full)
    }
  }
}

/// SplitMix64: the same numbers in every run.
private struct Random {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
