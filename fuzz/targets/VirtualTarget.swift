// The devices that live in the process, each behind a whole session, under whatever a guest asks of them: control
// requests, transfers of any length and kind, SCSI commands, cancels, settings.

func fuzzVirtual(_ input: FuzzInput) {
  var input = input
  let turns = FuzzLoop()
  let kind = input.number(8)
  let device: VirtualDevice
  do {
    device = try make(kind, &input, turns)
  } catch {
    return check(false, "no device")
  }
  let endpoints: [UInt8] = kind < 3 ? [0x81, 0x02, 0x02] : [0x81, 0x01, 0x82, 0x02, 0x83, 0x03]
  let rig = SessionRig(turns, device, endpoints: endpoints, &input)
  while !input.isEmpty {
    switch input.byte() {
    case 0..<0xa0: rig.act(&input)
    case 0xa0..<0xa8: rig.toggleReading()
    case 0xfc...0xff: turns.pass(milliseconds: UInt64(input.byte()) * 50)
    default: rig.turn()
    }
  }
  turns.settle()
  rig.finish()
}

private func make(_ kind: Int, _ input: inout FuzzInput, _ turns: FuzzLoop) throws -> VirtualDevice {
  let (loop, log) = (turns.loop, turns.log)
  switch kind {
  case 0, 1, 2:
    let geometry = DiskGeometry(
      blocks: 2000, isCD: kind == 1, isReadOnly: kind > 0, serial: "0123456789AB")
    return try VirtualDisk(MemoryStore(isCached: kind != 0), geometry, name: "fuzz", loop: loop, log: log)
  case 3:
    return try VirtualKeyboard(KeyboardOptions(text: "Hello, World!\n"), loop: loop, log: log)
  case 4, 5:
    let pointer: PointerKind = kind == 4 ? .tablet : .mouse
    let events = try PointerStep.parse(commands: "move 100 200; press; wheel -400; release", for: pointer)
    return try VirtualPointer(
      PointerOptions(kind: pointer, events: events), loop: loop, log: log)
  case 6: return VirtualEcho(EchoOptions(answersFirst: input.byte() & 1 != 0), loop: loop)
  default: return SourceSink(loop: loop)
  }
}

/// An image in memory, of which the blocks that were never written are zeros. Some of it cannot be read or written.
private final class MemoryStore: BackingStore {
  private static let broken = 1_000_000..<1_001_000 as Range<UInt64>
  private let isCached: Bool
  private var written: [UInt8] = []

  init(isCached: Bool) {
    self.isCached = isCached
  }

  func readNow(_ memory: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64) -> Bool {
    guard isCached else { return false }
    return unsafe read(memory, count, at: offset).error == 0
  }

  func read(_ memory: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64) -> StoreResult {
    if MemoryStore.broken.contains(offset) { return StoreResult(count: 0, error: 5) }
    unsafe memory.initializeMemory(
      as: UInt8.self, repeating: UInt8(truncatingIfNeeded: offset >> 9), count: count)
    return StoreResult(count: count)
  }

  func write(_ memory: UnsafeRawPointer, _ count: Int, at offset: UInt64) -> StoreResult {
    if MemoryStore.broken.contains(offset) { return StoreResult(count: 0, error: 5) }
    // The sanitizer sees a range that is not there.
    written = unsafe Array(UnsafeRawBufferPointer(start: memory, count: count))
    return StoreResult(count: count)
  }

  func synchronize() -> Int32 { 0 }
}
