// Filters, descriptors and the endpoint table, where they shift and multiply.
#if !hasFeature(Embedded)
  @testable import usbredir_evloop
#endif

let deviceChecks = [
  Check("a filter's numbers saturate at 64 bits and keep their low 32, as strtol and an int do") { findings in
    // 0x100000003 keeps 3; what is beyond 64 bits stops at 2^63 - 1, whose low half is -1: any.
    let any = FilterRule(deviceClass: nil, vendor: nil, product: nil, deviceVersion: nil, allow: true)
    var three = any
    three.deviceClass = 3
    findings.expect(rules("0x100000003,-1,-1,-1,1") == [three])
    findings.expect(rules("99999999999999999999,-1,-1,-1,1") == [any])
    findings.expect(rules("-1,65535,0177777,0xffff,2") != nil)
    findings.expect(rules("-1,65536,-1,-1,1") == nil && rules("256,-1,-1,-1,1") == nil)
    findings.expect(rules("-1,-1,-1,-1,2147483648") == [any])
  },
  Check("a filter's verdict and its text") { findings in
    let text = "0x03,0x046d,-1,-1,0|-1,-1,-1,-1,1"
    let filter = Filter(rules: rules(text) ?? [])
    findings.expect(Array(filter.description.utf8) == Array(text.utf8))
    let keyboard = FilteredDevice.Interface(classCode: 3, subclass: 1, protocol: 1)
    var device = FilteredDevice(
      deviceClass: 0, vendor: 0x046d, product: 0xc31c, deviceVersion: 0x0100, interfaces: [keyboard])
    findings.expect(filter.verdict(on: device) == .denied(rule: 0))
    device.vendor = 0x1234
    findings.expect(filter.verdict(on: device) == .allowed)
  },
  Check("a device's descriptors, with companions that fill 32 bits") { findings in
    let model = superSpeed(isoBytes: ff(4))
    findings.expect(model.vendor == 0x046d && model.product == 0xc31c && model.release == 0xfffe)
    findings.expect(model.configuration == 1 && model.interfaces.count == 1)
    let endpoints = model.interfaces.first?.currentSetting?.endpoints ?? []
    findings.expect(endpoints.count == 2)
    guard endpoints.count == 2 else { return }
    findings.expect(endpoints[0].type == .bulk && endpoints[0].maxBurst == 15)
    findings.expect(endpoints[1].type == .isochronous && endpoints[1].isoBytesPerInterval == .max)
  },
  Check("descriptors cut anywhere, and with any length byte, are read without harm") { findings in
    for count in 0...configuration.count {
      let model = parse(Array(configuration.prefix(count)))
      findings.expect(model.interfaces.count <= 1)
    }
    for index in configuration.indices {
      for value in [0, 1, 2, 0x7f, 0xff] as [UInt8] {
        var bytes = configuration
        bytes[index] = value
        findings.expect(parse(bytes).interfaces.count <= 2)
      }
    }
  },
  Check("B2.4: the endpoint table at its limits") { findings in
    let table = EndpointTable(superSpeed(isoBytes: ff(4)))
    let bulk = table[EndpointAddress(rawValue: 0x81)]
    findings.expect(bulk.type == .bulk && bulk.maxPacketSize == 1024 && bulk.maxStreams == 65536)
    let iso = table[EndpointAddress(rawValue: 0x02)]
    findings.expect(iso.type == .isochronous && iso.maxPacketSize == 65535 && iso.interval == 1)
    findings.expect(table[.controlIn].type == .control && table[.controlIn].maxPacketSize == 512)
    findings.expect(table.slots(ofInterface: 0) == 1 << 17 | 1 << 2)
    // Without byte counts it is packet × burst × multiplier, which does not fit 16 bits either.
    let product = EndpointTable(superSpeed(isoBytes: [0, 0, 0, 0], bytesPerInterval: 0))
    findings.expect(product[EndpointAddress(rawValue: 0x02)].maxPacketSize == 65535)
  },
  Check("the highest slot is bit 31") { findings in
    let last = EndpointAddress(rawValue: 0x8f)
    findings.expect(last.slot == 31 && EndpointAddress(slot: 31) == last)
    findings.expect(EndpointTable.allButControl >> UInt32(last.slot) == 1)
  },
  Check("a list is sorted by keys beyond 2^32") { findings in
    let keys: [UInt64] = [1 << 63, 1, 0x1_0000_0000, 0xffff_ffff, 0]
    findings.expect(keys.sorted(byKey: { $0 }) == [0, 1, 0xffff_ffff, 0x1_0000_0000, 1 << 63])
  },
]

private func rules(_ text: String) -> [FilterRule]? {
  let bytes = Array(text.utf8)
  do throws(FilterError) { return try Filter(parsing: bytes.span).rules } catch { return nil }
}

private let deviceDescriptor: [UInt8] = [
  18, 1, 0x20, 0x03, 0, 0, 0, 9, 0x6d, 0x04, 0x1c, 0xc3, 0xfe, 0xff, 0, 0, 0, 1,
]

private let configuration: [UInt8] = [
  9, 2, 51, 0, 1, 1, 0, 0x80, 50,
  9, 4, 0, 0, 2, 0xff, 0, 0, 0,
  // Bulk IN, a burst of 16, 65536 streams.
  7, 5, 0x81, 2, 0x00, 0x04, 0,
  6, 0x30, 15, 16, 0, 0,
  // Isochronous OUT with a SuperSpeedPlus companion behind its SuperSpeed one.
  7, 5, 0x02, 1, 0xff, 0x07, 0,
  6, 0x30, 15, 0x82, 0xff, 0xff,
  8, 0x31, 0, 0, 0, 0, 0, 0,
]

private func parse(_ configuration: [UInt8]) -> DeviceModel {
  DescriptorParser.model(
    deviceDescriptor: deviceDescriptor.span, configuration: configuration.span, speed: .super)
}

private func superSpeed(isoBytes: [UInt8], bytesPerInterval: UInt8 = 0xff) -> DeviceModel {
  var bytes = configuration
  bytes[2] = UInt8(bytes.count)
  for index in 0..<4 { bytes[bytes.count - 4 + index] = isoBytes[index] }
  bytes[bytes.count - 10] = bytesPerInterval
  bytes[bytes.count - 9] = bytesPerInterval
  return parse(bytes)
}
