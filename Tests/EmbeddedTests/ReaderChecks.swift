// The packet reader on streams in pieces, and on lengths that a 32-bit Int does not hold.
#if !hasFeature(Embedded)
  @testable import usbredir_evloop
#endif

let readerChecks = [
  Check("a stream of packets read in pieces of every size up to 40") { findings in
    let request = controlRequest(8, id: 0x1_0000_0002)
    let out = encoded(bulkHeader(2, 300), id: 3, .all, data: [UInt8](repeating: 0x5a, count: 300))
    let stream = hello() + request + out
    for piece in 1...40 {
      let notes = Notes()
      feed(PacketReader(role: .usbHost, capabilities: .all), stream, piece: piece, notes)
      findings.expect(notes.types == [.hello, .controlPacket, .bulkPacket])
      findings.expect(notes.ids == [0, 0x1_0000_0002, 3] && notes.dataCounts == [4, 0, 300])
      findings.expect(notes.faults.isEmpty && !notes.isBroken)
    }
  },
  Check("a bulk request of 0xffff_ffff bytes is refused and costs nothing but itself") { findings in
    for length in [(8 << 20) + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] as [UInt32] {
      let notes = Notes()
      let stream = hello() + encoded(bulkHeader(0x81, length), id: 1, .all) + controlRequest(8, id: 2)
      feed(PacketReader(role: .usbHost, capabilities: .all), stream, piece: 7, notes)
      findings.expect(notes.faults == [.overLimit(.bulkPacket, length: length, limit: 8 << 20)])
      findings.expect(notes.types == [.hello, .controlPacket])
    }
  },
  Check("a start_bulk_receiving of 0xffff_ffff bytes is refused") { findings in
    let request = StartBulkReceivingHeader(streamID: 0, bytesPerTransfer: .max, endpoint: 0x81, transfers: 16)
    let notes = Notes()
    feed(PacketReader(role: .usbHost, capabilities: .all), hello() + encoded(request, id: 0, .all), notes)
    findings.expect(notes.faults == [.overLimit(.startBulkReceiving, length: .max, limit: 8 << 20)])
  },
  Check("a packet length around and beyond 2^31 ends the stream, one at the limit does not") { findings in
    for length in [PacketLimits.packet, PacketLimits.packet + 1, 0x7fff_ffff, 0x8000_0000, .max] {
      let notes = Notes()
      let reader = PacketReader(role: .usbHost, capabilities: .all)
      feed(reader, hello() + announcing(length, encoded(bulkHeader(2, 0), id: 1, .all)), notes)
      findings.expect(notes.isBroken == (length > PacketLimits.packet))
      findings.expect(reader.memory <= 1 << 20)
    }
  },
  Check("a large packet arrives whole, and its memory goes again") { findings in
    let length = 3 << 20
    let notes = Notes()
    let reader = PacketReader(role: .usbHost, capabilities: .all)
    let data = [UInt8](repeating: 7, count: length)
    let large = encoded(bulkHeader(2, UInt32(length)), id: 1, .all, data: data)
    feed(reader, hello() + large, piece: 65536, notes)
    findings.expect(notes.dataCounts == [4, length])
    feed(reader, controlRequest(8, id: 2), notes)
    findings.expect(notes.types.count == 3 && reader.memory < 1 << 20)
  },
  Check("the data of a refused packet is skipped as it arrives") { findings in
    let length = 9 << 20
    let header = encoded(bulkHeader(2, UInt32(length)), id: 1, .all)
    let reader = PacketReader(role: .usbHost, capabilities: .all)
    let notes = Notes()
    feed(reader, hello() + announcing(UInt32(length + 10), header), notes)
    findings.expect(notes.faults.count == 1)
    let piece = [UInt8](repeating: 1, count: 1 << 16)
    for _ in 0..<length / piece.count { feed(reader, piece, notes) }
    feed(reader, controlRequest(8, id: 2), notes)
    findings.expect(notes.types == [.hello, .controlPacket] && reader.memory <= 1 << 17)
  },
]

/// What a reader handed out.
private final class Notes: PacketReceiver {
  let isPaused = false
  private(set) var types: [PacketType] = []
  private(set) var ids: [UInt64] = []
  private(set) var dataCounts: [Int] = []
  private(set) var faults: [PacketFault] = []
  private(set) var isBroken = false

  func receive(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>) {
    guard let type = header.type else { return }
    types.append(type)
    ids.append(header.id)
    dataCounts.append(data.count)
  }

  func rejected(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ fault: PacketFault) {
    faults.append(fault)
  }

  func broken(_ fault: PacketFault) { isBroken = true }
}

private func feed(_ reader: PacketReader, _ bytes: [UInt8], piece: Int = 4096, _ notes: Notes) {
  var taken = 0
  while taken < bytes.count && !notes.isBroken {
    unsafe reader.withFree { free in
      let count = min(piece, free.count, bytes.count - taken)
      for index in 0..<count { unsafe free[index] = bytes[taken + index] }
      taken += count
      return count
    }
    reader.drain(notes)
  }
}

private func hello() -> [UInt8] {
  let buffer = BufferPool(capacity: 68, keep: 0).take()
  buffer.finishHello(version: "check", offering: .all)
  return buffer.withBytes(copy)
}

/// A packet whose header says that `length` bytes follow it.
private func announcing(_ length: UInt32, _ packet: [UInt8]) -> [UInt8] {
  var bytes = packet
  for index in 0..<4 { bytes[4 + index] = UInt8(truncatingIfNeeded: length >> UInt32(8 * index)) }
  return bytes
}

/// A control request that asks for `count` bytes.
private func controlRequest(_ count: UInt16, id: UInt64) -> [UInt8] {
  let header = ControlPacketHeader(
    endpoint: 0x80, request: 6, requestType: 0x80, status: .success, value: 0x0100, index: 0, length: count)
  return encoded(header, id: id, .all)
}

private func bulkHeader(_ endpoint: UInt8, _ length: UInt32) -> BulkPacketHeader {
  BulkPacketHeader(endpoint: endpoint, status: .success, length: length, streamID: 0)
}
