// Everything a probe can do, against a usb-host that answers whatever it likes, at random but repeatable. What must
// hold always: the probe comes to an end when the server leaves, and says nothing that is not told.
import Testing

@testable import usbredir_evloop

struct ProbePropertyTests {
  static let tasks: [[ProbeTask]] = [
    [], [.descriptors], [.disk], [.latency],
    [.exchange([1, 2, 3], isPadded: true)],
    [.iso(EndpointAddress(rawValue: 0x83), seconds: 1)],
    [.iso(EndpointAddress(rawValue: 0x03), seconds: nil), .reset],
    [
      .bulk([
        BulkJob(endpoint: EndpointAddress(rawValue: 0x82), total: 5000, size: 700, depth: 3),
        BulkJob(endpoint: EndpointAddress(rawValue: 0x02), total: nil, size: 100, depth: 2),
      ]), .configuration(1),
    ],
    [
      .control(SetupPacket(requestType: 0xc0, request: 1, value: 2, index: 3, length: 4), []),
      .alternateSetting(interface: 0, 1), .reset, .latency,
    ],
  ]

  @Test(arguments: 0..<tasks.count, 0..<16 as Range<UInt64>)
  func anything(tasks: Int, seed: UInt64) throws {
    let loop = try EventLoop()
    let endpoints: [UInt8: EndpointInfoHeader.Slot] = [
      0x81: FakeHost.slot(.interrupt, 8), 0x01: FakeHost.slot(.interrupt, 8), 0x82: FakeHost.slot(.bulk, 512),
      0x02: FakeHost.slot(.bulk, 512), 0x83: FakeHost.slot(.isochronous, 192),
      0x03: FakeHost.slot(.isochronous, 192),
    ]
    let interface = InterfaceInfoHeader.Interface(number: 0, classCode: 8, subclass: 6, protocol: 0x50)
    let host = try FakeHost(loop, endpoints: endpoints, interfaces: [interface])
    let hostile = Hostile(host, seed)
    let run = ProbeRun(loop, json: seed % 2 == 0, timeout: 1, tasks: ProbePropertyTests.tasks[tasks]) {
      $0.isBuffered = seed % 3 == 0
    }
    host.onPacket = { [hostile = Unowned(hostile), run = Unowned(run)] packet in
      if hostile.value.count == 120 { run.value.probe?.interrupt() }
      return hostile.value.take(packet)
    }
    let end = Timer(loop) { [run = Unowned(run)] in run.value.probe?.interrupt() }
    end.start(milliseconds: 300)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() != nil, "seed \(seed): hangs")
  }
}

/// Answers right, wrong, late, twice, for others, and says what nobody asked.
private final class Hostile {
  private let host: Unowned<FakeHost>
  private var random: SeededGenerator
  private var kept: [Asked] = []
  private var tag: [UInt8] = [0, 0, 0, 0]
  private(set) var count = 0

  init(_ host: FakeHost, _ seed: UInt64) {
    self.host = Unowned(host)
    random = SeededGenerator(seed: seed)
  }

  private func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
  private func chance(_ outOf: Int) -> Bool { number(1...outOf) == 1 }
  private var status: Status { chance(2) ? .success : Status(wire: UInt8(number(0...6))) }
  private func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  func take(_ packet: Asked) -> Bool {
    count += 1
    // The description comes first.
    guard count > 4 else { return false }
    if packet.endpoint == 0x02, packet.data.count == 31 { tag = Array(packet.data[4..<8]) }
    if chance(6) { unasked() }
    if chance(4) {
      kept.append(packet)
      return true
    }
    if chance(3), !kept.isEmpty { answer(kept.remove(at: number(0...kept.count - 1))) }
    if chance(8) { answer(packet) }
    answer(packet)
    return true
  }

