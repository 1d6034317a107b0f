// The reader: whatever pieces the bytes come in, what is right is handed out once and what is wrong costs
// itself alone.
import Testing

@testable import usbredir_evloop

struct PacketReaderTests {
  private let interrupt = InterruptPacketHeader(endpoint: 0x02, status: .success, length: 3)

  /// A usb-guest's packets: with and without type header, with data, refused, empty.
  private var stream: [UInt8] {
    hello(.all) + packet(.reset, .all) + packet(SetConfigurationHeader(configuration: 1), id: 1 << 40, .all)
      + packet(interrupt, id: 2, data: [7, 8, 9], .all) + rawPacket(77, [1, 2, 3, 4, 5], .all)
      + packet(.cancelDataPacket, id: 2, .all)
      + packet(InterruptPacketHeader(endpoint: 0x02, status: .success, length: 0), id: 3, .all)
  }

  @Test func handsOutWhatArrives() {
    let recorder = Recorder()
    let reader = PacketReader(role: .usbHost, capabilities: .all)
    feed(reader, stream, recorder)
    #expect(
      recorder.all.map(\.type) == [
        .hello, .reset, .setConfiguration, .interruptPacket, nil, .cancelDataPacket, .interruptPacket,
      ])
    let header = PacketHeader(type: .interruptPacket, length: 7, id: 2)
    #expect(recorder.all[3] == .packet(header, [2, 0, 3, 0], [7, 8, 9]))
    guard case .packet(let wide, [1], []) = recorder.all[2] else { return #expect(Bool(false)) }
    #expect(wide.id == 1 << 40)
  }

  /// B1.1: at every byte, the change to 64-bit ids included.
  @Test func resumesAtEveryByte() {
    let bytes = stream
    let whole = Recorder()
    feed(PacketReader(role: .usbHost, capabilities: .all), bytes, whole)
    for split in 1..<bytes.count {
      let recorder = Recorder()
      let reader = PacketReader(role: .usbHost, capabilities: .all)
      feed(reader, Array(bytes[..<split]), recorder)
      feed(reader, Array(bytes[split...]), recorder)
      #expect(recorder.all == whole.all, "split at \(split)")
    }
    let recorder = Recorder()
    feed(PacketReader(role: .usbHost, capabilities: .all), bytes, piece: 1, recorder)
    #expect(recorder.all == whole.all)
  }

  @Test(arguments: [Capabilities.all, []])
  func idsGrowRightBehindTheHello(theirs: Capabilities) {
    let recorder = Recorder()
    let reader = PacketReader(role: .usbGuest, capabilities: .all)
    #expect(!reader.hasHello && reader.capabilities.isEmpty)
    feed(reader, hello(theirs) + packet(.deviceDisconnect, id: 9, theirs), recorder)
    #expect(recorder.all.map(\.type) == [.hello, .deviceDisconnect])
    #expect(reader.hasHello && reader.capabilities == theirs && reader.peerCapabilities == theirs)
  }

  /// B1.2: no word, one, several, and a last one cut short.
  @Test(arguments: [0, 4, 8, 256, 6])
  func helloWords(count: Int) {
    let recorder = Recorder()
    let reader = PacketReader(role: .usbHost, capabilities: .all)
    let version = [UInt8](repeating: 0x41, count: 64)
    let words = [UInt8]([0x24, 0, 0, 0] + [UInt8](repeating: 0xff, count: 252)).prefix(count)
    feed(reader, rawPacket(0, version + words, []), recorder)
    #expect(recorder.all.map(\.type) == [.hello])
    #expect(reader.capabilities == (count == 0 ? [] : [.filter, .ids64]))
  }

  @Test func pauseStopsBehindThePacket() {
    let recorder = Recorder()
    let reader = reader(.usbHost, .all)
    recorder.onEach = { _ in recorder.isPaused = true }
    feed(reader, packet(.reset, .all) + packet(.cancelDataPacket, .all), recorder)
    #expect(recorder.all.count == 1)
    reader.drain(recorder)
    #expect(recorder.all.count == 1)
    recorder.isPaused = false
    reader.drain(recorder)
    #expect(recorder.all.map(\.type) == [.reset, .cancelDataPacket])
  }

  /// A paused receiver bounds what is held: the region fills up, and then nothing more is read.
  @Test func pauseHoldsNoMoreThanTheRegion() {
    let recorder = Recorder()
    recorder.isPaused = true
    let reader = reader(.usbHost, .all)
    var rest = [UInt8](repeating: 0, count: 200_000)[...]
    for _ in 0..<4 {
      give(reader, &rest)
      reader.drain(recorder)
    }
    #expect(200_000 - rest.count == PacketReader.regionCapacity)
    #expect(reader.memory == PacketReader.regionCapacity)
  }

