// What the guest is told of the endpoints, by the rules of B2.4.
import Testing

@testable import usbredir_evloop

struct EndpointTableTests {
  private func table(_ speed: Speed, _ endpoints: [EndpointModel], maxPacketSize0: UInt8 = 64)
    -> EndpointTable
  {
    let setting = AlternateSetting(number: 0, classCode: 3, subclass: 0, protocol: 0, endpoints: endpoints)
    return EndpointTable(
      DeviceModel(
        speed: speed, maxPacketSize0: maxPacketSize0, configuration: 1,
        interfaces: [InterfaceModel(number: 2, alternateSettings: [setting])]))
  }

  private func slot(_ speed: Speed, _ endpoint: EndpointModel) -> EndpointSlot {
    table(speed, [endpoint])[endpoint.address]
  }

  private func endpoint(
    _ type: TransferType, _ raw: UInt16, interval: UInt8 = 1, burst: UInt8 = 0, attributes: UInt8 = 0,
    bytes: UInt16 = 0, isoBytes: UInt32 = 0
  ) -> EndpointModel {
    EndpointModel(
      address: EndpointAddress(rawValue: 0x83), type: type, rawMaxPacketSize: raw, interval: interval,
      maxBurst: burst, companionAttributes: attributes, bytesPerInterval: bytes, isoBytesPerInterval: isoBytes
    )
  }

  @Test("B2.4: slots 0 and 16 are control, unused ones are 255 on the wire")
  func controlAndUnused() {
    let empty = EndpointTable(DeviceModel())
    for (index, slot) in empty.slots.enumerated() {
      #expect(slot.type == (index == 0 || index == 16 ? .control : nil))
    }
    let header = EndpointInfoHeader(empty)
    #expect(header.slots[0].type == 0 && header.slots[16].type == 0)
    #expect(header.slots[1].type == 255 && header.slots[31].type == 255)
  }

  @Test("OUT 0…15, then IN 16…31")
  func slotOrder() {
    let both = [0x01, 0x81, 0x0f, 0x8f].map {
      EndpointModel(address: EndpointAddress(rawValue: $0), type: .bulk, rawMaxPacketSize: 512, interval: 0)
    }
    let table = table(.high, both)
    #expect([1, 17, 15, 31].map { table.slots[$0].type } == [.bulk, .bulk, .bulk, .bulk])
    #expect(table.slots[1].interface == 2)
    #expect(table.slots(ofInterface: 2) == 1 << 1 | 1 << 17 | 1 << 15 | 1 << 31)
    #expect(table.slots(ofInterface: 0) == 0, "control endpoints belong to no interface")
  }

  @Test(
    "the control endpoint's packet size, an exponent for SuperSpeed",
    arguments: [
      (Speed.low, UInt8(8), UInt16(8)), (.full, 64, 64), (.high, 64, 64), (.super, 9, 512),
    ])
  func controlSize(speed: Speed, raw: UInt8, size: UInt16) {
    #expect(table(speed, [], maxPacketSize0: raw)[.controlIn].maxPacketSize == size)
  }

  @Test(
    "B2.4: interval 0 on an iso or interrupt endpoint is reported as 1",
    arguments: [
      (TransferType.interrupt, UInt8(0), UInt8(1)), (.isochronous, 0, 1), (.interrupt, 10, 10), (.bulk, 0, 0),
      (.bulk, 255, 255),
    ])
  func interval(type: TransferType, raw: UInt8, told: UInt8) {
    #expect(slot(.full, endpoint(type, 8, interval: raw)).interval == told)
  }

  @Test(
    "B2.4: interrupt and bulk are wMaxPacketSize & 0x7ff, never multiplied",
    arguments: [
      (Speed.low, TransferType.interrupt, UInt16(8), UInt16(8)), (.full, .interrupt, 64, 64),
      (.high, .interrupt, 0x1400, 1024), (.high, .interrupt, 0x0c00, 1024), (.high, .interrupt, 0x0840, 64),
      (.high, .bulk, 512, 512), (.super, .bulk, 1024, 1024),
    ])
  func onePacket(speed: Speed, type: TransferType, raw: UInt16, size: UInt16) {
    #expect(slot(speed, endpoint(type, raw, burst: 3, bytes: 4096)).maxPacketSize == size)
  }

  @Test("B2.4: iso is all of an interval")
  func iso() {
    let rows: [(Speed, EndpointModel, UInt16)] = [
      (.full, endpoint(.isochronous, 1023), 1023),
      (.full, endpoint(.isochronous, 0x0bff), 0x3ff),
      (.high, endpoint(.isochronous, 1024), 1024),
      (.high, endpoint(.isochronous, 0x0c00), 2048),
      (.high, endpoint(.isochronous, 0x1400), 3072),
      (.super, endpoint(.isochronous, 1024, bytes: 3000), 3000),
      (.super, endpoint(.isochronous, 1024, bytes: 1, isoBytes: 49152), 49152),
      (.super, endpoint(.isochronous, 1024, isoBytes: 98304), 65535),
      (.super, endpoint(.isochronous, 1024), 1024),
      (.super, endpoint(.isochronous, 1024, burst: 15, attributes: 2), 49152),
      (.super, endpoint(.isochronous, 1024, burst: 15, attributes: 3), 65535),
    ]
    for (speed, endpoint, size) in rows {
      #expect(slot(speed, endpoint).maxPacketSize == size)
    }
  }

  @Test(
    "B2.4: max_streams from the SuperSpeed companion",
    arguments: [
      (Speed.super, TransferType.bulk, UInt8(0), UInt32(0)), (.super, .bulk, 1, 2), (.super, .bulk, 4, 16),
      (.super, .bulk, 16, 65536), (.super, .bulk, 31, 65536), (.super, .interrupt, 4, 0),
      (.high, .bulk, 4, 0),
    ])
  func streams(speed: Speed, type: TransferType, attributes: UInt8, streams: UInt32) {
    #expect(slot(speed, endpoint(type, 512, attributes: attributes)).maxStreams == streams)
  }

  @Test("only the alternate setting in force has endpoints")
  func alternateSettings() {
    var model = DeviceDescription.scripted.model(configuration: 1)
    #expect(EndpointTable(model)[EndpointAddress(rawValue: 0x81)].maxPacketSize == 8)
    #expect(EndpointTable(model)[EndpointAddress(rawValue: 0x83)].type == nil)
    model.interfaces[0].current = 1
    model.interfaces[1].current = 1
    #expect(EndpointTable(model)[EndpointAddress(rawValue: 0x81)].maxPacketSize == 64)
    #expect(EndpointTable(model)[EndpointAddress(rawValue: 0x83)].type == .isochronous)
    model.interfaces[1].current = 9
    #expect(EndpointTable(model)[EndpointAddress(rawValue: 0x82)].type == nil, "a setting that is not there")
  }

  @Test(
    "B4.2: depth is 4 ms of the interval, at least 4, at most 32",
    arguments: [
      (Speed.low, UInt8(10), 4), (.full, 1, 4), (.high, 1, 32), (.high, 2, 16), (.high, 3, 8), (.high, 4, 4),
      (.high, 16, 4), (.super, 1, 32),
    ])
  func depth(speed: Speed, interval: UInt8, depth: Int) {
    #expect(slot(speed, endpoint(.interrupt, 8, interval: interval)).defaultDepth(speed) == depth)
  }
}
