// Every virtual device under a guest that asks whatever it likes, at random but repeatable: one answer for each request,
// nothing that a guest refuses, and at the end nothing is left.
import Testing

@testable import usbredir_evloop

struct VirtualDevicePropertyTests {
  enum Kind: CaseIterable {
    case disk, cd, sourceSink, echo, echoAnsweringFirst, tablet, mouse

    func make(_ loop: EventLoop) throws -> VirtualDevice {
      let log = Log(level: .error)
      switch self {
      case .disk, .cd:
        let geometry = DiskGeometry(
          blocks: 5000, isCD: self == .cd, isReadOnly: self == .cd, serial: "0123456789AB")
        return try VirtualDisk(FakeStore(), geometry, name: "image x", loop: loop, log: log)
      case .sourceSink: return SourceSink(loop: loop)
      case .echo, .echoAnsweringFirst:
        return VirtualEcho(EchoOptions(answersFirst: self == .echoAnsweringFirst), loop: loop)
      case .tablet, .mouse:
        let kind: PointerKind = self == .mouse ? .mouse : .tablet
        let events = try PointerStep.parse(commands: "move 100 200; double; wait 3; wheel -400", for: kind)
        return try VirtualPointer(PointerOptions(kind: kind, events: events), loop: loop, log: log)
      }
    }
  }

  @Test("B2.8, B5.4", arguments: Kind.allCases, 0..<6 as Range<UInt64>)
  func anything(kind: Kind, seed: UInt64) throws {
    let loop = try EventLoop()
    let device = try kind.make(loop)
    var limits = SessionLimits()
    limits.maxBadPackets = .max
    limits.maxRequestBytes = 1 << 20
    let guest = try GuestHarness(device, loop: loop, limits: limits, sendBuffer: seed % 2 == 0 ? 4096 : nil)
    var run = Run(guest, seed)
    for _ in 0..<300 { run.step() }
    run.finish()
    let faults = run.faults
    #expect(faults == [], "\(kind), seed \(seed)")
    weak let session = guest.session
    guest.leave()
    #expect(loop.turns { guest.ends.count == 1 })
    #expect(session == nil && device.owner == nil)
  }

  private struct Run {
    private let guest: GuestHarness
    private var random: SeededGenerator
    private var nextID: UInt64 = 1000
    private var open: [UInt64: Int] = [:]
    private(set) var faults: [String] = []

    init(_ guest: GuestHarness, _ seed: UInt64) {
      self.guest = guest
      random = SeededGenerator(seed: seed)
    }

    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    private mutating func chance(_ outOf: Int) -> Bool { number(1...outOf) == 1 }

    private mutating func newID() -> UInt64 {
      nextID += 1
      open[nextID] = 1
      return nextID
    }

    private mutating func bytes(_ most: Int) -> [UInt8] {
      (0..<number(0...most)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    private mutating func endpoint(_ isIn: Bool) -> UInt8 { UInt8(number(1...3)) | (isIn ? 0x80 : 0) }

    mutating func step() {
      let some = UInt64(number(900...999))
      switch number(0...20) {
      case 0: guest.send(guest.start(some, on: endpoint(true)))
      case 1: guest.send(guest.stop(some, on: endpoint(true)))
      case 2: guest.send(guest.startBulk(some, on: endpoint(true), bytes: UInt32(512 * number(0...20))))
      case 3: guest.send(guest.stopBulk(some, on: endpoint(true)))
      case 4, 5: guest.send(guest.bulkOut(newID(), bytes(3000), on: endpoint(false)))
      case 6, 7:
        let wrapper = DiskRig.wrapper(
          UInt32(some), UInt32(number(0...70_000)), isIn: chance(2),
          DiskRig.access(chance(2) ? 0x28 : 0x2a, UInt32(number(0...6000)), UInt16(number(0...140))))
        guest.send(guest.bulkOut(newID(), wrapper, on: 0x02))
      case 8, 9:
        guest.send(guest.bulkIn(newID(), on: chance(2) ? 0x81 : 0x82, length: UInt32(number(0...70_000))))
      case 10: guest.send(guest.interruptOut(newID(), bytes(chance(9) ? 65_535 : 200), on: endpoint(false)))
      case 11:
        let (type, request) = (UInt8(number(0...255)) | 0x80, UInt8(number(0...255)))
        guest.send(
          guest.controlIn(
            newID(), type: chance(2) ? 0xa1 : type, request, value: UInt16(number(0...0x400)),
            index: UInt16(number(0...2)), length: UInt16(number(0...5000))))
      case 12:
        let (type, request) = (UInt8(number(0...127)), UInt8(number(0...255)))
        guest.send(
          guest.controlOut(
            newID(), type: chance(2) ? 0x21 : type, chance(2) ? request : UInt8(number(9...11)),
            value: UInt16(number(0...0x400)), index: UInt16(number(0...2)), bytes(80)))
      case 13: guest.send(guest.clearHalt(newID(), UInt16(endpoint(chance(2)))))
      case 14: guest.send(guest.setAlt(some, 0, UInt8(number(0...1))))
      case 15: if chance(3) { guest.send(guest.setConfiguration(some, UInt8(number(0...1)))) }
      case 16: if chance(2) { guest.send(guest.reset()) }
      case 17:
        if let id = open.keys.sorted().randomElement(using: &random) { guest.send(guest.cancel(id)) }
      case 18:
        guest.send(
          guest.startIso(
            some, on: endpoint(chance(2)), packets: UInt8(number(0...33)), urbs: UInt8(number(0...17))))
      case 19: for _ in 0..<9 { guest.send(guest.isoOut(some, bytes(100), on: endpoint(false))) }
      default: guest.send(guest.stopIso(some, on: endpoint(chance(2))))
      }
      if chance(20) { guest.reads.toggle() }
      if chance(2) { guest.turn() }
      check()
    }

    /// What still waits for the device is taken back.
    mutating func finish() {
      guest.reads = true
      for _ in 0..<3 {
        for id in open.keys.sorted() { guest.send(guest.cancel(id)) }
        for _ in 0..<200 { guest.turn() }
        check()
      }
      if !open.isEmpty { faults.append("without an answer: \(open.keys.sorted())") }
    }

    private mutating func check() {
      for word in guest.take() {
        let parts = word.split(separator: " ").map(String.init)
        switch parts[0] {
        case "control": answered(parts[1])
        case "bulk": answered(parts[2])
        case "interrupt" where parts[1].hasPrefix("0"): answered(parts[2])
        case "REFUSED", "BROKEN", "device_disconnect": faults.append(word)
        default: break
        }
      }
    }

    private mutating func answered(_ number: String) {
      guard let id = UInt64(number.dropFirst()), open.removeValue(forKey: id) != nil else {
        return faults.append("an answer nobody waits for: \(number)")
      }
    }
  }
}
