// Isochronous transfers through the real libusb: packets with lengths and fates of their own.
import CMockedUsbfs
import CPosix
import Testing

@testable import usbredir_evloop

extension MockedUsbfsTests {
  @Test("B6.2: each packet with its own status, length and place in the buffer")
  func isoInPackets() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    _ = mocked.takeLog()
    mocked.answerPackets(0x84, [(0, [1, 2]), (-EXDEV, []), (-EOVERFLOW, [3]), (0, [])])
    var packets: [IsoPacket] = []
    var bytes: [UInt8] = []
    user.onCompleted = { transfer in
      packets = transfer.packets
      transfer.buffer?.setPayload(count: 64)
      bytes = transfer.buffer?.withPayload { payload in [0, 1, 32].map { payload[$0] } } ?? []
    }
    user.submitPackets(0x84, tag: 1, lengths: [16, 16, 16, 16])
    user.waitForEvents(1)
    #expect(mocked.takeLog() == ["submit 84 type 0 length 64 packets 16,16,16,16"])
    #expect(user.events == ["1 completed"])
    #expect(packets.map { $0.status } == [.completed, .failed, .overflow, .completed])
    #expect(packets.map { $0.actualLength } == [2, 0, 1, 0])
    #expect(bytes == [1, 2, 3])
    user.close()
    mocked.unplug()
  }

  @Test("B6.2: a packet that stalls is a transfer that stalls")
  func isoStall() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    mocked.answerPackets(0x84, [(0, [1]), (-EPIPE, [])])
    user.submitPackets(0x84, tag: 1, lengths: [16, 16])
    user.waitForEvents(1)
    #expect(user.events == ["1 stalled"])
    user.close()
    mocked.unplug()
  }

  @Test("B6.3: OUT packets are as long as they were given; what did not go out is told")
  func isoOutPackets() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    _ = mocked.takeLog()
    mocked.finishPackets(0x04, [(0, 3), (0, 0), (-EILSEQ, 0)])
    let transfer = user.submitPackets(0x04, tag: 1, out: [[1, 2, 3], [], [4, 5]])
    user.waitForEvents(1)
    #expect(mocked.takeLog() == ["submit 04 type 0 length 5 packets 3,0,2 0102030405"])
    #expect(user.events == ["1 completed"])
    #expect(transfer.packets.map { $0.status } == [.completed, .completed, .failed])
    #expect(transfer.actualLength == 3)
    // The same transfer again, with other packets.
    transfer.packets[0].length = 1
    transfer.packets[2].length = 0
    transfer.length = 1
    mocked.finishPackets(0x04, [(0, 1), (0, 0), (0, 0)])
    user.device.submit(transfer)
    user.waitForEvents(2)
    #expect(mocked.takeLog() == ["submit 04 type 0 length 1 packets 1,0,0 01"])
    #expect(transfer.packets.allSatisfy { $0.status == .completed })
    user.close()
    mocked.unplug()
  }

  @Test func isoIsCancelledAndComesBackWithTheDeviceGone() throws {
    let mocked = MockedDevice()
    let user = try #require(DeviceUser.open(mocked))
    let first = user.submitPackets(0x84, tag: 1, lengths: [16])
    user.submitPackets(0x84, tag: 2, lengths: [16])
    user.submitPackets(0x04, tag: 3, out: [[1]])
    user.device.cancel(first)
    user.waitForEvents(1)
    #expect(user.events == ["1 cancelled"])
    mocked.unplug()
    user.waitForEvents(4)
    #expect(user.events[1] == "gone")
    #expect(Set(user.events[2...]) == ["2 deviceGone", "3 deviceGone"])
    user.close()
  }
}
