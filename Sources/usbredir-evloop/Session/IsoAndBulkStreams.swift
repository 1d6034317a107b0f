// Isochronous streams and bulk streams: what the guest hears when it asks for them.

extension Session {
  // MARK: isochronous

  /// B6.1: `stall` is the one answer after which QEMU takes the stream for stopped.
  func startIsoStream(_ id: UInt64, _ header: StartIsoStreamHeader) {
    if attached == nil { late() }
    send(IsoStreamStatusHeader(status: .stall, endpoint: header.endpoint), id: id)
  }

  func stopIsoStream(_ id: UInt64, _ header: StopIsoStreamHeader) {
    if attached == nil { late() }
    send(IsoStreamStatusHeader(status: .success, endpoint: header.endpoint), id: id)
  }

  // MARK: bulk streams

  func allocBulkStreams(_ id: UInt64, _ header: AllocBulkStreamsHeader) {
    changeStreams(
      id, .allocateStreams(slots: header.endpoints, count: header.streams), header.endpoints, count: header.streams)
  }

  func freeBulkStreams(_ id: UInt64, _ header: FreeBulkStreamsHeader) {
    changeStreams(id, .freeStreams(slots: header.endpoints), header.endpoints, count: 0)
  }

  private func changeStreams(_ id: UInt64, _ call: DeviceCall, _ endpoints: UInt32, count: UInt32) {
    guard let attached else {
      late()
      return send(BulkStreamsStatusHeader(endpoints: endpoints, streams: count, status: .ioerror), id: id)
    }
    attached.enqueue(Operation(.bulkStreams(count: count), slots: endpoints, calls: [call], reply: .packet(id)))
  }
}
