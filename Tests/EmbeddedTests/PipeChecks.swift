// The interrupt engine's basics (B4).
#if !hasFeature(Embedded)
  @testable import usbredir_evloop
#endif

let pipeChecks = [
  Check("B4.2, B4.3: thousands of reports in order, the endpoint never without a transfer") { findings in
    let (device, notes, pipe) = interrupt(depth: 4)
    pipe.start()
    for number in 0..<5000 {
      device.complete(.completed, [UInt8(number & 255), UInt8(number >> 8)])
      let expected = Said.report(UInt64(number), [UInt8(number & 255), UInt8(number >> 8)])
      guard device.posted.count == 4, notes.take() == [expected] else { return findings.expect(false) }
    }
    pipe.stop()
    findings.expect(device.cancelled == 4)
    for _ in 0..<4 { device.complete(.cancelled) }
    findings.expect(notes.take() == [.cancel, .ended(.stopped)] && pipe.isIdle)
  },
  Check("B4.8: what a cancelled transfer brought is handed out") { findings in
    let (device, notes, pipe) = interrupt(depth: 1)
    pipe.start()
    pipe.stop()
    device.complete(.cancelled, [7])
    findings.expect(notes.take() == [.cancel, .report(0, [7]), .ended(.stopped)])
  },
  Check("B4.9: a guest that does not read stops the posting, and nothing is lost") { findings in
    let (device, notes, pipe) = interrupt(depth: 4)
    notes.keeps = true
    pipe.start()
    var reports = 0
    while !device.posted.isEmpty {
      device.complete(.completed, [1])
      reports += 1
    }
    findings.expect(pipe.state == .pausing && pipe.waiting == reports)
    findings.expect(reports == InterruptPipe.highWater + 3)
    notes.release()
    findings.expect(pipe.state == .receiving && device.posted.count == 4)
    let said = notes.take()
    findings.expect(said.first == .report(0, [1]) && said.last == .resumed && said.count == reports + 2)
  },
  Check("B4.5: a stall is cleared and receiving starts at 0 again, eight times") { findings in
    let (device, notes, pipe) = interrupt(depth: 2)
    pipe.start()
    for _ in 0..<InterruptPipe.maxRecoveries {
      device.complete(.stalled)
      device.complete(.cancelled)
      findings.expect(notes.take() == [.cancel, .clearHalt])
      pipe.haltCleared(true)
      findings.expect(device.posted.count == 2)
    }
    device.complete(.stalled)
    device.complete(.cancelled)
    findings.expect(notes.take() == [.cancel, .ended(.stalled)])
  },
  Check("B4.7: errors wait ever longer, and too many end it") { findings in
    let (device, notes, pipe) = interrupt(depth: 1)
    pipe.start()
    device.complete(.failed)
    findings.expect(notes.take() == [.failed(.failed)])
    for error in 2...InterruptPipe.maxErrors {
      device.complete(.failed)
      let delay = UInt32(min(100, 13 * (error - 1)))
      findings.expect(notes.take() == [.failed(.failed), .delay(delay)])
      pipe.delayPassed()
    }
    device.complete(.overflow)
    findings.expect(notes.take() == [.failed(.overflow), .ended(.failed(.overflow))])
  },
  Check("B4.11: a single read, with the longest timeout") { findings in
    let (device, notes, pipe) = interrupt(depth: 4)
    findings.expect(pipe.readOnce(timeout: .max))
    findings.expect(device.posted.count == 1 && device.posted[0].timeout == .max)
    device.complete(.completed, [1, 2])
    findings.expect(notes.take() == [.report(0, [1, 2]), .ended(.finished)])
  },
  Check("an unplug ends it once everything is back") { findings in
    let (device, notes, pipe) = interrupt(depth: 3)
    pipe.start()
    pipe.deviceGone()
    for _ in 0..<3 { device.complete(.deviceGone) }
    findings.expect(notes.take() == [.ended(.gone)] && pipe.state == .gone)
  },
]

let isoChecks = [
  Check("B6.3: an isochronous OUT stream starts half full, drops, runs dry and fills again") { findings in
    let device = FakeDevice()
    let notes = PipeNotes()
    let pipe = IsoOutPipe(
      PipeParameters(
        endpoint: EndpointAddress(rawValue: 0x03), type: .isochronous, transferLength: 16, depth: 4,
        isoPackets: 2), device: device, owner: notes)
    pipe.start()
    var taken = 0
    for byte in 0..<UInt8(20) where pipe.put([byte].span) { taken += 1 }
    // Eight packets are in four transfers, and twelve had no room.
    findings.expect(taken == 8 && device.posted.count == 4)
    findings.expect(device.posted[0].buffer?.withPayload(copy) == [0, 1] && device.posted[0].length == 2)
    for _ in 0..<4 { device.complete() }
    findings.expect(notes.take() == [.dry] && pipe.state == .filling)
    for byte in 0..<UInt8(4) { findings.expect(pipe.put([byte].span)) }
    findings.expect(pipe.state == .running && device.posted.count == 2)
    pipe.stop()
    for _ in 0..<2 { device.complete(.cancelled) }
    findings.expect(notes.take() == [.cancel, .ended(.stopped)])
  },
  Check("an isochronous packet of 65535 bytes, sixteen of them in a transfer") { findings in
    let device = FakeDevice()
    let notes = PipeNotes()
    let pipe = IsoOutPipe(
      PipeParameters(
        endpoint: EndpointAddress(rawValue: 0x03), type: .isochronous, transferLength: 65535 * 16, depth: 1,
        isoPackets: 16), device: device, owner: notes)
    pipe.start()
    let packet = [UInt8](repeating: 3, count: 65535)
    for _ in 0..<16 { findings.expect(pipe.put(packet.span)) }
    findings.expect(device.posted.count == 1 && device.posted[0].length == 65535 * 16)
    findings.expect(device.posted[0].packets.allSatisfy { $0.length == 65535 })
    pipe.stop()
    device.complete(.cancelled)
    findings.expect(notes.take() == [.cancel, .ended(.stopped)])
  },
]

/// A pipe on endpoint 0x81, the device it posts to and its owner, who outlives it while the caller holds him.
private func interrupt(depth: Int) -> (FakeDevice, PipeNotes, InterruptPipe) {
  let device = FakeDevice()
  let notes = PipeNotes()
  let parameters = PipeParameters(
    endpoint: EndpointAddress(rawValue: 0x81), type: .interrupt, transferLength: 8, depth: depth)
  return (device, notes, InterruptPipe(parameters, device: device, owner: notes))
}