  @Test func drainFromWithinDoesNothing() {
    let recorder = Recorder()
    let reader = reader(.usbHost, .all)
    recorder.onEach = { _ in reader.drain(recorder) }
    feed(reader, packet(.reset, .all) + packet(.cancelDataPacket, .all), recorder)
    #expect(recorder.all.map(\.type) == [.reset, .cancelDataPacket])
  }

  @Test func manyPacketsFromManyReads() {
    let one = packet(interrupt, id: 5, data: [1, 2, 3], .all)
    let recorder = Recorder()
    let reader = reader(.usbHost, .all)
    var bytes: [UInt8] = []
    for _ in 0..<20_000 { bytes += one }
    feed(reader, bytes, piece: 50_021, recorder)
    #expect(recorder.all.count == 20_000)
    #expect(recorder.all.allSatisfy { $0 == recorder.all[0] })
    #expect(reader.memory == PacketReader.regionCapacity)
  }

  private func bulk(_ count: Int) -> (bytes: [UInt8], header: BulkPacketHeader, data: [UInt8]) {
    let data = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 8) }
    let header = BulkPacketHeader(endpoint: 0x02, status: .success, length: UInt32(count), streamID: 0)
    return (packet(header, id: 1, data: data, .all), header, data)
  }

  @Test(arguments: [65_536 - 26, 65_536 - 25, 65_536, 100_000, 1 << 20, 3 << 20])
  func largePackets(count: Int) {
    let large = bulk(count)
    let recorder = Recorder()
    let reader = reader(.usbHost, .all)
    let small = packet(.reset, .all)
    feed(reader, small + large.bytes + small + large.bytes + small, piece: 40_000, recorder)
    #expect(
      recorder.all.map(\.type) == [.reset, .bulkPacket, .reset, .bulkPacket, .reset])
    for received in recorder.all where received.type == .bulkPacket {
      guard case .packet(_, _, let data) = received else { continue }
      #expect(data == large.data)
    }
    feed(reader, small, recorder)
    #expect(reader.memory <= ReceiveBuffer.keptCapacity)
  }

  /// B1.8: memory follows what arrived, never what was announced.
  @Test func memoryFollowsWhatArrives() {
    let recorder = Recorder()
    let reader = reader(.usbHost, .all)
    var rest = bulk(3 << 20).bytes[...]
    var arrived = 0
    while !rest.isEmpty {
      let before = rest.count
      give(reader, &rest, piece: 30_000)
      arrived += before - rest.count
      #expect(reader.memory <= max(PacketReader.regionCapacity, 2 * arrived))
      reader.drain(recorder)
    }
    #expect(recorder.all.map(\.type) == [.bulkPacket])
  }

  /// B1.7, B1.8: too much data is refused when its type header is there, and thrown away as it arrives.
  @Test func oversizedIsSkippedAndNotHeld() {
    let large = bulk(1_000_001)
    let recorder = Recorder()
    let reader = reader(.usbHost, .all, maxTransfer: 1_000_000)
    feed(reader, Array(large.bytes.prefix(26)), recorder)
    let header = PacketHeader(type: .bulkPacket, length: 1_000_011, id: 1)
    let typeHeader = Array(large.bytes[16..<26])
    let fault = PacketFault.overLimit(.bulkPacket, length: 1_000_001, limit: 1_000_000)
    #expect(recorder.all == [.rejected(header, typeHeader, fault)])
    feed(reader, large.bytes.dropFirst(26) + packet(.reset, .all), piece: 10_007, recorder)
    #expect(recorder.all.map(\.type) == [nil, .reset])
    #expect(reader.memory == PacketReader.regionCapacity)
  }

  @Test func requestsOverTheLimit() {
    let header = BulkPacketHeader(endpoint: 0x81, status: .success, length: 1001, streamID: 0)
    let start = StartBulkReceivingHeader(streamID: 0, bytesPerTransfer: 1001, endpoint: 0x81, transfers: 1)
    let all = received(
      .usbHost, .all, packet(header, .all) + packet(start, .all) + packet(.reset, .all), maxTransfer: 1000)
    #expect(
      all.map(\.fault) == [
        .overLimit(.bulkPacket, length: 1001, limit: 1000),
        .overLimit(.startBulkReceiving, length: 1001, limit: 1000), nil,
      ])
  }

  @Test func filterTextIsLimited() {
    let text = [UInt8](repeating: 0x7c, count: Int(PacketLimits.filterText)) + [0]
    let tooLong = packet(.filterFilter, data: text, .all)
    let fits = packet(.filterFilter, data: Array(text.dropFirst()), .all)
    let all = received(.usbHost, .all, tooLong + fits)
    #expect(all[0].fault == .overLimit(.filterFilter, length: 16385, limit: 16384))
    #expect(all[1].type == .filterFilter)
  }
}
