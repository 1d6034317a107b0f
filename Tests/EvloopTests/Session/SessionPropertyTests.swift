// Everything at once, at random but repeatable: a guest that asks whatever it likes, a device that does
// whatever it likes. What must hold always: one answer for each request, in order on each endpoint; reports
// in order and once; nothing leaves that a guest refuses; and at the end nothing is left.
import Testing

@testable import usbredir_evloop

struct SessionPropertyTests {
  @Test("B2.6, B2.8, B4, B5.1, B5.4, B6: whatever guest and device do", arguments: 0..<40 as Range<UInt64>)
  func anything(seed: UInt64) throws {
    var run = try Run(seed: seed)
    run.play(300)
    run.finish()
    let faults = run.faults
    #expect(faults == [], "seed \(seed)")
  }

  private struct Run {
    private let guest: GuestHarness
    private var random: SeededGenerator
    private var nextID: UInt64 = 1000
    /// Requests without an answer, and the endpoint each is on.
    private var open: [UInt64: String] = [:]
    private var lastAnswer: [String: UInt64] = [:]
    private var report: UInt64 = 0
    /// The last number that each endpoint brought.
    private var lastReport: [String: UInt64] = [:]
    private(set) var faults: [String] = []

    init(seed: UInt64) throws {
      random = SeededGenerator(seed: seed)
      var limits = SessionLimits()
      limits.maxBadPackets = .max
      limits.interruptDepth = Int.random(in: 1...9, using: &random)
      let capabilities = seed % 3 == 0 ? Capabilities.all.subtracting(.deviceDisconnectAck) : .all
      guest = try GuestHarness(
        capabilities: capabilities, limits: limits, sendBuffer: seed % 4 == 0 ? 4096 : nil)
      guest.scripted.killsInReverse = seed % 2 == 0
      guest.scripted.hasStreams = seed % 5 < 3
    }

    mutating func play(_ steps: Int) {
      for _ in 0..<steps {
        if chance(2) { ask() } else { disturb() }
        if chance(2) { guest.turn() }
        check()
      }
    }

    mutating func finish() {
      let device = guest.scripted
      device.releaseCalls()
      for address in [EndpointAddress.controlOut, .interruptOut, .bulkOut, .isoOut] {
        device.release(address)
      }
      guest.reads = true
      guest.settle()
      check()
      let buffers = guest.session?.buffers
      weak let session = guest.session
      guest.leave()
      guest.settle()
      if guest.ends.count != 1 { faults.append("ended \(guest.ends.count) times") }
      if buffers?.inUse != 0 { faults.append("\(buffers?.inUse ?? -1) buffers are out") }
      if session != nil { faults.append("the session is not freed") }
      if device.owner != nil { faults.append("the device is not closed") }
    }

    private mutating func chance(_ outOf: Int) -> Bool { Int.random(in: 0..<outOf, using: &random) == 0 }

    private mutating func newID(_ line: String) -> UInt64 {
      nextID += 1
      open[nextID] = line
      return nextID
    }

    private mutating func ask() {
      let some = UInt64.random(in: 900...nextID, using: &random)
      switch Int.random(in: 0..<28, using: &random) {
      case 0, 1: guest.send(guest.start(some))
      case 2: guest.send(guest.stop(some))
      case 3: guest.send(guest.stop(some) + guest.start(some))
      case 4: guest.send(guest.startBulk(some, bytes: chance(2) ? 64 : 128, transfers: 3))
      case 5: guest.send(guest.stopBulk(some))
      case 6, 7: guest.send(guest.bulkOut(newID("02"), [UInt8](repeating: 1, count: chance(4) ? 5000 : 3)))
      case 8, 9: guest.send(guest.bulkIn(newID("82"), length: 128))
      case 10: guest.send(guest.interruptOut(newID("01"), [1, 2]))
      case 11: guest.send(guest.controlIn(newID("00"), 6, value: 0x100, length: 18))
      case 12: guest.send(guest.clearHalt(newID("00"), chance(2) ? 0x81 : 0x82))
      case 13:
        guest.send(guest.controlOut(newID("00"), type: 1, StandardRequest.setInterface, value: 1, index: 0))
      case 14: guest.send(guest.setAlt(some, UInt8(chance(2) ? 0 : 1), UInt8(chance(2) ? 0 : 1)))
      case 15: guest.send(guest.setConfiguration(some, chance(3) ? 2 : 1))
      case 16: guest.send(guest.reset())
      case 17, 18: cancelSome()
      case 19: guest.send(guest.encode(AllocBulkStreamsHeader(endpoints: 1 << 18, streams: 2), id: some))
      case 20: guest.send(guest.encode(FreeBulkStreamsHeader(endpoints: 1 << 18), id: some))
      case 21: guest.send(guest.setAlt(some, 1, 1))
      case 22: guest.send(guest.startIso(some, packets: chance(2) ? 1 : 4, urbs: chance(2) ? 1 : 6))
      case 23: guest.send(guest.startIso(some, on: 0x03, packets: 2, urbs: chance(2) ? 1 : 4))
      case 24: guest.send(guest.stopIso(some, on: chance(2) ? 0x83 : 0x03))
      case 25, 26: for _ in 0..<5 { guest.send(guest.isoOut(some, [1, 2])) }
      default: guest.send(guest.bulkOut(newID("02"), [1], on: 0x02))
      }
    }

