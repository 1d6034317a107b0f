// Reading a disk: the commands, what is made of their answers, and their failures.
import Foundation
import Testing

@testable import usbredir_evloop

struct DiskReadingTests {
  private let loop: EventLoop
  private let host: FakeHost
  private let disk: FakeDisk

  init() throws {
    loop = try EventLoop()
    let interface = InterfaceInfoHeader.Interface(number: 0, classCode: 8, subclass: 6, protocol: 0x50)
    host = try FakeHost(
      loop, endpoints: [0x82: FakeHost.slot(.bulk, 512), 0x02: FakeHost.slot(.bulk, 512)],
      interfaces: [interface])
    disk = FakeDisk(host, blocks: 200)
    host.onPacket = { [disk = Unowned(disk)] in disk.value.take($0) }
  }

  private func run(count: Int? = nil, output: String? = nil) throws -> (run: ProbeRun, status: Int32?) {
    let run = ProbeRun(loop, count: count, tasks: [.disk]) { $0.output = output }
    try run.probe?.openFiles()
    run.probe?.adopt(host.guestDescriptor, to: "test")
    return (run, run.finish())
  }

  @Test("all of it, in order") func whole() throws {
    let path = socketPath("disk")
    defer { try? FileManager.default.removeItem(atPath: path) }
    let (run, status) = try run(output: path)
    #expect(status == 0)
    #expect(
      run.results == [
        "disk ACME: product Fake Disk, revision 1.0, blocks 200, block size 512, bytes 102400",
        "read disk: bytes 102400, duration T s, throughput R MB/s, transfers 1, rate R /s, errors 0",
        "end: done; T s",
      ])
    #expect(disk.commands == [0x12, 0, 0x25, 0x28])
    #expect(try Array(Data(contentsOf: URL(filePath: path))) == (0..<200).flatMap { FakeDisk.block($0) })
  }

  @Test("--count blocks") func count() throws {
    let (run, status) = try run(count: 3)
    #expect(status == 0)
    #expect(run.results[1].hasPrefix("read disk: bytes 1536,"))
  }

  @Test("a unit attention is cleared and the unit asked again") func unitAttention() throws {
    disk.failures[0] = [6, 0x28, 0]
    #expect(try run().status == 0)
    #expect(disk.commands == [0x12, 0, 3, 0, 0x25, 0x28])
  }

  @Test("no medium: the stalled data is cleared, the sense data says why") func noMedium() throws {
    disk.failures[0x25] = [2, 0x3a, 0]
    let (run, status) = try run()
    #expect(status == 1)
    #expect(run.complaints == ["disk: command 0x25 failed, sense 02/3a/00: no medium"])
    #expect(disk.cleared == 1)
  }

  @Test("a read that fails ends it; what was read is told") func mediumError() throws {
    disk.failures[0x28] = [3, 0x11, 0]
    let (run, status) = try run()
    #expect(status == 1)
    #expect(run.complaints == ["disk: command 0x28 failed, sense 03/11/00: a medium error"])
    #expect(run.results[1].hasSuffix("errors 1"))
  }

  @Test("a read without its data, and a good status") func shortRead() throws {
    disk.stallsRead = true
    let (run, status) = try run()
    #expect(status == 1)
    #expect(run.complaints == ["disk: block 0: 0 of 102400 bytes came"])
    #expect(disk.cleared == 1)
  }

  @Test("a status of another command") func wrongStatus() throws {
    disk.spoilsStatus = true
    #expect(try run().run.complaints == ["disk: a status wrapper that is none of this command"])
  }

  @Test("a device that cannot even say why is not asked for ever") func noSense() throws {
    disk.broken = [0, 3]
    let (run, status) = try run()
    #expect(status == 1)
    #expect(run.complaints == ["disk: a command failed, without a reason"])
    #expect(disk.commands == [0x12, 0, 3])
  }

  @Test("B5.1: the status does not come before the data") func statusFirst() throws {
    var asked: [Asked] = []
    host.onPacket = { [host = Unowned(host)] packet in
      guard packet.type == .bulkPacket else { return false }
      asked.append(packet)
      guard asked.count == 3 else { return true }
      let tag = Array(asked[0].data[4..<8])
      host.value.bulk(asked[0], .success, count: 31)
      host.value.bulk(packet, .success, [0x55, 0x53, 0x42, 0x53] + tag + [0, 0, 0, 0, 0])
      return true
    }
    let (run, status) = try run()
    #expect(status == 1)
    #expect(run.complaints == ["disk: a status before the data"])
  }

  @Test("a disk that does not answer is not waited for longer than for any answer") func noAnswer() throws {
    host.onPacket = { $0.type == .bulkPacket }
    let run = ProbeRun(loop, timeout: 1, tasks: [.disk])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["disk: no answer within 1 s"])
  }

  @Test("the device goes while it is read") func unplugged() throws {
    host.onPacket = { [host = Unowned(host), disk = Unowned(disk)] packet in
      if packet.type == .bulkPacket, packet.endpoint == 0x02, packet.data[15] == 0x28 {
        host.value.disconnect()
        return true
      }
      return disk.value.take(packet)
    }
    let (run, status) = try run()
    #expect(status == 1)
    #expect(run.complaints == ["disk: the device was unplugged"])
  }

  @Test("blocks that no disk has", arguments: [0, 1, 511, 0x2_0001, 0xffff_ffff] as [UInt32])
  func strangeBlocks(_ size: UInt32) throws {
    disk.blockSize = size
    let (run, status) = try run()
    #expect(status == 1)
    #expect(run.complaints == ["disk: blocks of \(size) bytes"])
  }

  @Test("a device that is no disk") func noDisk() throws {
    let host = try FakeHost(
      loop, endpoints: [0x82: FakeHost.slot(.bulk, 512), 0x02: FakeHost.slot(.bulk, 512)])
    let run = ProbeRun(loop, tasks: [.disk])
    run.probe?.adopt(host.guestDescriptor, to: "test")
    #expect(run.finish() == 1)
    #expect(run.complaints == ["disk: no interface of the device is a disk (8/6/80)"])
  }
}
