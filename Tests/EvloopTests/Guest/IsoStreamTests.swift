// Isochronous streams of a probe: what is counted, how the setting is found, what is sent.
import Testing

@testable import usbredir_evloop

private let isoIn = EndpointAddress(rawValue: 0x83)
private let isoOut = EndpointAddress(rawValue: 0x03)

struct IsoStreamTests {
  private let loop: EventLoop

  init() throws {
    loop = try EventLoop()
  }

  private func host(_ endpoints: [UInt8: EndpointInfoHeader.Slot]) throws -> FakeHost {
    try FakeHost(loop, endpoints: endpoints)
  }

  private func packet(_ status: Status, _ count: Int) -> IsoPacketHeader {
    IsoPacketHeader(endpoint: 0x83, status: status, length: UInt16(count))
  }

  @Test("packets, their statuses, and the gaps between them are counted") func capture() throws {
    // High speed, bInterval 4: a packet each millisecond.
    let host = try host([0x83: FakeHost.slot(.isochronous, 192, interval: 4)])
    let run = ProbeRun(loop, tasks: [.iso(isoIn, seconds: nil)])
    var start: StartIsoStreamHeader?
    host.onPacket = { [host = Unowned(host), run = Unowned(run)] asked in
      guard asked.type == .startIsoStream else { return false }
      start = asked.header.withSpan { StartIsoStreamHeader(decoding: $0) }
      host.value.send(IsoStreamStatusHeader(status: .success, endpoint: 0x83), id: asked.id)
      for id in [0, 1, 4] as [UInt64] {
        host.value.send(packet(.success, 100), id: id, [UInt8](repeating: 5, count: 100))
      }
      host.value.send(packet(.ioerror, 0), id: 5)
      run.value.probe?.interrupt()
      return true
    }
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(start == StartIsoStreamHeader(endpoint: 0x83, packetsPerURB: 10, urbs: 6))
    #expect(host.asked == ["start_iso_stream 83", "stop_iso_stream 83"])
    let line = run.results[0]
    #expect(
      line.hasPrefix(
        "iso 0x83: bytes 300, duration T s, throughput R MB/s, packets 4, rate R /s, errors 1, lost 2, ioerror 1"
      ), "\(line)")
  }

  @Test(
    "buffers fit the endpoint's interval",
    arguments: [
      (UInt8(1), UInt8(32), UInt8(15)), (4, 10, 6), (8, 1, 4), (11, 1, 2),
    ])
  func buffers(_ interval: UInt8, _ packets: UInt8, _ urbs: UInt8) throws {
    let host = try host([0x83: FakeHost.slot(.isochronous, 192, interval: interval)])
    var start: StartIsoStreamHeader?
    host.onPacket = { [host = Unowned(host)] asked in
      guard asked.type == .startIsoStream else { return false }
      start = asked.header.withSpan { StartIsoStreamHeader(decoding: $0) }
      host.value.send(IsoStreamStatusHeader(status: .stall, endpoint: 0x83), id: asked.id)
      return true
    }
    let run = ProbeRun(loop, tasks: [.iso(isoIn, seconds: 1)])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(start == StartIsoStreamHeader(endpoint: 0x83, packetsPerURB: packets, urbs: urbs))
    #expect(run.complaints == ["iso 0x83: start_iso_stream: stall"])
  }

  @Test("B4.6: a stream that ends by itself is a failure; what came is told") func ends() throws {
    let host = try host([0x83: FakeHost.slot(.isochronous, 192)])
    host.onPacket = { [host = Unowned(host)] asked in
      guard asked.type == .startIsoStream else { return false }
      host.value.send(IsoStreamStatusHeader(status: .success, endpoint: 0x83), id: asked.id)
      host.value.send(packet(.success, 1), [1])
      host.value.send(IsoStreamStatusHeader(status: .stall, endpoint: 0x83))
      return true
    }
    let run = ProbeRun(loop, tasks: [.iso(isoIn, seconds: 5)])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["iso 0x83: the stream ended: stall"])
    #expect(run.results.first?.contains("packets 1,") == true)
  }

  @Test("a file that takes no more ends the stream, and the server hears of it") func fullDisk() throws {
    let host = try host([0x83: FakeHost.slot(.isochronous, 192)])
    host.onPacket = { [host = Unowned(host)] asked in
      guard asked.type == .startIsoStream else { return false }
      host.value.send(IsoStreamStatusHeader(status: .success, endpoint: 0x83), id: asked.id)
      for id in 0..<3 as Range<UInt64> { host.value.send(packet(.success, 1), id: id, [1]) }
      return true
    }
    let run = ProbeRun(loop, tasks: [.iso(isoIn, seconds: 5), .reset]) { $0.output = "/dev/full" }
    try run.probe?.openFiles()
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["iso 0x83: write /dev/full: No space left on device"])
    #expect(host.asked == ["start_iso_stream 83", "stop_iso_stream 83", "reset"])
  }

  @Test("a stream is stopped when its time is over") func time() throws {
    let host = try host([0x83: FakeHost.slot(.isochronous, 192)])
    let run = ProbeRun(loop, tasks: [.iso(isoIn, seconds: 1), .reset])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(host.asked == ["start_iso_stream 83", "stop_iso_stream 83", "reset"])
  }

  @Test("the alternate setting that has the endpoint is found and set") func selectsSetting() throws {
    let device = ScriptedDevice(loop: loop)
    let served = try ServedDevice(loop, device)
    let run = ProbeRun(loop, tasks: [.iso(isoIn, seconds: 1)])
    run.probe?.adopt(served.guestDescriptor, to: "test")
    #expect(run.turns(untilLine: "alt 1:1: success, in force 1"))
    run.probe?.interrupt()
    _ = run.finish()
    #expect(device.record.contains("perform set-alternate-setting 1 1"))
  }

  @Test("an endpoint that no setting has") func noSetting() throws {
    let device = ScriptedDevice(loop: loop)
    let served = try ServedDevice(loop, device)
    let run = ProbeRun(loop, tasks: [.iso(EndpointAddress(rawValue: 0x85), seconds: 1)])
    run.probe?.adopt(served.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["iso 0x85: no setting of the device has such an endpoint"])
  }

  @Test("OUT: what a server does not read in time is not kept for it") func deafServer() throws {
    let raw = try RawHost()
    let record = try GuestRecord(loop, raw.guestDescriptor)
    raw.announce(.all, FakeHost.info([0x03: FakeHost.slot(.isochronous, 49_152)]))
    #expect(loop.turns { record.session?.device != nil })
    let session = try #require(record.session)
    let context = ProbeContext(
      loop, ProbeOptions(address: .unix("/nowhere")), session, log: Log(level: .error), sink: nil,
      source: nil,
      tell: { _ in }, stop: { _ in }, ended: { _, _ in })
    let stream = IsoStream(isoOut, seconds: nil, context)
    stream.start()
    stream.changed(.started, on: isoOut)
    // 8000 packets a second; three quarters of 480 are sent at once, and no more behind them.
    let begin = monotonicNanoseconds()
    #expect(loop.turns { monotonicNanoseconds() - begin > 500_000_000 })
    #expect(session.buffers.inUse <= 360)
    _ = stream.cut("enough")
    session.close()
  }

  @Test("OUT: three quarters of the buffer at once, then at the endpoint's pace") func output() throws {
    let host = try host([0x03: FakeHost.slot(.isochronous, 24, interval: 4)])
    let run = ProbeRun(loop, tasks: [.iso(isoOut, seconds: nil)])
    var ids: [UInt64] = []
    host.onPacket = { [host = Unowned(host), run = Unowned(run)] asked in
      guard asked.type == .isoPacket else { return false }
      ids.append(asked.id)
      #expect(asked.data == [UInt8](repeating: 0, count: 24))
      // 60 packets are buffered.
      if ids.count == 50 { run.value.probe?.interrupt() }
      _ = host
      return true
    }
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(ids.count >= 50 && ids == Array(0..<UInt64(ids.count)))
    #expect(host.asked.first == "start_iso_stream 03" && host.asked.last == "stop_iso_stream 03")
  }
}
