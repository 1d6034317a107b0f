// Single requests of a probe, latencies and descriptors: on the real session of a scripted device.
import Testing

@testable import usbredir_evloop

struct DeviceRequestTests {
  private let loop: EventLoop
  private let device: ScriptedDevice

  init() throws {
    loop = try EventLoop()
    device = ScriptedDevice(loop: loop)
  }

  private func run(
    _ tasks: [ProbeTask], count: Int? = nil, timeout: UInt32 = 10, json: Bool = false
  ) throws -> (run: ProbeRun, status: Int32?) {
    let host = try ServedDevice(loop, device)
    let run = ProbeRun(loop, json: json, count: count, timeout: timeout, tasks: tasks)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    return withExtendedLifetime(host) { (run, run.finish()) }
  }

  private func setup(_ type: UInt8, _ request: UInt8, _ value: UInt16, length: UInt16) -> SetupPacket {
    SetupPacket(requestType: type, request: request, value: value, index: 0, length: length)
  }

  @Test func controlRequests() throws {
    device.answer(ControlRule(requestType: 0xc0, request: 1, value: 5, index: 0, answer: .data([1, 2, 3])))
    device.answer(ControlRule(requestType: 0x40, request: 3, value: 0, index: 0, answer: .data([])))
    let (run, status) = try run([
      .control(setup(0xc0, 1, 5, length: 8), []), .control(setup(0x40, 3, 0, length: 2), [7, 8]),
      .control(setup(0x80, 6, 0x0100, length: 18), []),
    ])
    #expect(status == 0)
    #expect(
      run.results == [
        "control c0,01,0005,0000,0008: success, length 3, data 01 02 03",
        "control 40,03,0000,0000,0002: success, length 2",
        "control 80,06,0100,0000,0012: success, length 18, data",
        "  0000  12 01 00 02 00 00 00 40 09 12 02 00 00 01 01 02", "  0010  03 02", "end: done; T s",
      ])
    #expect(device.record.contains("control 40 03 0000 0000 0002 0708"))
  }

  @Test("a request that fails is a line each, and the others are made all the same") func failures() throws {
    device.answer(ControlRule(requestType: 0xc0, request: 2, value: 0, index: 0, answer: .fails(.stalled)))
    let (run, status) = try run(
      [
        .control(setup(0xc0, 2, 0, length: 8), []), .alternateSetting(interface: 7, 1), .configuration(9),
        .configuration(2),
      ], json: true)
    #expect(status == 1)
    #expect(
      run.complaints == ["control c0,02,0000,0000,0008: stall", "alt 7:1: inval", "configuration 9: ioerror"])
    let lines = run.text.split(separator: "\n").filter { $0.contains("\"request\"") }.map(String.init)
    #expect(
      lines == [
        #"{"event": "control", "request": "c0,02,0000,0000,0008", "status": "stall", "length": 0, "data": ""}"#,
        #"{"event": "alt", "request": "7:1", "status": "inval", "in_force": 0}"#,
        #"{"event": "configuration", "request": "9", "status": "ioerror", "in_force": 1}"#,
        #"{"event": "configuration", "request": "2", "status": "success", "in_force": 2}"#,
      ])
  }

  @Test("settings come before what is done with them") func order() throws {
    device.report(.interruptIn, [6])
    let (run, status) = try run([
      .alternateSetting(interface: 0, 1), .exchange([5], isPadded: true), .reset,
    ])
    #expect(status == 0)
    #expect(
      run.results == [
        "alt 0:1: success, in force 1", "exchange 1: round trip U, data 06",
        "reset device: success, configuration 1", "end: done; T s",
      ])
    #expect(device.record.contains("submit 01 05" + String(repeating: "00", count: 63)))
  }

  @Test("the device never answers") func noAnswer() throws {
    let host = try FakeHost(loop, endpoints: [:])
    host.onPacket = { $0.type == .controlPacket && $0.header[1] == 0 }
    let run = ProbeRun(loop, timeout: 0, tasks: [.control(setup(0x80, 0, 0, length: 2), [])])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["control 80,00,0000,0000,0002: no answer within 0 s"])
  }

  // MARK: latency

  @Test func latencies() throws {
    let (run, status) = try run([.latency], count: 20)
    #expect(status == 0)
    let numbers = "p50 U, p90 U, p99 U, p99.9 U, max U"
    #expect(
      run.results == [
        "latency control: count 20, " + numbers, "latency start-stop: count 20, " + numbers, "end: done; T s",
      ])
    #expect(device.record.filter { $0 == "control 80 00 0000 0000 0002" }.count == 20)
  }

  @Test("with --latency exchanges are counted and not printed") func exchangeLatency() throws {
    for byte in 1...5 { device.report(.interruptIn, [UInt8(byte)]) }
    let (run, status) = try run([.exchange([1], isPadded: false), .latency], count: 5)
    #expect(status == 0)
    #expect(
      run.results.map { $0.split(separator: ":")[0] } == [
        "latency exchange", "latency control", "latency start-stop", "end",
      ])
  }

  @Test("a device that refuses GET_STATUS has no latency") func latencyFails() throws {
    device.answer(ControlRule(requestType: 0x80, request: 0, value: 0, index: 0, answer: .fails(.stalled)))
    let (run, status) = try run([.latency], count: 20)
    #expect(status == 1)
    #expect(run.complaints == ["latency: GET_STATUS: stall"])
  }

  // MARK: descriptors

  @Test func descriptors() throws {
    let (run, status) = try run([.descriptors])
    #expect(status == 0)
    let tree = run.results
    #expect(
      tree[0] == "device: bcdUSB 2.00, bDeviceClass 0, bDeviceSubClass 0, bDeviceProtocol 0, "
        + "bMaxPacketSize0 64, idVendor 1209, idProduct 0002, bcdDevice 1.00, iManufacturer 1, "
        + "iProduct 2, iSerialNumber 3, bNumConfigurations 2, Manufacturer usbredir-evloop, "
        + "Product Scripted Device, SerialNumber 1")
    #expect(
      tree[1] == "  configuration: wTotalLength 115, bNumInterfaces 2, bConfigurationValue 1, "
        + "iConfiguration 0, bmAttributes 0xa0, bMaxPower 50")
    #expect(
      tree[2] == "    interface: bInterfaceNumber 0, bAlternateSetting 0, bNumEndpoints 2, "
        + "bInterfaceClass 255, bInterfaceSubClass 0, bInterfaceProtocol 0, iInterface 0")
    #expect(
      tree[3] == "      endpoint: bEndpointAddress 0x81, bmAttributes 0x03, wMaxPacketSize 8, bInterval 10")
    #expect(tree.filter { $0.hasPrefix("  configuration") }.count == 2)
    #expect(tree.filter { $0.hasPrefix("    interface") }.count == 5)
    #expect(tree.filter { $0.hasPrefix("      endpoint") }.count == 11)
    #expect(tree.last == "end: done; T s")
  }

  @Test func descriptorsAsJSON() throws {
    let (run, _) = try run([.descriptors], json: true)
    #expect(
      run.text.contains(
        #"{"event": "descriptor", "type": "endpoint", "bEndpointAddress": "0x81", "bmAttributes": "0x03", "#
          + #""wMaxPacketSize": 8, "bInterval": 10}"#))
  }

  @Test("descriptors that a device does not give") func noDescriptors() throws {
    let host = try FakeHost(loop, endpoints: [:])
    let run = ProbeRun(loop, tasks: [.descriptors])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["descriptors: the device does not give any"])
  }

  @Test("what the tables do not know is shown as it is, in its place") func unknownDescriptors() throws {
    let device: [UInt8] = [18, 1, 0, 3, 0, 0, 0, 9, 1, 0, 2, 0, 0, 1, 0, 0, 0, 1]
    let configuration: [UInt8] =
      [9, 2, 49, 0, 1, 1, 0, 0x80, 4] + [8, 11, 0, 1, 3, 0, 0, 0] + [9, 4, 0, 0, 1, 3, 0, 0, 0]
      + [3, 0x21, 0x11] + [7, 5, 0x81, 3, 0, 4, 1] + [6, 0x30, 2, 0, 0, 12] + [3, 0x24, 9] + [4, 0x25, 1, 2]
    let store: [UInt8] = [5, 15, 12, 0, 1, 7, 16, 2, 6, 0, 0, 0]
    let host = try FakeHost(loop, endpoints: [:])
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .controlPacket, packet.header[1] == 6 else { return false }
      let header = packet.header.withSpan { ControlPacketHeader(decoding: $0) }
      let whole: [UInt8]
      switch header.value {
      case 0x0100: whole = device
      case 0x0200: whole = configuration
      case 0x0f00: whole = store
      default: return false
      }
      host.value.control(packet, .success, Array(whole.prefix(Int(header.length))))
      return true
    }
    let run = ProbeRun(loop, tasks: [.descriptors])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    let lines = run.results.isEmpty ? run.lines : run.results
    #expect(
      lines.drop { !$0.hasPrefix("device: bcdUSB") }.map { String($0.prefix(40)) } == [
        "device: bcdUSB 3.00, bDeviceClass 0, bDe", "  configuration: wTotalLength 49, bNumIn",
        "    association: bFirstInterface 0, bInt", "    interface: bInterfaceNumber 0, bAlte",
        "      descriptor 0x21: data 03 21 11", "      endpoint: bEndpointAddress 0x81, b",
        "        companion: bMaxBurst 2, bmAttrib", "          descriptor 0x24: data 03 24 09",
        "          descriptor 0x25: data 04 25 01", "  object-store: wTotalLength 12, bNumDev",
        "    descriptor 0x10: data 07 10 02 06 00", "end: done; T s",
      ])
  }

  @Test func descriptorsThatDoNotFit() {
    #expect(Descriptor.all([5, 15, 12, 0, 1, 9, 16, 1]).count == 1)
    #expect(
      Descriptor.all([1, 5]).isEmpty && Descriptor.all([0, 0, 0]).isEmpty && Descriptor.all([]).isEmpty)
    #expect(
      Descriptor(bytes: [5, 5, 0x81, 2, 0]).result(depth: 0).text
        == "endpoint: bEndpointAddress 0x81, bmAttributes 0x02\n")
    #expect(
      Descriptor(bytes: [8, 0x31, 0, 0, 4, 3, 2, 1]).result(depth: 0).text
        == "isochronous-companion: wReserved 0, dwBytesPerInterval 16909060\n")
  }
}
