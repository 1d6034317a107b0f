// The blocks of one command on their way between the backing store and the guest's transfers, in chunks: the worker
// fills or empties one while the loop copies another. Transfers themselves are never seen by the worker, so they may go
// back at any moment.
//
//     reading   store ──worker──▶ chunk, chunk, chunk ──loop──▶ IN transfers    (a short one: store ──loop──▶ chunk)
//     writing   OUT transfers ──loop──▶ chunk, chunk, chunk ──worker──▶ store

/// One chunk and what is to be done with it. Loop thread but for `work`.
@safe final class DiskJob: WorkerJob {
  enum Kind {
    case read
    case write
    case synchronize
  }

  /// What Linux and Windows move with one command at most (120 and 64 KiB) goes in one piece. The four chunks
  /// of a disk are 512 KiB, of which only what was once used is resident.
  static let capacity = 128 << 10

  fileprivate var kind = Kind.synchronize
  fileprivate var offset: UInt64 = 0
  fileprivate var count = 0
  fileprivate var result = StoreResult()
  /// Bytes that the loop has copied out of it, or into it.
  fileprivate var copied = 0
  /// The command it belongs to.
  fileprivate var command: UInt32 = 0
  fileprivate var isDone = false
  fileprivate var next: DiskJob?
  fileprivate let memory: UnsafeMutableRawPointer
  private let store: any BackingStore
  unowned(unsafe) private let queue: DiskQueue

  fileprivate init(_ queue: DiskQueue, _ store: any BackingStore) {
    unsafe self.queue = queue
    self.store = store
    unsafe memory = UnsafeMutableRawPointer.allocate(byteCount: DiskJob.capacity, alignment: 4096)
  }

  deinit {
    unsafe memory.deallocate()
  }

  override func work() {
    switch kind {
    case .read: result = unsafe store.read(memory, count, at: offset)
    case .write: result = unsafe store.write(memory, count, at: offset)
    case .synchronize: result = StoreResult(error: store.synchronize())
    }
  }

  override func finished() {
    unsafe queue.finished(self)
  }
}

/// Told when something has come back from the worker. Loop thread only.
protocol DiskQueueOwner: AnyObject {
  func diskQueueMoved()
}

/// The I/O of one disk; one command at a time. Loop thread only.
final class DiskQueue {
  /// What went wrong first, and where; what lies before it has moved.
  struct Fault {
    let kind: DiskJob.Kind
    let error: Int32
    let offset: UInt64
  }

  static let chunks = 4

  /// Set once; outlives the queue.
  unowned(unsafe) var owner: (any DiskQueueOwner)?
  /// Why the command cannot be done in full; nil while all is well.
  private(set) var fault: Fault?
  /// Bytes that are written, of a command that writes.
  private(set) var written: UInt64 = 0
  /// Something was written since the last synchronize began.
  private(set) var isDirty = false
  /// errno of a synchronize that was given up before it failed; 0 for none.
  private var untold: Int32 = 0
  /// Jobs that the worker has, those of commands that were given up included.
  private(set) var out = 0
  private let store: any BackingStore
  private let worker: Worker
  private var command: UInt32 = 0
  private var kind = DiskJob.Kind.read
  /// What of the command no job has been given yet.
  private var rest = DiskRange(offset: 0, count: 0)
  /// Nobody takes what is read.
  private var discards = false
  private var wantsSync = false
  /// Jobs of this command that the worker has.
  private var pending = 0
  /// What is read, in order: the first may be done and half copied.
  private var first: DiskJob?
  private var last: DiskJob?
  /// What is being filled for a write.
  private var filling: DiskJob?
  private var free: DiskJob?

  init(_ store: any BackingStore, loop: EventLoop) throws(SystemError) {
    self.store = store
    worker = try Worker(loop, name: "disk")
    for _ in 0..<DiskQueue.chunks { recycle(DiskJob(self, store)) }
  }

  /// True when everything of this command is done.
  var isIdle: Bool { pending == 0 && rest.count == 0 && first == nil && filling == nil && !wantsSync }

  // MARK: commands

  /// Reads ahead of `take`. `discarding`: only to see whether it can be read.
  func read(_ range: DiskRange, discarding: Bool = false) {
    begin(.read, range)
    discards = discarding
    if !readAtOnce() { advance() }
  }

  /// Writes what `put` brings.
  func write(_ range: DiskRange) {
    begin(.write, range)
  }

  /// Brings to the medium what was written, behind everything that the worker has.
  func synchronize() {
    wantsSync = true
    advance()
  }

  /// Forgets the command. What the worker has of it is done all the same.
  func giveUp() {
    command &+= 1
    pending = 0
    wantsSync = false
    written = 0
    rest.count = 0
    fault = nil
    while let job = first {
      first = job.next
      if job.isDone { recycle(job) }
    }
    last = nil
    if let filling { recycle(filling) }
    filling = nil
  }

  private func begin(_ kind: DiskJob.Kind, _ range: DiskRange) {
    giveUp()
    self.kind = kind
    rest = range
  }

  // MARK: reading

