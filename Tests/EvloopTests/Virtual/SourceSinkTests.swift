// The source/sink device: what its IN endpoints bring, that its OUT endpoints take everything, its pace.
import Testing

@testable import usbredir_evloop

struct SourceSinkTests {
  private func user(setting: UInt8 = 1) throws -> VirtualUser {
    let loop = try EventLoop()
    let user = VirtualUser(loop, SourceSink(loop: loop))
    user.device.perform(.setAlternateSetting(interface: 0, setting: setting))
    user.turn()
    #expect(user.take() == ["call done"])
    return user
  }

  private func bytes(_ count: Int, packet: Int) -> String {
    let bytes = (0..<count).map { UInt8($0 % packet % 63) }
    return Hex.text(bytes.span)
  }

  @Test func bulkCountsWithinEachPacket() throws {
    let user = try user(setting: 0)
    user.submit(0x81, .bulk, length: 1300)
    user.submit(0x01, .bulk, length: 1300, data: [UInt8](repeating: 7, count: 1300))
    user.turn()
    #expect(user.take() == ["01 completed 1300", "81 completed " + bytes(1300, packet: 512)])
    user.submit(0x82, .isochronous, length: 8)
    user.turn()
    #expect(user.take() == ["82 refused"], "setting 0 has bulk alone")
  }

  @Test func isochronousPacketsAreFullAndTakeTheirTime() throws {
    let user = try user()
    let transfer = user.device.makeTransfer(isoPackets: 3)
    transfer.type = .isochronous
    transfer.endpoint = EndpointAddress(rawValue: 0x82)
    transfer.packets = [IsoPacket](repeating: IsoPacket(length: 1024), count: 3)
    transfer.length = 3072
    transfer.owner = user
    let start = monotonicNanoseconds()
    // The first comes at once, after a rest; each of the others waits for the one before it.
    for round in 1...3 {
      user.submit(transfer)
      user.run { user.events.count == round }
    }
    #expect(monotonicNanoseconds() - start >= 6_000_000, "two transfers of three packets, a millisecond each")
    #expect(user.take() == [String](repeating: "82 completed " + bytes(3072, packet: 1024), count: 3))
    #expect(transfer.packets.allSatisfy { $0.actualLength == 1024 && $0.status == .completed })
  }

  @Test func interruptEndpointsHaveAReportAlways() throws {
    let user = try user()
    for round in 1...3 {
      user.read(0x83, length: 64)
      user.run { user.events.count == round }
    }
    #expect(user.take() == [String](repeating: "83 completed " + bytes(64, packet: 64), count: 3))
  }

  @Test func keepsWhatIsWrittenAndGivesItBack() throws {
    let user = try user()
    #expect(user.control(0x40, 0x5b, 0, 0, length: 3, data: [1, 2, 3]) == "00 completed 3")
    #expect(user.control(0xc0, 0x5c, 0, 0, length: 64) == "80 completed 010203")
    user.device.perform(.reset)
    user.turn()
    #expect(user.control(0xc0, 0x5c, 0, 0, length: 64) == "80 completed")
  }

  @Test("USB 2.0, 9.6.2: a device of high speed tells what it would be at full speed")
  func otherSpeed() throws {
    let user = try user()
    #expect(user.control(0x80, 6, 0x0600, 0, length: 64) == "80 completed 0a060002ff0000400100")
    let other = user.control(0x80, 6, 0x0700, 0, length: 255)
    #expect(
      other.hasPrefix("80 completed 0907") && other.contains("0705810240000") && !other.contains("000200"))
    #expect(user.control(0x80, 6, 0x0701, 0, length: 255) == "80 stalled")
    let loop = try EventLoop()
    let fullSpeed = VirtualUser(loop, ScriptedDevice(loop: loop))
    #expect(fullSpeed.control(0x80, 6, 0x0600, 0, length: 64) == "80 stalled")
  }
}
