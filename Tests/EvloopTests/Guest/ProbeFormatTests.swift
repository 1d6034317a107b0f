// The pure parts of the probe: keys, intervals, descriptors, lines.
import Testing

@testable import usbredir_evloop

struct BootKeyboardTests {
  /// What a keyboard says to `reports`, a line each.
  private func lines(_ reports: [[UInt8]]) -> [String] {
    var keyboard = BootKeyboard()
    return reports.map { report in
      keyboard.changes(report.span).map { ProbeText.keysText($0) } ?? "no report"
    }
  }

  @Test func pressesAndReleases() {
    let reports: [[UInt8]] = [
      [0, 0, 0x0b, 0, 0, 0, 0, 0], [0, 0, 0x0b, 0x0c, 0, 0, 0, 0], [0, 0, 0x0c, 0, 0, 0, 0, 0],
      [0, 0, 0x0c, 0, 0, 0, 0, 0], [0x22, 0, 0x1e, 0, 0, 0, 0, 0], [1, 0, 0x06, 0, 0, 0, 0, 0],
      [0, 0, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    #expect(
      lines(reports) == [
        "press h", "press i", "release h", "",
        "press left-shift, press right-shift, press 1 '!', release i",
        "press left-control, press c, release left-shift, release right-shift, release 1",
        "release left-control, too many keys at once", "release c",
      ])
  }

  @Test func whatIsNoBootReport() {
    #expect(
      lines([[], [0, 0, 4], [UInt8](repeating: 4, count: 9)]) == ["no report", "no report", "no report"])
  }

  @Test func aKeyTwiceIsOneKey() {
    #expect(lines([[0, 0, 4, 4, 0, 0, 0, 0], [0, 0, 3, 2, 1, 0, 0, 0]]) == ["press a", "release a"])
  }

  @Test(arguments: [
    (UInt8(4), "a"), (29, "z"), (39, "0"), (40, "enter"), (44, "space"), (56, "/"), (57, "caps-lock"),
    (58, "f1"),
    (69, "f12"), (70, "print-screen"), (79, "right"), (82, "up"), (83, "num-lock"), (84, "keypad-/"),
    (99, "keypad-."), (101, "application"), (104, "f13"), (115, "f24"), (0xa5, "usage-0xa5"),
  ])
  func names(_ usage: UInt8, _ name: String) {
    #expect(keyName(usage) == name)
  }

  /// What the keyboard types and what the probe reads must be one layout.
  @Test func theLayoutReadsWhatItTypes() throws {
    for value in UInt32(0x20)..<0x7f {
      let character = try #require(Unicode.Scalar(value))
      #expect(KeyboardLayout.character(of: try KeyboardLayout.keyStroke(for: character)) == character)
    }
    #expect(KeyboardLayout.character(of: KeyStroke(usage: 4, modifiers: 0x20)) == "A")
    #expect(KeyboardLayout.character(of: KeyStroke(usage: 4, modifiers: 1)) == nil)
    #expect(KeyboardLayout.character(of: KeyStroke(usage: 41)) == nil)
  }
}

struct PollIntervalTests {
  @Test(arguments: [
    (TransferType.interrupt, UInt8(10), Speed.low, UInt64?.some(10_000)), (.interrupt, 4, .full, 4000),
    (.interrupt, 255, .full, 255_000), (.interrupt, 1, .high, 125), (.interrupt, 4, .high, 1000),
    (.interrupt, 16, .super, 4_096_000), (.interrupt, 17, .high, nil), (.interrupt, 0, .full, nil),
    (.interrupt, 4, .unknown, nil), (.isochronous, 1, .full, 1000), (.isochronous, 4, .full, 8000),
    (.isochronous, 17, .full, nil), (.isochronous, 1, .low, nil), (.isochronous, 2, .high, 250),
    (.bulk, 1, .high, nil), (.control, 1, .full, nil),
  ])
  func microseconds(_ type: TransferType, _ interval: UInt8, _ speed: Speed, _ expected: UInt64?) {
    #expect(pollInterval(type, interval, speed) == expected)
  }

