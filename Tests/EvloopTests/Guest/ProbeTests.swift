// Whole probes: what they print and how they end, against real sessions and against peers of bytes.
import Testing

@testable import usbredir_evloop

private let interruptIn = EndpointAddress(rawValue: 0x81)

let scriptedHead = [
  "server: test, \(productVersion)",
  "capabilities: \(Capabilities.all.description)",
  "device: 1209:0002, release 1.00, full speed, class by-interface (0/0/0)",
  "manufacturer: usbredir-evloop",
  "product: Scripted Device",
  "serial: 1",
  "configuration: 1 (the device has 2)",
  "interface 0: vendor-specific (255/0/0)",
  "interface 1: vendor-specific (255/0/0)",
  "endpoint 0x01: interrupt OUT, interface 0, 8 bytes, every 10 ms",
  "endpoint 0x81: interrupt IN, interface 0, 8 bytes, every 10 ms",
  "endpoint 0x02: bulk OUT, interface 1, 64 bytes",
  "endpoint 0x82: bulk IN, interface 1, 64 bytes",
]

struct ProbeTests {
  private let loop: EventLoop
  private let device: ScriptedDevice

  init() throws {
    loop = try EventLoop()
    device = ScriptedDevice(loop: loop)
  }

  /// Runs `run` against the scripted device to the end.
  private func finish(_ run: ProbeRun) throws -> Int32? {
    let host = try ServedDevice(loop, device)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    return withExtendedLifetime(host) { run.finish() }
  }