    private mutating func cancelSome() {
      guard let id = open.keys.sorted().randomElement(using: &random) else { return }
      guest.send(guest.cancel(id))
    }

    private mutating func disturb() {
      let device = guest.scripted
      let endpoint: EndpointAddress =
        [.interruptIn, .bulkIn, .bulkOut, .interruptOut, .isoIn, .isoOut].randomElement(using: &random)
        ?? .bulkIn
      switch Int.random(in: 0..<23, using: &random) {
      case 20, 21: device.report(.isoIn, nextReport())
      case 22: device.hold(.isoOut)
      case 0...5: device.report(.interruptIn, nextReport())
      case 6, 7: device.report(.bulkIn, [1, 2, 3])
      case 8: device.fillCancelled(.interruptIn, nextReport())
      case 9: device.stall(endpoint)
      case 10:
        let failures: [TransferStatus] = [.failed, .timedOut, .overflow, .noMemory, .refused]
        device.fail(endpoint, failures.randomElement(using: &random) ?? .failed)
      case 11: device.hold(chance(2) ? .bulkOut : .interruptOut)
      case 12, 13:
        device.release(.bulkOut)
        device.release(.interruptOut)
        device.release(.isoOut)
      case 14: device.holdCalls()
      case 15, 16: device.releaseCalls()
      case 17: if chance(3) { replug() }
      case 18: guest.reads.toggle()
      default: device.fail(chance(2) ? .clearHalt : .setAlternateSetting, chance(4) ? .deviceGone : .failed)
      }
    }

    private func replug() {
      guest.scripted.unplug()
      guest.turn()
      guest.replug()
    }

    private mutating func nextReport() -> [UInt8] {
      report += 1
      return (0..<4).map { UInt8(truncatingIfNeeded: report >> (24 - 8 * UInt64($0))) }
    }

    private mutating func check() {
      for word in guest.take() {
        let parts = word.split(separator: " ").map(String.init)
        switch parts[0] {
        case "device_disconnect":
          if guest.capabilities.contains(.deviceDisconnectAck) { guest.send(guest.acknowledge()) }
        case "control": answered(parts[1], "00", parts[2])
        case "bulk": answered(parts[2], parts[1], parts[3])
        case "interrupt" where parts[1] == "01": answered(parts[2], "01", parts[3])
        case "interrupt" where parts.count == 6: reported(parts[5], on: "81")
        case "iso" where parts.count == 6: reported(parts[5], on: "83")
        case "REFUSED", "BROKEN": faults.append(word)
        default: break
        }
      }
    }

    private mutating func answered(_ number: String, _ line: String, _ status: String) {
      guard let id = UInt64(number.dropFirst()), open.removeValue(forKey: id) == line else {
        return faults.append("an answer nobody waits for: \(number) on \(line)")
      }
      // Cancelled requests step out of the line.
      if status == "cancelled" { return }
      if id <= lastAnswer[line] ?? 0 { faults.append("\(number) on \(line) comes too late") }
      lastAnswer[line] = id
    }

    private mutating func reported(_ hex: String, on line: String) {
      let number = UInt64(hex, radix: 16) ?? 0
      let last = lastReport[line] ?? 0
      if number <= last { faults.append("report \(number) of \(line) behind \(last)") }
      lastReport[line] = number
    }
  }
}