  @Test func texts() {
    #expect([125, 500, 1000, 4_096_000].map { intervalText($0) } == ["125 µs", "500 µs", "1 ms", "4096 ms"])
    #expect(
      [0, 999, 4_123_456, 1_000_000_000, 61_000_001_000].map { secondsText($0) }
        == ["0.000000", "0.000000", "0.004123", "1.000000", "61.000001"])
  }
}

struct DeviceDetailsTests {
  private func text(_ bytes: [UInt8]) -> String? { stringDescriptorText(bytes.span) }
  private func language(_ bytes: [UInt8]) -> UInt16? { firstLanguage(bytes.span) }
  private func indices(_ bytes: [UInt8]) -> StringIndices? { StringIndices(deviceDescriptor: bytes.span) }

  @Test func strings() {
    #expect(text([8, 3, 0x41, 0, 0xe9, 0, 0x3b, 0x4e]) == "Aé主")
    #expect(text([8, 3, 0x41, 0]) == "A", "bLength may lie")
    #expect(text([255, 3, 0x41, 0, 0x42]) == "A")
    #expect(text([4, 3, 0, 0xd8]) == "\u{fffd}")
    for bytes in [[], [2, 3], [4, 2, 0x41, 0], [0, 3, 0x41, 0]] as [[UInt8]] {
      #expect(text(bytes) == nil)
    }
  }

  @Test func languages() {
    #expect(language([4, 3, 0x09, 0x04]) == 0x0409)
    #expect(language([2, 3, 0x09, 0x04]) == nil)
    #expect(language([4, 3]) == nil)
  }

  @Test func stringIndices() {
    var bytes = [UInt8](repeating: 0, count: 18)
    bytes.replaceSubrange(14..., with: [1, 2, 3, 4])
    #expect(indices(bytes) == nil)
    (bytes[0], bytes[1]) = (18, 1)
    let found = indices(bytes)
    #expect(found?.manufacturer == 1 && found?.product == 2 && found?.serial == 3)
    #expect(found?.configurations == 4)
    #expect(indices(Array(bytes.dropLast())) == nil)
  }
}

struct ProbeLineTests {
  private static let device = GuestDevice(RawHost.connect, .all)
  private static let interface = RawHost.interfaces.interfaces[0]
  private static let endpoint = GuestDevice.endpoints(RawHost.endpoints)[1]
  private static let address = EndpointAddress(rawValue: 0x81)
  private static let details = DeviceDetails(
    manufacturer: "A\u{1b}[31m", product: "B \"q\"", serial: nil, configuration: 1, configurations: 2)
  private static let keys = KeyChanges(
    pressed: [KeyChanges.Press(key: "left-shift"), KeyChanges.Press(key: "h", character: "H")],
    released: ["a"])