  @Test func describesAndCountsReports() throws {
    for byte in 1...3 { device.report(interruptIn, [UInt8(byte), 0xff]) }
    let run = ProbeRun(loop, count: 2)
    #expect(try finish(run) == 0)
    #expect(
      run.lines == scriptedHead + [
        "    T  0x81  receiving", "    T  0x81  01 ff", "    T  0x81  02 ff", "    T  0x81  stopped",
        "end: all reports came; 2 reports in T s (0x81: 2)",
      ])
    #expect(run.complaints == [])
    #expect(device.record.filter { $0.hasPrefix("submit") }.allSatisfy { $0 == "submit 81 8" })
  }

  @Test func theDescriptionAlone() throws {
    let run = ProbeRun(loop, duration: 0)
    #expect(try finish(run) == 0)
    #expect(run.lines == scriptedHead + ["end: only the description was asked for; 0 reports in T s"])
    #expect(!device.record.contains { $0.hasPrefix("submit") }, "reports flow only after a start")
  }

  @Test func stringsThatStallAreMissing() throws {
    device.answer(
      ControlRule(requestType: 0x80, request: 6, value: 0x0302, index: nil, answer: .fails(.stalled)))
    device.answer(ControlRule(requestType: 0x80, request: 6, value: 0x0303, index: nil, answer: .data([9])))
    let run = ProbeRun(loop, duration: 0)
    #expect(try finish(run) == 0)
    #expect(run.lines[3...5] == ["manufacturer: usbredir-evloop", "product: -", "serial: -"])
  }

  @Test func aDeviceThatAnswersNothingIsDescribedAllTheSame() throws {
    device.hold(.controlOut)
    let run = ProbeRun(loop, duration: 0, timeout: 0)
    #expect(try finish(run) == 0)
    #expect(run.lines[3...5] == ["manufacturer: -", "product: -", "serial: -"])
  }

  @Test func unplugged() throws {
    let host = try ServedDevice(loop, device)
    let run = ProbeRun(loop)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    device.report(interruptIn, [1])
    #expect(run.turns(untilLine: "0x81  01"))
    device.unplug()
    #expect(run.finish() == 0)
    #expect(run.lines.last == "end: the device was unplugged; 1 report in T s (0x81: 1)")
    #expect(host.session?.awaitsDisconnectAck == true)
    #expect(loop.turns { !host.ends.isEmpty })
    #expect(host.session?.awaitsDisconnectAck == false, "the acknowledgement went out before the end")
  }

  @Test func unpluggedTooSoon() throws {
    let host = try ServedDevice(loop, device)
    let run = ProbeRun(loop, count: 3)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    device.report(interruptIn, [1])
    #expect(run.turns(untilLine: "0x81  01"))
    device.unplug()
    #expect(run.finish() == 1)
    #expect(run.complaints == ["1 of 3 reports came: the device was unplugged"])
  }

  @Test func aStreamThatEnds() throws {
    device.fail(.clearHalt)
    device.report(interruptIn, [1])
    device.stall(interruptIn)
    let run = ProbeRun(loop)
    #expect(try finish(run) == 0)
    #expect(
      run.lines.suffix(5) == [
        "    T  0x81  receiving", "    T  0x81  01", "    T  0x81  interrupt_packet: stall",
        "    T  0x81  receiving ended: stall",
        "end: no endpoint receives any more; 1 report in T s (0x81: 1)",
      ])
  }

  @Test func aSignal() throws {
    let host = try ServedDevice(loop, device)
    let run = ProbeRun(loop)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.turns(untilLine: "0x81  receiving"))
    run.probe?.interrupt()
    #expect(run.finish() == 0)
    #expect(run.lines.suffix(2) == ["    T  0x81  stopped", "end: interrupted; 0 reports in T s (0x81: 0)"])
    #expect(loop.turns { !host.ends.isEmpty })
    #expect(host.ends == ["the guest closed the connection"])
  }

  @Test func aSignalTooSoon() throws {
    let run = ProbeRun(loop)
    run.probe?.interrupt()
    #expect(run.finish() == 1)
    #expect(run.complaints == ["interrupted before the device was described"])
  }

  @Test func theServerHasNoDevice() throws {
    let host = try ServedDevice(loop, device, isPlugged: false)
    let run = ProbeRun(loop, timeout: 0)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.turns(untilLine: "capabilities"))
    run.probe?.startClock()
    #expect(run.finish() == 1)
    #expect(
      run.complaints == ["test: the server has no device: none was announced within 0 s; is it plugged in?"])
  }

  @Test func theServerLeaves() throws {
    let host = try ServedDevice(loop, device)
    let run = ProbeRun(loop)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.turns(untilLine: "0x81  receiving"))
    host.session?.close(.closedByServer("stopping"))
    #expect(run.finish() == 0)
    #expect(run.lines.last == "end: the server closed the connection; 0 reports in T s (0x81: 0)")
  }

  @Test func nobodyReadsTheOutput() throws {
    let run = ProbeRun(loop)
    run.isRead = false
    #expect(try finish(run) == 1)
    #expect(run.lines.count == 2)
  }

  @Test func theVirtualKeyboardAsJSON() throws {
    var keyboardOptions = KeyboardOptions()
    keyboardOptions.text = "Hi\n"
    let keyboard = try VirtualKeyboard(keyboardOptions, loop: loop, log: Log(level: .error))
    let host = try ServedDevice(loop, keyboard)
    let run = ProbeRun(loop, json: true, count: 6)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    let texts = run.lines.filter { $0.contains("\"report\"") }.compactMap {
      $0.firstMatch(of: /"text": (".*")/)?.output.1
    }
    #expect(texts == [#""H""#, #""""#, #""i""#, #""""#, #""\n""#, #""""#])
    #expect(run.lines.last?.hasPrefix(#"{"event": "end", "reason": "all reports came""#) == true)
  }
}

struct ProbeAgainstStrangersTests {
  private let loop: EventLoop
  private let host: RawHost

  init() throws {
    loop = try EventLoop()
    host = try RawHost()
  }

  private func adopt(_ run: ProbeRun) {
    run.probe?.adopt(host.guestDescriptor, to: "test")
  }