  private func answer(_ packet: Asked) {
    let host = host.value
    switch packet.type {
    case .bulkPacket where packet.endpoint == 0x82:
      let length = packet.header.withSpan { Int(BulkPacketHeader(decoding: $0).length) }
      var data = bytes(chance(2) ? length : number(0...min(length + 1, 2000)))
      // Of disks that the probe believes.
      if length == 13, data.count == 13 {
        data = [0x55, 0x53, 0x42, 0x53] + tag + [0, 0, 0, 0, UInt8(number(0...2))]
      }
      if length == 8, data.count == 8, chance(2) { data[4...] = [0, 0, UInt8(number(1...3)), 0] }
      host.bulk(packet, status, data)
    case .bulkPacket: host.bulk(packet, status, count: number(0...packet.data.count + 1))
    case .interruptPacket:
      host.interrupt(packet.endpoint, status: status, id: packet.id, count: number(0...packet.data.count + 1))
    case .controlPacket:
      var header = packet.header.withSpan { ControlPacketHeader(decoding: $0) }
      header.status = status
      let data = header.endpoint == 0 ? [] : descriptor(Int(header.length))
      if header.endpoint != 0 { header.length = UInt16(data.count) }
      host.send(header, id: packet.id, data)
    case .getConfiguration, .setConfiguration:
      host.send(
        ConfigurationStatusHeader(status: status, configuration: UInt8(number(0...255))), id: packet.id)
    case .setAltSetting:
      host.send(AltSettingStatusHeader(status: status, interface: packet.header[0], alt: 1), id: packet.id)
    default: stream(packet)
    }
  }

  private func stream(_ packet: Asked) {
    let host = host.value
    switch packet.type {
    case .startInterruptReceiving, .stopInterruptReceiving:
      host.send(InterruptReceivingStatusHeader(status: status, endpoint: packet.endpoint), id: packet.id)
    case .startBulkReceiving, .stopBulkReceiving:
      host.send(
        BulkReceivingStatusHeader(streamID: 0, endpoint: packet.endpoint, status: status), id: packet.id)
    case .startIsoStream, .stopIsoStream:
      host.send(IsoStreamStatusHeader(status: status, endpoint: packet.endpoint), id: packet.id)
    default: break
    }
    for _ in 0..<number(0...5) { unasked() }
  }

  /// Bytes that a reader of descriptors likes, up to a point.
  private func descriptor(_ length: Int) -> [UInt8] {
    var data = bytes(chance(3) ? length : number(0...min(length + 1, 300)))
    guard data.count >= 4, chance(2) else { return data }
    data[0] = UInt8(min(data.count, chance(2) ? 9 : 18))
    data[1] = UInt8(number(1...15))
    if data.count >= 18, data[0] == 18 {
      (data[1], data[2], data[3], data[17]) = (1, 0x10, 2, UInt8(number(0...255)))
    }
    return data
  }

  private func unasked() {
    let host = host.value
    let id = UInt64(number(0...20))
    switch number(0...9) {
    case 0, 1: host.interrupt(0x81, bytes(number(0...(chance(9) ? 3000 : 8))), status: status, id: id)
    case 2, 3:
      let data = bytes(number(0...600))
      host.send(
        BufferedBulkPacketHeader(streamID: 0, length: UInt32(data.count), endpoint: 0x82, status: status),
        id: id,
        data)
    case 4, 5:
      let data = bytes(number(0...200))
      host.send(
        IsoPacketHeader(endpoint: 0x83, status: status, length: UInt16(data.count)),
        id: chance(9) ? UInt64.random(in: 0 ... .max, using: &random) : id, data)
    case 6: host.send(IsoStreamStatusHeader(status: status, endpoint: UInt8(number(0...255))), id: id)
    case 7:
      host.send(InterruptReceivingStatusHeader(status: status, endpoint: UInt8(number(0...255))), id: id)
    case 8:
      host.send(
        FakeHost.info([
          0x81: FakeHost.slot(.interrupt, UInt16(number(0...65_535)), interval: UInt8(number(0...255))),
          UInt8(number(1...3)): FakeHost.slot(
            .isochronous, UInt16(number(0...65_535)), interval: UInt8(number(0...255))),
          0x82: FakeHost.slot(.bulk, UInt16(number(0...65_535))),
        ]))
    default: if chance(10) { host.disconnect() }
    }
  }
}
