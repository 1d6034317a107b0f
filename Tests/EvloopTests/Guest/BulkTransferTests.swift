// Bulk transfers of a probe: how many are in flight, what they carry, how they end.
import Foundation
import Testing

@testable import usbredir_evloop

private let bulkIn = EndpointAddress(rawValue: 0x82)
private let bulkOut = EndpointAddress(rawValue: 0x02)

struct BulkTransferTests {
  private let loop: EventLoop

  init() throws {
    loop = try EventLoop()
  }

  private func fakeHost(_ capabilities: Capabilities = .all) throws -> FakeHost {
    try FakeHost(
      loop, capabilities, endpoints: [0x82: FakeHost.slot(.bulk, 512), 0x02: FakeHost.slot(.bulk, 512)])
  }

  private func length(_ asked: Asked) -> Int {
    asked.header.withSpan { Int(BulkPacketHeader(decoding: $0).length) }
  }

  private func read(_ total: UInt64?, size: Int = 512, depth: Int = 2) -> ProbeTask {
    .bulk([BulkJob(endpoint: bulkIn, total: total, size: size, depth: depth)])
  }

  @Test("as many as asked for are in flight, the last is what is left") func depth() throws {
    let host = try fakeHost()
    var waiting: [Asked] = []
    var lengths: [Int] = []
    var most = 0
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .bulkPacket else { return false }
      waiting.append(packet)
      lengths.append(length(packet))
      most = max(most, waiting.count)
      guard waiting.count == 3 || lengths.reduce(0, +) == 2100 else { return true }
      for asked in waiting { host.value.bulk(asked, .success, [UInt8](repeating: 1, count: length(asked))) }
      waiting = []
      return true
    }
    let run = ProbeRun(loop, tasks: [read(2100, depth: 3)])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(lengths == [512, 512, 512, 512, 52] && most == 3)
    #expect(
      run.results == [
        "read 0x82: success, bytes 2100, duration T s, throughput R MB/s, transfers 5, rate R /s, errors 0",
        "end: done; T s",
      ])
  }

  @Test("what did not come is asked for again") func shortReads() throws {
    let host = try fakeHost()
    var answers = 0
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .bulkPacket else { return false }
      answers += 1
      host.value.bulk(packet, .success, [UInt8](repeating: 1, count: min(100, length(packet))))
      return true
    }
    let run = ProbeRun(loop, json: true, tasks: [read(1024)])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(answers >= 11)
    #expect(run.text.contains(#""bytes": 1024, "duration": "#))
  }

  @Test("a stall is reported, and the rest is taken back") func stall() throws {
    let host = try fakeHost()
    var isFirst = true
    host.onPacket = { [host = Unowned(host)] packet in
      switch packet.type {
      case .bulkPacket where isFirst:
        isFirst = false
        host.value.bulk(packet, .stall)
      case .bulkPacket: break
      case .cancelDataPacket:
        host.value.send(
          BulkPacketHeader(endpoint: 0x82, status: .cancelled, length: 0, streamID: 0), id: packet.id)
      default: return false
      }
      return true
    }
    let run = ProbeRun(loop, tasks: [read(nil, depth: 4), .reset])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["read 0x82: stall"])
    #expect(host.asked.filter { $0 == "cancel_data_packet" }.count == 3)
    #expect(
      run.results == [
        "read 0x82: failed, bytes 0, duration T s, throughput R MB/s, transfers 0, rate R /s, errors 1",
        "reset device: success, configuration 1", "end: done; T s",
      ], "the next task is done all the same")
  }

  @Test("a signal ends a read that waits, and that is no failure") func interrupted() throws {
    let host = try fakeHost()
    let run = ProbeRun(loop, tasks: [read(nil)])
    host.onPacket = { [host = Unowned(host), run = Unowned(run)] packet in
      if packet.type == .cancelDataPacket {
        host.value.send(
          BulkPacketHeader(endpoint: 0x82, status: .cancelled, length: 0, streamID: 0), id: packet.id)
      }
      if packet.type == .bulkPacket, host.value.asked.count == 2 { run.value.probe?.interrupt() }
      return packet.type == .bulkPacket || packet.type == .cancelDataPacket
    }
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(run.complaints == [])
    #expect(run.results.first?.hasPrefix("read 0x82: success, bytes 0") == true)
  }

  @Test("what a signal leaves undone is a failure") func interruptedBefore() throws {
    let device = ScriptedDevice(loop: loop)
    let host = try ServedDevice(loop, device)
    let run = ProbeRun(loop, tasks: [read(nil, size: 64), .reset])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(loop.turns { device.record.contains("submit 82 64") })
    run.probe?.interrupt()
    #expect(run.finish() == 1)
    #expect(run.complaints == ["interrupted before everything was done"])
    #expect(!device.record.contains("perform reset"))
  }

  @Test("without 32-bit lengths transfers stay below 64 KiB") func smallLengths() throws {
    let host = try fakeHost(Capabilities.all.subtracting(.bulkLength32))
    var lengths: [Int] = []
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .bulkPacket else { return false }
      lengths.append(length(packet))
      host.value.bulk(packet, .success, [UInt8](repeating: 1, count: length(packet)))
      return true
    }
    let run = ProbeRun(loop, tasks: [read(100_000, size: 64 << 10, depth: 1)])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(lengths == [0xfc00, 100_000 - 0xfc00])
  }

  @Test("writes carry a counter, reads and writes beside each other run at the same time") func loopback()
    throws
  {
    let host = try fakeHost()
    var written: [UInt8] = []
    var reads: [Asked] = []
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .bulkPacket else { return false }
      if packet.endpoint == 0x82 { reads.append(packet) }
      if packet.endpoint == 0x02 {
        written += packet.data
        host.value.bulk(packet, .success, count: packet.data.count)
      }
      // A read is answered by what was written, so neither could be done alone.
      while let first = reads.first, written.count >= 600 {
        host.value.bulk(first, .success, Array(written.prefix(length(first))))
        reads.removeFirst()
      }
      return true
    }
    let jobs = [
      BulkJob(endpoint: bulkIn, total: 512, size: 512, depth: 1),
      BulkJob(endpoint: bulkOut, total: 600, size: 300, depth: 2),
    ]
    let run = ProbeRun(loop, tasks: [.bulk(jobs)])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(written.count == 600 && isCounting(written))
    #expect(run.results.count == 3)
  }

  @Test("files: what is read is written, what is written was read") func files() throws {
    let device = ScriptedDevice(loop: loop)
    let host = try ServedDevice(loop, device)
    device.report(bulkIn, [1, 2, 3])
    device.report(bulkIn, [4])
    let (input, output) = (socketPath("bulk-in"), socketPath("bulk-out"))
    let bytes = (0..<100).map { UInt8($0) }
    try Data(bytes).write(to: URL(filePath: input))
    defer { for path in [input, output] { try? FileManager.default.removeItem(atPath: path) } }
    let tasks: [ProbeTask] = [
      read(4, size: 64), .bulk([BulkJob(endpoint: bulkOut, total: nil, size: 64, depth: 2)]),
    ]
    let run = ProbeRun(loop, tasks: tasks) { options in
      options.input = input
      options.output = output
    }
    try run.probe?.openFiles()
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(try Array(Data(contentsOf: URL(filePath: output))) == [1, 2, 3, 4])
    let sent = device.record.filter { $0.hasPrefix("submit 02 ") }.map { String($0.dropFirst(10)) }.joined()
    let expected = Hex.text(bytes.span)
    #expect(sent == expected)
    #expect(run.results.last { $0.hasPrefix("write") }?.contains("bytes 100,") == true)
  }

  @Test("B5.2: buffered receiving ends when enough has come") func buffered() throws {
    let host = try fakeHost()
    var start: StartBulkReceivingHeader?
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .startBulkReceiving else { return false }
      start = packet.header.withSpan { StartBulkReceivingHeader(decoding: $0) }
      host.value.send(BulkReceivingStatusHeader(streamID: 0, endpoint: 0x82, status: .success), id: packet.id)
      for id in 0..<3 as Range<UInt64> {
        let header = BufferedBulkPacketHeader(streamID: 0, length: 512, endpoint: 0x82, status: .success)
        host.value.send(header, id: id, [UInt8](repeating: UInt8(id), count: 512))
      }
      return true
    }
    let run = ProbeRun(loop, tasks: [read(1000, size: 512, depth: 40)]) { $0.isBuffered = true }
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(
      start == StartBulkReceivingHeader(streamID: 0, bytesPerTransfer: 512, endpoint: 0x82, transfers: 16))
    #expect(host.asked == ["start_bulk_receiving 82", "stop_bulk_receiving 82"])
    #expect(run.results.first?.hasPrefix("read 0x82: success, bytes 1000,") == true)
  }

  @Test("B4.6: buffered receiving that ends by itself") func bufferedEnds() throws {
    let host = try fakeHost()
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .startBulkReceiving else { return false }
      host.value.send(BufferedBulkPacketHeader(streamID: 0, length: 0, endpoint: 0x82, status: .stall))
      host.value.send(BulkReceivingStatusHeader(streamID: 0, endpoint: 0x82, status: .stall), id: packet.id)
      return true
    }
    let run = ProbeRun(loop, tasks: [read(1000)]) { $0.isBuffered = true }
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["read 0x82: stall"])
  }

  @Test("buffered receiving of a real session") func servedBuffered() throws {
    let device = ScriptedDevice(loop: loop)
    let host = try ServedDevice(loop, device)
    for _ in 0..<3 { device.report(bulkIn, [UInt8](repeating: 7, count: 64)) }
    let run = ProbeRun(loop, tasks: [read(192, size: 64)]) { $0.isBuffered = true }
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(run.results.first?.hasPrefix("read 0x82: success, bytes 192,") == true)
  }

  @Test(
    "what the device or the server does not have",
    arguments: [
      (EndpointAddress(rawValue: 0x83), false, "read 0x83: the device has no bulk endpoint 0x83"),
      (bulkIn, true, "read 0x82: the server has no buffered bulk receiving"),
    ])
  func missing(_ endpoint: EndpointAddress, _ isBuffered: Bool, _ complaint: String) throws {
    let host = try fakeHost(Capabilities.all.subtracting(.bulkReceiving))
    let run = ProbeRun(loop, tasks: [.bulk([BulkJob(endpoint: endpoint, total: 1)])]) {
      $0.isBuffered = isBuffered
    }
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == [complaint])
  }

  @Test("a task that fails at once leaves the next one alone") func nextTask() throws {
    let host = try fakeHost()
    let missing = EndpointAddress(rawValue: 0x85)
    let tasks: [ProbeTask] = [.bulk([BulkJob(endpoint: missing, total: 1)]), .configuration(1)]
    let run = ProbeRun(loop, tasks: tasks)
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["read 0x85: the device has no bulk endpoint 0x85"])
    #expect(run.results.contains("configuration 1: success, in force 1"))
  }

  @Test("the same for one whose last transfer fails") func nextTaskBehindFailure() throws {
    let host = try fakeHost()
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .bulkPacket else { return false }
      host.value.bulk(packet, .stall)
      return true
    }
    let run = ProbeRun(loop, tasks: [read(512, depth: 1), .configuration(1)])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["read 0x82: stall"])
    #expect(run.results.contains("configuration 1: success, in force 1"))
  }

  @Test("buffered receiving whose endpoint goes away ends with what came") func endpointGoes() throws {
    let host = try fakeHost()
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .startBulkReceiving else { return false }
      host.value.send(BulkReceivingStatusHeader(streamID: 0, endpoint: 0x82, status: .success), id: packet.id)
      host.value.send(FakeHost.info([:]))
      let header = BufferedBulkPacketHeader(streamID: 0, length: 512, endpoint: 0x82, status: .success)
      host.value.send(header, [UInt8](repeating: 1, count: 512))
      return true
    }
    let run = ProbeRun(loop, tasks: [read(512, size: 512)]) { $0.isBuffered = true }
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 0)
    #expect(run.results.first?.hasPrefix("read 0x82: success, bytes 512,") == true)
  }

  @Test("buffered receiving has one reader of an endpoint") func bufferedTwice() throws {
    let host = try fakeHost()
    let jobs = [1, 2].map { BulkJob(endpoint: bulkIn, total: $0, size: 512) }
    let run = ProbeRun(loop, tasks: [.bulk(jobs)]) { $0.isBuffered = true }
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["read 0x82: buffered receiving goes on there already"])
  }

  @Test("two writes share an input that brings its bytes late") func sharedInput() throws {
    let host = try FakeHost(
      loop, endpoints: [0x02: FakeHost.slot(.bulk, 512), 0x04: FakeHost.slot(.bulk, 512)])
    var written = 0
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .bulkPacket else { return false }
      written += packet.data.count
      host.value.bulk(packet, .success, count: packet.data.count)
      return true
    }
    let path = socketPath("shared-input")
    defer { try? FileManager.default.removeItem(atPath: path) }
    try #require(unsafe mkfifo(path, 0o600) == 0)
    let writer = try #require(FileHandle(forUpdatingAtPath: path))
    let jobs = [2, 4].map { BulkJob(endpoint: EndpointAddress(rawValue: $0), total: nil, size: 64) }
    let run = ProbeRun(loop, tasks: [.bulk(jobs)]) { $0.input = path }
    try run.probe?.openFiles()
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.turns(untilLine: "endpoint 0x04"))
    loop.someTurns()
    try writer.write(contentsOf: [UInt8](repeating: 1, count: 640))
    #expect(loop.turns { written == 640 })
    try writer.close()
    #expect(run.finish() == 0)
  }

  @Test("the device goes meanwhile: what came is told") func unplugged() throws {
    let host = try fakeHost()
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .bulkPacket else { return false }
      if host.value.asked.count == 1 {
        host.value.bulk(packet, .success, [1, 2, 3])
      } else {
        host.value.disconnect()
      }
      return true
    }
    let run = ProbeRun(loop, tasks: [read(nil)])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["bulk: the device was unplugged"])
    #expect(run.results.first?.contains("bytes 3,") == true)
  }
}