  @Test func noHello() {
    let run = ProbeRun(loop, timeout: 0)
    adopt(run)
    run.probe?.startClock()
    #expect(run.finish() == 1)
    #expect(
      run.complaints
        == ["test: no hello within 0 s; is it a usbredir server, and does another guest have the device?"])
    #expect(run.text == "")
  }

  @Test func garbage() {
    let run = ProbeRun(loop, json: true)
    adopt(run)
    host.write(Array("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".utf8))
    #expect(run.finish() == 1)
    #expect(run.complaints.count == 1)
    #expect(run.complaints[0].hasPrefix("test: protocol error: "))
    #expect(run.complaints[0].hasSuffix("; is it a usbredir server?"))
    #expect(run.lines.count == 1 && run.lines[0].hasPrefix(#"{"event": "end""#))
  }

  @Test func closedAtOnce() {
    let run = ProbeRun(loop)
    adopt(run)
    host.leave()
    #expect(run.finish() == 1)
    #expect(
      run.complaints == [
        "test: the server closed the connection before the device was described; another guest may have it"
      ])
  }

  @Test func garbageInTheMiddle() {
    let run = ProbeRun(loop, timeout: 0)
    adopt(run)
    host.announce()
    // Nothing of the description is answered, and then receiving begins.
    #expect(run.turns(untilLine: "capabilities"))
    run.probe?.startClock()
    #expect(run.turns(untilLine: "endpoint 0x81"))
    host.write(packet(InterruptPacketHeader(endpoint: 0x81, status: .success, length: 1), data: [5], .all))
    host.write([UInt8](repeating: 0xff, count: 64))
    #expect(run.finish() == 1)
    #expect(run.lines.contains("    T  0x81  05"))
    #expect(run.complaints.first?.hasPrefix("test: protocol error: ") == true)
    #expect(run.lines.last?.hasPrefix("end: test: protocol error: ") == true)
  }

  @Test func aServerThatNeverAnswersTheStop() {
    let run = ProbeRun(loop, timeout: 0)
    adopt(run)
    host.announce()
    #expect(run.turns(untilLine: "capabilities"))
    run.probe?.startClock()
    #expect(run.turns(untilLine: "endpoint 0x81"))
    run.probe?.interrupt()
    run.probe?.interrupt()
    #expect(run.finish() == 0)
    #expect(run.lines.last == "end: interrupted; 0 reports in T s (0x81: 0)")
  }

  @Test(
    "what ends by itself does not wait long for the answer to its stop",
    arguments: [
      ([], 0), ([.exchange([1], isPadded: false)], 0),
      ([.iso(EndpointAddress(rawValue: 0x83), seconds: 1)], 1),
    ] as [([ProbeTask], Int32)])
  func aServerThatNeverAnswersAStop(_ tasks: [ProbeTask], _ status: Int32) throws {
    let host = try FakeHost(
      loop,
      endpoints: [
        0x81: FakeHost.slot(.interrupt, 8), 0x01: FakeHost.slot(.interrupt, 8),
        0x83: FakeHost.slot(.isochronous, 8),
      ])
    host.onPacket = { [host = Unowned(host)] packet in
      switch packet.type {
      case .startInterruptReceiving:
        host.value.send(InterruptReceivingStatusHeader(status: .success, endpoint: 0x81))
        host.value.interrupt(0x81, [1])
      case .interruptPacket: host.value.interrupt(0x01, id: packet.id, count: 1)
      case .stopInterruptReceiving, .stopIsoStream: break
      default: return false
      }
      return true
    }
    let run = ProbeRun(loop, count: tasks.isEmpty ? 1 : nil, tasks: tasks)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == status)
    #expect(host.asked.last?.hasPrefix("stop_") == true)
  }

  @Test func aDeviceWithoutInterruptEndpoints() {
    let run = ProbeRun(loop, count: 1, timeout: 0)
    adopt(run)
    host.write(hello([]) + packet(RawHost.interfaces, []) + packet(RawHost.connect, []))
    #expect(run.turns(untilLine: "capabilities"))
    run.probe?.startClock()
    #expect(run.finish() == 1)
    #expect(run.complaints == ["0 of 1 reports came: the device has no interrupt IN endpoint"])
  }
}