  /// Copies at most `room` bytes that have been read; 0 when there are none at the moment, or there was a fault.
  func take(into memory: UnsafeMutableRawPointer, _ room: Int) -> Int {
    var taken = 0
    while taken < room, let job = first, job.isDone {
      let count = min(room - taken, job.result.count - job.copied)
      unsafe (memory + taken).copyMemory(from: job.memory + job.copied, byteCount: count)
      job.copied += count
      taken += count
      settle()
    }
    return taken
  }

  /// Gives the worker what it can be given.
  private func advance() {
    if kind == .read { readAhead() }
    if wantsSync, let job = takeFree(.synchronize, 0) {
      wantsSync = false
      isDirty = false
      run(job)
    }
  }

  /// What is in the kernel's memory already costs a fifth of the way through the worker, and no more than one
  /// chunk of the loop's time.
  private func readAtOnce() -> Bool {
    guard out == 0, 1...UInt64(DiskJob.capacity) ~= rest.count, let job = takeFree(.read, rest.offset) else {
      return false
    }
    job.count = Int(rest.count)
    guard unsafe store.readNow(job.memory, job.count, at: job.offset) else {
      recycle(job)
      return false
    }
    job.result = StoreResult(count: job.count)
    job.isDone = true
    skip(job.count)
    first = job
    last = job
    settle()
    return true
  }

  private func readAhead() {
    while rest.count > 0, let job = takeFree(.read, rest.offset) {
      job.count = Int(min(rest.count, UInt64(DiskJob.capacity)))
      skip(job.count)
      if let last { last.next = job } else { first = job }
      last = job
      run(job)
    }
  }

  /// Lets go of jobs whose bytes are taken, and gives them more to do.
  private func settle() {
    while let job = first, job.isDone {
      if discards { job.copied = job.result.count }
      guard job.copied == job.result.count else { return }
      if job.result.error != 0 { return failed(job) }
      first = job.next
      if first == nil { last = nil }
      recycle(job)
      readAhead()
    }
  }

  private func failed(_ job: DiskJob) {
    let fault = Fault(kind: .read, error: job.result.error, offset: job.offset + UInt64(job.result.count))
    giveUp()
    self.fault = fault
  }

  // MARK: writing

  /// Takes at most `count` bytes; 0 while all chunks are full.
  func put(_ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    var put = 0
    while put < count, rest.count > 0 || filling != nil {
      guard let job = filling ?? beginFilling() else { break }
      let more = min(count - put, job.count - job.copied)
      unsafe (job.memory + job.copied).copyMemory(from: bytes + put, byteCount: more)
      job.copied += more
      put += more
      if job.copied == job.count { runFilled(job) }
    }
    return put
  }

  /// The host has sent less than it said: whole blocks of `size` bytes are written.
  func endWriting(blockSize size: Int) {
    guard kind == .write else { return }
    rest.count = 0
    guard let job = filling else { return }
    job.count = job.copied / size * size
    if job.count > 0 { return runFilled(job) }
    filling = nil
    recycle(job)
  }

  private func beginFilling() -> DiskJob? {
    guard let job = takeFree(.write, rest.offset) else { return nil }
    job.count = Int(min(rest.count, UInt64(DiskJob.capacity)))
    skip(job.count)
    filling = job
    return job
  }

  private func runFilled(_ job: DiskJob) {
    filling = nil
    isDirty = true
    run(job)
  }

  // MARK: jobs

  fileprivate func finished(_ job: DiskJob) {
    out -= 1
    job.isDone = true
    if job.kind == .synchronize { tellOnce(job) }
    if job.command != command {
      recycle(job)
      advance()
    } else {
      pending -= 1
      if job.kind == .read { settle() } else { finishedOther(job) }
    }
    unsafe owner?.diskQueueMoved()
  }

  /// The system tells once that something did not reach the medium, fdatasync(2): when nobody waits for that any
  /// more, the next to synchronize has to hear of it.
  private func tellOnce(_ job: DiskJob) {
    if job.result.error == 0 { job.result.error = untold }
    untold = job.command == command ? 0 : job.result.error
    if untold != 0 { isDirty = true }
  }

  private func finishedOther(_ job: DiskJob) {
    if fault == nil {
      if job.kind == .write { written += UInt64(job.result.count) }
      if job.result.error != 0 {
        fault = Fault(
          kind: job.kind, error: job.result.error, offset: job.offset + UInt64(job.result.count))
        // Of what the host goes on sending nothing is written.
        endWriting(blockSize: .max)
      }
    }
    recycle(job)
    advance()
  }

  private func takeFree(_ kind: DiskJob.Kind, _ offset: UInt64) -> DiskJob? {
    guard let job = free else { return nil }
    free = job.next
    job.next = nil
    job.kind = kind
    job.offset = offset
    job.copied = 0
    job.isDone = false
    job.command = command
    return job
  }

  private func run(_ job: DiskJob) {
    out += 1
    pending += 1
    worker.run(job)
  }

  private func recycle(_ job: DiskJob) {
    job.next = free
    free = job
  }

  private func skip(_ count: Int) {
    rest.offset += UInt64(count)
    rest.count -= UInt64(count)
  }
}