  private static let events: [(event: ProbeEvent, text: String, json: String)] = [
    (
      .hello(server: "127.0.0.1:4000", version: "x 1", [.filter, .ids64]),
      "server: 127.0.0.1:4000, x 1\ncapabilities: filter 64bits_ids\n",
      #"{"event": "hello", "server": "127.0.0.1:4000", "version": "x 1", "#
        + #""capabilities": ["filter", "64bits_ids"]}"#
    ),
    (
      .hello(server: "s", version: "", []), "server: s, \ncapabilities: none\n",
      #"{"event": "hello", "server": "s", "version": "", "capabilities": []}"#
    ),
    (
      .device(device, details),
      """
      device: 1234:abcd, release 2.03, high speed, class by-interface (0/0/0)
      manufacturer: A?[31m
      product: B "q"
      serial: -
      configuration: 1 (the device has 2)

      """,
      #"{"event": "device", "id": "1234:abcd", "release": "2.03", "speed": "high", "class": 0, "#
        + #""subclass": 0, "protocol": 0, "manufacturer": "A\u001b[31m", "product": "B \"q\"", "serial": null, "#
        + #""configuration": 1, "configurations": 2}"#
    ),
    (
      .device(GuestDevice(RawHost.connect, []), DeviceDetails()),
      """
      device: 1234:abcd, release -, high speed, class by-interface (0/0/0)
      manufacturer: -
      product: -
      serial: -
      configuration: -

      """,
      #"{"event": "device", "id": "1234:abcd", "release": null, "speed": "high", "class": 0, "#
        + #""subclass": 0, "protocol": 0, "manufacturer": null, "product": null, "serial": null, "configuration": null, "#
        + #""configurations": null}"#
    ),
    (
      .interface(interface), "interface 0: hid (3/1/1), boot keyboard\n",
      #"{"event": "interface", "number": 0, "class": 3, "subclass": 1, "protocol": 1, "name": "hid", "#
        + #""kind": "boot keyboard"}"#
    ),
    (
      .endpoint(endpoint, interval: 1000), "endpoint 0x81: interrupt IN, interface 0, 8 bytes, every 1 ms\n",
      #"{"event": "endpoint", "endpoint": "0x81", "type": "interrupt", "direction": "in", "interface": 0, "#
        + #""max_packet_size": 8, "interval": 4, "interval_us": 1000, "max_streams": 0}"#
    ),
    (
      .report(ProbeReport(time: 4_123_999, endpoint: address, sequence: 7, data: [0, 0x0b], keys: nil)),
      "    0.004123  0x81  00 0b\n",
      #"{"event": "report", "time": 0.004123, "endpoint": "0x81", "sequence": 7, "data": "000b"}"#
    ),
    (
      .report(ProbeReport(time: 0, endpoint: address, sequence: 0, data: [], keys: keys)),
      "    0.000000  0x81  (empty)  press left-shift, press h 'H', release a\n",
      #"{"event": "report", "time": 0.000000, "endpoint": "0x81", "sequence": 0, "data": "", "#
        + #""pressed": ["left-shift", "h"], "released": ["a"], "text": "H"}"#
    ),
    (
      .status(time: 0, address, .failed(.stall)), "    0.000000  0x81  interrupt_packet: stall\n",
      #"{"event": "status", "time": 0.000000, "endpoint": "0x81", "packet": "interrupt_packet", "#
        + #""status": "stall"}"#
    ),
    (
      .status(time: 0, address, .receiving(.ended(.stall))), "    0.000000  0x81  receiving ended: stall\n",
      #"{"event": "status", "time": 0.000000, "endpoint": "0x81", "packet": "interrupt_receiving_status", "#
        + #""status": "stall"}"#
    ),
    (
      .end(
        ProbeSummary(
          reason: "interrupted", duration: 1_500_000_000,
          tallies: [
            ProbeSummary.Tally(endpoint: address, reports: 1), ProbeSummary.Tally(endpoint: interruptIn2),
          ])),
      "end: interrupted; 1 report in 1.500000 s (0x81: 1, 0x82: 0)\n",
      #"{"event": "end", "reason": "interrupted", "duration": 1.500000, "reports": 1, "#
        + #""endpoints": {"0x81": 1, "0x82": 0}}"#
    ),
  ]
  private static let interruptIn2 = EndpointAddress(rawValue: 0x82)

  @Test(arguments: events.indices) func lines(_ index: Int) {
    let (event, text, json) = Self.events[index]
    #expect(ProbeText.lines(event) == text)
    #expect(ProbeJSON.line(event) == json + "\n")
  }

  @Test func bigInterfaceNames() {
    let names = [(8, 6, 0x50), (2, 2, 1), (0xff, 0, 0), (0x42, 1, 2)].map { numbers in
      interfaceName(
        InterfaceInfoHeader.Interface(
          number: 0, classCode: UInt8(numbers.0), subclass: UInt8(numbers.1), protocol: UInt8(numbers.2)))
    }
    #expect(
      names == [
        "mass-storage (8/6/80), bulk-only", "communications (2/2/1), serial port",
        "vendor-specific (255/0/0)",
        "0x42 (66/1/2)",
      ])
  }
}
