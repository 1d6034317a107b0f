// A virtual disk, a store that can be held and broken, and a host that speaks Bulk-Only Transport as Linux does.
import CPosix

@testable import usbredir_evloop

/// Blocks of 512 bytes that exist once they are written; each of the others repeats its number. Used on the
/// worker's thread, and by the test while that has nothing to do.
final class FakeStore: BackingStore {
  /// What was done: `read 0 512`, `write 512 1024`, `sync`.
  var record: [String] = []
  var blocks: [UInt64: [UInt8]] = [:]
  /// errno of reads and writes that touch the block, and of synchronizing.
  var failures: [UInt64: Int32] = [:]
  var syncFailure: Int32 = 0
  /// How often synchronizing fails so before it works again.
  var syncFailures = Int.max
  /// Reads need no waiting; they are recorded as `now 0 512`.
  var isCached = false
  /// Every call takes a byte from here first.
  private var gate: Int32 = -1
  private var opener: Int32 = -1

  deinit {
    if gate >= 0 { _ = (close(gate), close(opener)) }
  }

  /// From now on a call waits until it is let go. Not while one runs.
  func hold() throws {
    (gate, opener) = try unixPair()
  }

  func letGo(_ calls: Int) {
    let bytes = [UInt8](repeating: 0, count: calls)
    _ = unsafe CPosix.write(opener, bytes, calls)
  }

  private func pass() {
    guard gate >= 0 else { return }
    var ready = pollfd(fd: gate, events: Int16(POLLIN), revents: 0)
    _ = unsafe poll(&ready, 1, 60_000)
    var byte: UInt8 = 0
    _ = unsafe CPosix.read(gate, &byte, 1)
  }

  static func block(_ number: UInt64) -> [UInt8] {
    (0..<512).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * ($0 % 8))) }
  }

  func readNow(_ memory: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64) -> Bool {
    guard isCached else { return false }
    record.append("now \(offset) \(count)")
    return unsafe copy(memory, count, offset).error == 0
  }

  func read(_ memory: UnsafeMutableRawPointer, _ count: Int, at offset: UInt64) -> StoreResult {
    pass()
    record.append("read \(offset) \(count)")
    return unsafe copy(memory, count, offset)
  }

  private func copy(_ memory: UnsafeMutableRawPointer, _ count: Int, _ offset: UInt64) -> StoreResult {
    each(count, offset) { block, place in
      unsafe (memory + place).copyMemory(from: blocks[block] ?? FakeStore.block(block), byteCount: 512)
    }
  }

  func write(_ memory: UnsafeRawPointer, _ count: Int, at offset: UInt64) -> StoreResult {
    pass()
    record.append("write \(offset) \(count)")
    return each(count, offset) { block, place in
      blocks[block] = unsafe Array(UnsafeRawBufferPointer(start: memory + place, count: 512))
    }
  }

  private func each(_ count: Int, _ offset: UInt64, _ body: (UInt64, Int) -> Void) -> StoreResult {
    var result = StoreResult()
    while result.count < count {
      let block = (offset + UInt64(result.count)) / 512
      if let error = failures[block] {
        result.error = error
        break
      }
      body(block, result.count)
      result.count += 512
    }
    return result
  }

  func synchronize() -> Int32 {
    pass()
    record.append("sync")
    guard syncFailure != 0, syncFailures > 0 else { return 0 }
    syncFailures -= 1
    return syncFailure
  }
}

/// How a command went: what the data phase brought or took, and the status.
struct DiskOutcome: Equatable, CustomStringConvertible {
  var data: [UInt8] = []
  /// Statuses of the data phase's transfers: `completed 512`, `stalled`.
  var transfers: [String] = []
  /// `passed 0`, `failed 512`, `phase error 36`: the status with its residue.
  var status = ""

  var description: String { (transfers + [status]).joined(separator: ", ") }
}

final class DiskRig {
  let loop: EventLoop
  let store: FakeStore
  let disk: VirtualDisk
  let user: VirtualUser
  var lines: [String] { told.all }
  private let told = KeyboardRig.Lines()
  private var tag: UInt32 = 1

  init(_ geometry: DiskGeometry = DiskGeometry(blocks: 2048, serial: "0123456789AB")) throws {
    loop = try EventLoop()
    store = FakeStore()
    let told = told
    let log = Log(level: .info) { _, text in told.all.append(text) }
    disk = try VirtualDisk(store, geometry, name: "image x", loop: loop, log: log)
    user = VirtualUser(loop, disk)
  }

  /// A disk with a store of its own.
  init(_ disk: VirtualDisk, _ loop: EventLoop) {
    self.loop = loop
    self.disk = disk
    store = FakeStore()
    user = VirtualUser(loop, disk)
  }

  // MARK: transfers

  /// Runs the loop until the transfer is back.
  func settle(_ transfer: Transfer) {
    user.run(turns: 20_000) { transfer.state == .idle }
  }

  /// Sends and waits; how it ended.
  @discardableResult func out(_ bytes: [UInt8]) -> TransferStatus {
    let transfer = user.submit(0x02, .bulk, length: bytes.count, data: bytes)
    settle(transfer)
    user.events = []
    return transfer.status
  }

