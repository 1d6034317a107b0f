// Bulk streams: what the guest hears when it asks for them (B5.3).

extension Session {
  func allocBulkStreams(_ id: UInt64, _ header: AllocBulkStreamsHeader) {
    let slots = header.endpoints
    guard let attached else { return streamsAreLate(id, slots, header.streams) }
    guard attached.areBulk(slots), header.streams > 0 else {
      send(BulkStreamsStatusHeader(endpoints: slots, streams: header.streams, status: .inval), id: id)
      return bad("alloc_bulk_streams", "one stream or more on bulk endpoints it has to be (B5.3)")
    }
    let call = DeviceCall.allocateStreams(slots: slots, count: header.streams)
    attached.enqueue(
      Operation(
        .bulkStreams(endpoints: slots, count: header.streams), slots: slots, calls: [call], reply: .packet(id)
      ))
  }

  /// B5.3: an endpoint that has none, or is not there any more, has nothing to free.
  func freeBulkStreams(_ id: UInt64, _ header: FreeBulkStreamsHeader) {
    guard let attached else { return streamsAreLate(id, header.endpoints, 0) }
    let slots = attached.slotsWithBulkStreams(header.endpoints)
    guard slots != 0 else {
      return send(BulkStreamsStatusHeader(endpoints: header.endpoints, streams: 0, status: .success), id: id)
    }
    attached.enqueue(
      Operation(
        .bulkStreams(endpoints: header.endpoints, count: 0), slots: slots,
        calls: [.freeStreams(slots: slots)],
        reply: .packet(id)))
  }

  private func streamsAreLate(_ id: UInt64, _ endpoints: UInt32, _ count: UInt32) {
    late()
    send(BulkStreamsStatusHeader(endpoints: endpoints, streams: count, status: .ioerror), id: id)
  }
}

extension AttachedDevice {
  /// True when every endpoint of the mask is a bulk endpoint, and there is one.
  fileprivate func areBulk(_ slots: UInt32) -> Bool {
    slots != 0
      && (0..<EndpointTable.count).allSatisfy { slot in
        slots & 1 << UInt32(slot) == 0 || endpoints.slots[slot].type == .bulk
      }
  }

  /// Those of the mask that have streams allocated.
  fileprivate func slotsWithBulkStreams(_ mask: UInt32) -> UInt32 {
    var slots: UInt32 = 0
    for slot in 0..<EndpointTable.count where bulkStreams[slot] > 0 { slots |= mask & 1 << UInt32(slot) }
    return slots
  }
}
