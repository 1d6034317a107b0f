// Requests and answers over a pair of interrupt endpoints: the orders that may not lose an answer (B4.11).
import Testing

@testable import usbredir_evloop

struct ExchangeTests {
  private let loop: EventLoop
  private let host: FakeHost
  private static let report: [UInt8] = [0x41, 0, 1]

  init() throws {
    loop = try EventLoop()
    host = try FakeHost(
      loop, endpoints: [0x81: FakeHost.slot(.interrupt, 8), 0x01: FakeHost.slot(.interrupt, 8)])
  }

  private func run(
    count: Int? = nil, timeout: UInt32 = 10, json: Bool = false, isPadded: Bool = false
  ) -> (run: ProbeRun, status: Int32?) {
    let run = ProbeRun(
      loop, json: json, count: count, timeout: timeout,
      tasks: [.exchange(Self.report, isPadded: isPadded)])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    return (run, run.finish())
  }

  /// Handles the OUT; everything else is answered as ever.
  private func onOut(_ body: @escaping (Asked) -> Void) {
    host.onPacket = { packet in
      guard packet.type == .interruptPacket else { return false }
      body(packet)
      return true
    }
  }

  @Test(
    "B4.11: the IN is posted before the OUT, and an answer that overtakes the acknowledgement is not lost")
  func answerBeforeAcknowledgement() {
    var sent: [UInt8] = []
    onOut { [host = Unowned(host)] packet in
      sent = packet.data
      host.value.interrupt(0x81, [0x41, 0, 2])
      host.value.interrupt(0x01, id: packet.id, count: 3)
    }
    let (run, status) = run()
    #expect(status == 0)
    #expect(sent == Self.report)
    #expect(run.results == ["exchange 1: round trip U, data 41 00 02", "end: done; T s"])
    #expect(
      host.asked == [
        "start_interrupt_receiving 81", "interrupt_packet 01", "stop_interrupt_receiving 81",
      ])
    #expect(run.complaints == [])
  }

  @Test("nothing is left of an exchange that is over or was cut short", arguments: [true, false])
  func isFreed(isAnswered: Bool) throws {
    weak var exchanged: EventLoop?
    do {
      let loop = try EventLoop()
      exchanged = loop
      let host = try FakeHost(
        loop, endpoints: [0x81: FakeHost.slot(.interrupt, 8), 0x01: FakeHost.slot(.interrupt, 8)])
      host.onPacket = { [host = Unowned(host)] packet in
        guard packet.type == .interruptPacket else { return false }
        guard isAnswered else {
          host.value.disconnect()
          return true
        }
        host.value.interrupt(0x01, id: packet.id, count: 3)
        host.value.interrupt(0x81, [1])
        return true
      }
      let run = ProbeRun(loop, tasks: [.exchange(Self.report, isPadded: false)])
      run.probe?.adopt(host.guestDescriptor, to: "test")
      #expect(run.finish() == (isAnswered ? 0 : 1))
    }
    #expect(exchanged == nil)
  }

  @Test("a server that does not answer the stop: what was to come behind it is missed") func deafToStop() {
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .interruptPacket else { return packet.type == .stopInterruptReceiving }
      host.value.interrupt(0x01, id: packet.id, count: 3)
      host.value.interrupt(0x81, [1])
      return true
    }
    let run = ProbeRun(loop, tasks: [.exchange(Self.report, isPadded: false), .reset])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["over before everything was done"])
  }

  @Test("B4.11: when the OUT fails, the IN is cancelled") func outFails() {
    onOut { [host = Unowned(host)] packet in host.value.interrupt(0x01, status: .stall, id: packet.id) }
    let (run, status) = run(count: 2)
    #expect(status == 1)
    #expect(run.complaints == ["exchange: 0 of 2 answers came: interrupt OUT failed: stall"])
    #expect(
      host.asked == [
        "start_interrupt_receiving 81", "interrupt_packet 01", "stop_interrupt_receiving 81",
      ])
  }

  @Test("receiving goes on from one exchange to the next, and what comes between them is kept")
  func manyExchanges() {
    var number: UInt8 = 0
    onOut { [host = Unowned(host)] packet in
      number += 1
      host.value.interrupt(0x01, id: packet.id, count: 3)
      guard number != 2 else { return }
      host.value.interrupt(0x81, [number])
      // The second request is answered by what came too early.
      if number == 1 { host.value.interrupt(0x81, [0xee]) }
    }
    let (run, status) = run(count: 3, json: true)
    #expect(status == 0)
    let data = run.text.matches(of: /"data": "(\w*)"/).map { String($0.output.1) }
    #expect(data == ["01", "ee", "03"])
    #expect(host.asked.filter { $0.hasPrefix("start") || $0.hasPrefix("stop") }.count == 2)
    #expect(run.text.contains(#"{"event": "latency", "of": "exchange", "count": 3, "p50": "#))
  }

  @Test("no answer: both ways are taken back, and the reason is one line") func noAnswer() {
    host.onPacket = { [host = Unowned(host)] packet in
      if packet.type == .cancelDataPacket { host.value.interrupt(0x01, status: .cancelled, id: packet.id) }
      return packet.type == .cancelDataPacket
    }
    let (run, status) = run(timeout: 0)
    #expect(status == 1)
    #expect(run.complaints == ["exchange: 0 of 1 answers came: no answer within 0 s"])
    #expect(
      Set(host.asked) == [
        "start_interrupt_receiving 81", "interrupt_packet 01", "stop_interrupt_receiving 81",
        "cancel_data_packet",
      ])
  }

  @Test("an IN that ends by a stall") func inStalls() {
    onOut { [host = Unowned(host)] packet in
      host.value.interrupt(0x01, id: packet.id, count: 3)
      host.value.interrupt(0x81, status: .stall)
      host.value.send(InterruptReceivingStatusHeader(status: .stall, endpoint: 0x81))
    }
    let (run, status) = run()
    #expect(status == 1)
    #expect(run.complaints == ["exchange: 0 of 1 answers came: interrupt IN: the endpoint stalls"])
    #expect(!host.asked.contains("stop_interrupt_receiving 81"), "what ended need not be stopped")
  }

  @Test("a start that is refused") func startRefused() {
    host.onPacket = { [host = Unowned(host)] packet in
      switch packet.type {
      case .startInterruptReceiving:
        host.value.send(InterruptReceivingStatusHeader(status: .stall, endpoint: 0x81))
        return true
      case .interruptPacket:
        host.value.interrupt(0x01, id: packet.id, count: 3)
        return true
      default: return false
      }
    }
    #expect(run().status == 1)
  }

  @Test("padding fills a packet") func padded() {
    var sent: [UInt8] = []
    onOut { [host = Unowned(host)] packet in
      sent = packet.data
      host.value.interrupt(0x81, [])
      host.value.interrupt(0x01, id: packet.id, count: 8)
    }
    let (run, status) = run(isPadded: true)
    #expect(status == 0)
    #expect(sent == Self.report + [0, 0, 0, 0, 0])
    #expect(run.results.first == "exchange 1: round trip U, data ")
  }

  @Test("an answer longer than a packet is none") func babble() {
    onOut { [host = Unowned(host)] packet in
      host.value.interrupt(0x01, id: packet.id, count: 3)
      host.value.interrupt(0x81, [UInt8](repeating: 1, count: 9))
    }
    #expect(run().status == 1)
  }

  @Test("the device goes meanwhile") func unplugged() {
    onOut { [host = Unowned(host)] _ in host.value.disconnect() }
    let (run, status) = run()
    #expect(status == 1)
    #expect(run.complaints == ["exchange: 0 of 1 answers came: the device was unplugged"])
  }

  @Test("a device without such a pair") func noPair() throws {
    let host = try FakeHost(loop, endpoints: [0x81: FakeHost.slot(.interrupt, 8)])
    let run = ProbeRun(loop, tasks: [.exchange([1], isPadded: false)])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["exchange: no interface of the device has interrupt endpoints IN and OUT"])
  }

  @Test("with a real session") func servedDevice() throws {
    let device = ScriptedDevice(loop: loop)
    let served = try ServedDevice(loop, device)
    for byte in 1...3 { device.report(.interruptIn, [UInt8(byte)]) }
    let run = ProbeRun(loop, count: 3, tasks: [.exchange([9, 8], isPadded: false)])
    run.probe?.adopt(served.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(Array(run.results.prefix(3)) == [1, 2, 3].map { "exchange \($0): round trip U, data 0\($0)" })
    #expect(device.record.filter { $0 == "submit 01 0908" }.count == 3)
  }
}