  /// Reads and waits.
  func bringIn(_ length: Int) -> (TransferStatus, [UInt8]) {
    var bytes: [UInt8] = []
    user.onCompleted = nil
    let transfer = user.submit(0x81, .bulk, length: length)
    let buffer = transfer.buffer
    settle(transfer)
    buffer?.withPayload { span in
      for index in 0..<min(transfer.actualLength, span.count) { bytes.append(span[index]) }
    }
    user.events = []
    return (transfer.status, bytes)
  }

  func clearHalt(_ endpoint: UInt8) {
    _ = user.control(0x02, 1, 0, UInt16(endpoint), length: 0)
  }

  static func wrapper(
    _ tag: UInt32, _ length: UInt32, isIn: Bool, _ command: [UInt8], count: Int? = nil
  ) -> [UInt8] {
    var bytes: [UInt8] = [0x55, 0x53, 0x42, 0x43]
    for value in [tag, length] { bytes += (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    bytes += [isIn ? 0x80 : 0, 0, UInt8(count ?? command.count)] + command
    return bytes + [UInt8](repeating: 0, count: max(0, 31 - bytes.count))
  }

  // MARK: commands

  /// Sends a command that expects `length` bytes in, reads them with transfers of at most `piece`, and the
  /// status.
  func ask(_ command: [UInt8], _ length: Int, piece: Int = 1 << 20) -> DiskOutcome {
    var outcome = DiskOutcome()
    start(command, length, isIn: true)
    while outcome.data.count < length {
      let want = min(piece, length - outcome.data.count)
      let (status, bytes) = bringIn(want)
      outcome.data += bytes
      outcome.transfers.append(status == .completed ? "completed \(bytes.count)" : "\(status)")
      if status == .stalled { clearHalt(0x81) }
      if status != .completed || bytes.count < want { break }
    }
    outcome.status = status()
    return outcome
  }

  /// Sends a command and its data in transfers of at most `piece`, and reads the status. `length`: what the
  /// wrapper says, when that differs.
  func tell(_ command: [UInt8], _ data: [UInt8] = [], length: Int? = nil, piece: Int = 1 << 20) -> DiskOutcome
  {
    var outcome = DiskOutcome()
    start(command, length ?? data.count, isIn: false)
    var sent = 0
    while sent < data.count {
      let count = min(piece, data.count - sent)
      let status = out(Array(data[sent..<sent + count]))
      outcome.transfers.append(status == .completed ? "completed \(count)" : "\(status)")
      if status == .stalled { clearHalt(0x02) }
      if status != .completed { break }
      sent += count
    }
    outcome.status = status()
    return outcome
  }

  func start(_ command: [UInt8], _ length: Int, isIn: Bool) {
    tag &+= 1
    out(DiskRig.wrapper(tag, UInt32(length), isIn: isIn, command))
  }

  /// The status wrapper, behind a halt that is cleared if there is one.
  func status() -> String {
    var (status, bytes) = bringIn(13)
    var halt = ""
    if status == .stalled {
      halt = "stalled, "
      clearHalt(0x81)
      (status, bytes) = bringIn(13)
    }
    guard status == .completed, bytes.count == 13 else { return "\(status) \(bytes)" }
    guard bytes.span.u32(at: 0) == 0x5342_5355, bytes.span.u32(at: 4) == tag else { return "wrong \(bytes)" }
    return halt + ["passed", "failed", "phase error"][Int(bytes[12])] + " \(bytes.span.u32(at: 8))"
  }

  /// What REQUEST SENSE says: `05/20/00`, and the block when there is one.
  func sense() -> String {
    let bytes = ask([3, 0, 0, 0, 18, 0], 18).data
    guard bytes.count == 18 else { return "no sense" }
    let text = [bytes[2], bytes[12], bytes[13]].map { Hex.text(UInt32($0), digits: 2) }
    let block = bytes[3..<7].reduce(0) { $0 << 8 | UInt32($1) }
    return text.joined(separator: "/") + (bytes[0] & 0x80 != 0 ? " block \(block)" : "")
  }

  /// READ (10) or WRITE (10).
  static func access(_ operation: UInt8, _ block: UInt32, _ count: UInt16, flags: UInt8 = 0) -> [UInt8] {
    [operation, flags] + (0..<4).map { UInt8(truncatingIfNeeded: block >> (24 - 8 * $0)) } + [0]
      + [UInt8(count >> 8), UInt8(count & 0xff), 0]
  }

  func read(_ block: UInt32, _ count: UInt16, piece: Int = 1 << 20) -> DiskOutcome {
    ask(DiskRig.access(0x28, block, count), Int(count) * 512, piece: piece)
  }

  func write(_ block: UInt32, _ data: [UInt8], flags: UInt8 = 0, piece: Int = 1 << 20) -> DiskOutcome {
    tell(DiskRig.access(0x2a, block, UInt16(data.count / 512), flags: flags), data, piece: piece)
  }

  /// The guest leaves; runs until the disk is closed.
  func close() {
    var isClosed = false
    disk.close { isClosed = true }
    user.run(turns: 20_000) { isClosed }
  }

  /// Bulk-Only Mass Storage Reset, then both halts cleared. BOT 5.3.4.
  func recover() -> String {
    let answer = user.control(0x21, 0xff, 0, 0, length: 0)
    clearHalt(0x81)
    clearHalt(0x02)
    return answer
  }
}
