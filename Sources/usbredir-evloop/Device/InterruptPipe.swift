// The interrupt engine (B4): keeps transfers posted on one IN endpoint and hands out what they bring, in
// order and without loss. Continuous receiving for interrupt, buffered bulk and isochronous endpoints (of the
// last, the packets of a transfer are handed out together), and one-shot reads.
//
//                       start                  waiting ≥ high mark, or pause
//     idle ────────────────────────▶ receiving ◀───────────────────────────▶ pausing
//      │ ▲                            │   │ ▲                                  │
//      │ │ all back                   │   └─┴── stall: cancel, clear halt ── recovering
//      │ └──────────── stopping ◀─────┴──────────── stop ──────────────────────┘
//      │                   ▲                                                any state ── unplug ──▶ gone
//      └──── readOnce ─────┴── one report, timeout or error
//
// A completed transfer gets a fresh buffer and is submitted again before its data is looked at: while
// receiving, the endpoint is never without a posted transfer. In `pausing` completed transfers stay
// un-posted, so the device holds its report (NAK) as it would with a slow kernel driver.

/// Gets a pipe's reports, and does for it what takes time. Loop thread only.
protocol InterruptPipeOwner: PipeOwner {
  /// A report; the buffer's payload is the data and belongs to the receiver now.
  func pipe(_ pipe: InterruptPipe, received buffer: PacketBuffer, sequence: UInt64)
  /// An isochronous transfer; the buffer, which belongs to the receiver now, has `packetLength` bytes for each of
  /// `packets`.
  func pipe(
    _ pipe: InterruptPipe, received packets: [IsoPacket], in buffer: PacketBuffer, sequence: UInt64)
  /// A transfer failed with `status` and the pipe goes on.
  func pipe(_ pipe: InterruptPipe, failed status: TransferStatus, sequence: UInt64)
  /// `pipe.delayPassed()` has to be called after so many milliseconds.
  func pipeNeedsDelay(_ pipe: InterruptPipe, milliseconds: UInt32)
  /// Completed transfers stay un-posted from now on: the device has to hold its reports.
  func pipePaused(_ pipe: InterruptPipe)
  func pipeResumed(_ pipe: InterruptPipe)
}

/// One IN endpoint's engine, made when the endpoint is first used and kept until the device goes. Loop thread
/// only.
final class InterruptPipe: StreamPipe, TransferOwner, BufferPoolOwner {
  enum State {
    case idle
    case receiving
    case pausing
    case recovering
    case stopping
    case reading
    case gone
  }

  /// B4.9: reports that may wait for the socket before completed transfers stay un-posted, and where that
  /// ends.
  static let highWater = 256
  static let lowWater = 64
  /// B4.5: recoveries from a stall without a good report in between.
  static let maxRecoveries = 8
  /// B4.7: errors in a row.
  static let maxErrors = 16

  let parameters: PipeParameters
  private(set) var state = State.idle
  private(set) var posted = 0
  /// How often completed transfers had to stay un-posted.
  private(set) var pauses: UInt64 = 0
  /// B4.7, B4.5: errors in a row, recoveries without a good report. Counted to one beyond their limits: the
  /// guest may restart for ever.
  private(set) var errors = 0
  private(set) var recoveries = 0

  private let device: any TransferTaker
  unowned(unsafe) private let owner: any InterruptPipeOwner
  private let pool: BufferPool
  private var transfers: [Transfer] = []
  private var resting: Transfer?
  private var postCount: UInt64 = 0
  private var sequence: UInt64 = 0
  private var clearingHalt = false
  private var delaying = false
  private var pausedByOwner = false
  private var startAgain = false
  private var oneShot = false
  private var ending = PipeEnd.stopped

  /// - Parameter owner: outlives the pipe.
  init(_ parameters: PipeParameters, device: any TransferTaker, owner: any InterruptPipeOwner) {
    precondition(parameters.depth >= 1 && parameters.depth <= 64)
    self.parameters = parameters
    self.device = device
    unsafe self.owner = owner
    // Of large buffers no more lie idle than are posted.
    let keep = min(parameters.depth + InterruptPipe.lowWater, (1 << 20) / max(1, parameters.transferLength))
    pool = BufferPool(capacity: parameters.transferLength, keep: max(parameters.depth, keep))
    unsafe pool.owner = self
  }

  deinit {
    unsafe pool.owner = nil
  }

  /// Reports handed out whose buffer has not come back yet.
  var waiting: Int { pool.inUse - posted }

  var isIdle: Bool { state == .idle }

  var isStarted: Bool {
    switch state {
    case .receiving, .pausing, .recovering: true
    case .stopping: startAgain
    case .idle, .reading, .gone: false
    }
  }

  // MARK: one way in

  /// Starts receiving from sequence 0. Right behind `stop` it takes effect as soon as that has ended; while
  /// receiving it changes nothing. There is no timeout: polling ends by `stop`, a stall, errors or the
  /// device's end.
  func start() {
    switch state {
    case .idle: begin()
    case .stopping: startAgain = true
    case .receiving, .pausing, .recovering, .reading, .gone: break
    }
  }

  /// Ends receiving or a one-shot read: what has completed is handed out first.
  @discardableResult func stop() -> Bool {
    switch state {
    case .idle, .gone: return false
    case .stopping:
      // It may be ending by itself: who stops it wants no other reason, and no start that came before.
      startAgain = false
      ending = .stopped
    case .recovering: end(.stopped, cancel: false)
    case .receiving, .pausing, .reading: end(.stopped, cancel: true)
    }
    return true
  }

  /// Posts a single transfer; its report with sequence 0, then `ended`. Only while idle: returns false
  /// otherwise.
  /// - Parameter timeout: milliseconds, 0 for none.
  func readOnce(timeout: UInt32) -> Bool {
    guard state == .idle else { return false }
    makeTransfers()
    guard let transfer = takeResting() else { return false }
    state = .reading
    oneShot = true
    sequence = 0
    transfer.timeout = timeout
    post(transfer)
    return true
  }

  /// Leaves completed transfers un-posted until `resume`.
  func pause() {
    pausedByOwner = true
    if state == .receiving { enterPausing() }
  }

  func resume() {
    pausedByOwner = false
    leavePausing()
  }

  func deviceGone() {
    guard state != .gone else { return }
    let wasIdle = state == .idle
    leave()
    if !wasIdle && posted == 0 { finish(.gone) }
  }

  /// The end follows when everything is back.
  private func leave() {
    state = .gone
    startAgain = false
  }

  // MARK: what the owner does for the pipe

  func cancelPosted() {
    cancelYoungestFirst(transfers, on: device)
  }

  func haltCleared(_ success: Bool) {
    guard clearingHalt else { return }
    clearingHalt = false
    switch state {
    case .recovering:
      if success && !oneShot && parameters.stallPolicy == .clearAndRestart {
        begin()
      } else {
        finish(.stalled)
      }
    case .stopping: finish(ending)
    case .idle, .receiving, .pausing, .reading, .gone: break
    }
  }

  func delayPassed() {
    guard delaying else { return }
    delaying = false
    if state == .receiving { postResting() }
  }

  // MARK: completions

  func completed(_ transfer: Transfer) {
    posted -= 1
    let status = transfer.status
    let length = transfer.actualLength
    let buffer = transfer.buffer
    transfer.buffer = nil
    if status == .completed && (state == .receiving || state == .pausing) {
      errors = 0
      recoveries = 0
      repost(transfer)
      deliver(transfer, buffer, length)
      if isForbidden(length) && (state == .receiving || state == .pausing) {
        end(.failed(.completed), cancel: true)
      }
    } else {
      settle(transfer, status, buffer, length)
      if posted == 0 { drained() }
    }
  }

  func bufferReturned(to pool: BufferPool) {
    leavePausing()
  }

  private func repost(_ transfer: Transfer) {
    if state == .receiving && waiting >= InterruptPipe.highWater { enterPausing() }
    if state == .receiving { post(transfer) } else { rest(transfer) }
  }

  /// The transfer may be posted again already; what became of its packets is still there.
  private func deliver(_ transfer: Transfer, _ buffer: PacketBuffer?, _ length: Int) {
    guard let buffer else { return }
    let number = sequence
    sequence += 1
    if parameters.type == .isochronous {
      buffer.setPayload(count: parameters.transferLength)
      return unsafe owner.pipe(self, received: transfer.packets, in: buffer, sequence: number)
    }
    buffer.setPayload(count: length)
    unsafe owner.pipe(self, received: buffer, sequence: number)
  }

  private func isForbidden(_ length: Int) -> Bool {
    length < parameters.transferLength && !parameters.shortTransfersAllowed
  }

  /// A completion outside of steady receiving.
  private func settle(
    _ transfer: Transfer, _ status: TransferStatus, _ buffer: PacketBuffer?, _ length: Int
  ) {
    rest(transfer)
    let before = state
    if status == .completed || (status == .cancelled && length > 0 && parameters.type != .isochronous) {
      deliver(transfer, buffer, length)
    } else {
      buffer?.release()
    }
    // Whoever got the report may have stopped or started the pipe: then this completion is of the past.
    guard state == before else { return }
    if status == .deviceGone { return leave() }
    switch state {
    case .receiving, .pausing: disturbed(by: status)
    case .reading: readEnded(status, length)
    case .idle, .recovering, .stopping, .gone: break
    }
  }

  private func disturbed(by status: TransferStatus) {
    switch status {
    case .stalled:
      state = .recovering
      if posted > 0 { unsafe owner.pipeNeedsCancel(self) }
    // Fewer posted transfers still receive; none at all do not.
    case .noMemory: if state == .receiving && posted == 0 && !delaying { starved() }
    case .refused: if state == .receiving && posted == 0 && !delaying { end(.failed(status), cancel: false) }
    case .failed, .timedOut, .overflow: failed(status)
    case .cancelled:
      // Nobody here asked for it: a cancel meant for what was posted before a stop, perhaps.
      if state == .receiving && !delaying { postResting() }
    case .completed, .deviceGone: break
    }
  }

  /// B4.7: the first error is forgiven at once, further ones ever later, too many end it.
  private func failed(_ status: TransferStatus) {
    errors = min(errors + 1, InterruptPipe.maxErrors + 1)
    let number = sequence
    sequence += 1
    unsafe owner.pipe(self, failed: status, sequence: number)
    guard state == .receiving || state == .pausing else { return }
    if errors > InterruptPipe.maxErrors { return end(.failed(status), cancel: true) }
    if errors == 1 {
      if state == .receiving { postResting() }
    } else if !delaying {
      delay(13 * (errors - 1))
    }
  }

  /// B4.1: what takes the memory may be another device's transfers, and those come back.
  private func starved() {
    errors = min(errors + 1, InterruptPipe.maxErrors + 1)
    if errors > InterruptPipe.maxErrors { return end(.failed(.noMemory), cancel: false) }
    delay(13 * errors)
  }

  private func delay(_ milliseconds: Int) {
    delaying = true
    unsafe owner.pipeNeedsDelay(self, milliseconds: UInt32(min(100, milliseconds)))
  }

  private func readEnded(_ status: TransferStatus, _ length: Int) {
    switch status {
    case .completed:
      recoveries = 0
      ending = isForbidden(length) ? .failed(.completed) : .finished
    case .stalled:
      if parameters.stallPolicy == .report { ending = .stalled } else { state = .recovering; return }
    case .failed, .timedOut, .cancelled, .deviceGone, .overflow, .noMemory, .refused: ending = .failed(status)
    }
    state = .stopping
  }

  /// Everything is back.
  private func drained() {
    guard !clearingHalt else { return }
    switch state {
    case .stopping: finish(ending)
    case .recovering: clearHalt()
    case .gone: finish(.gone)
    case .idle, .receiving, .pausing, .reading: break
    }
  }

  private func clearHalt() {
    recoveries = min(recoveries + 1, InterruptPipe.maxRecoveries + 1)
    if parameters.stallPolicy == .report || recoveries > InterruptPipe.maxRecoveries {
      return finish(.stalled)
    }
    clearingHalt = true
    unsafe owner.pipeNeedsClearHalt(self)
  }

  // MARK: states

  private func begin() {
    makeTransfers()
    oneShot = false
    sequence = 0
    state = .receiving
    if pausedByOwner || waiting >= InterruptPipe.highWater { enterPausing() }
    // The pause after an error belongs to the endpoint: a guest that restarts at once does not shorten it.
    if state == .receiving && !delaying { postResting() }
  }

  private func end(_ reason: PipeEnd, cancel: Bool) {
    ending = reason
    state = .stopping
    if posted == 0 { return drained() }
    if cancel { unsafe owner.pipeNeedsCancel(self) }
  }

  private func finish(_ reason: PipeEnd) {
    state = reason == .gone ? .gone : .idle
    for transfer in transfers { transfer.owner = nil }
    let again = startAgain
    startAgain = false
    unsafe owner.pipe(self, ended: reason)
    if again && state == .idle { begin() }
  }

  private func enterPausing() {
    state = .pausing
    pauses += 1
    unsafe owner.pipePaused(self)
  }

  private func leavePausing() {
    guard state == .pausing, !pausedByOwner, waiting <= InterruptPipe.lowWater else { return }
    state = .receiving
    unsafe owner.pipeResumed(self)
    if !delaying { postResting() }
  }

  // MARK: transfers

  private func makeTransfers() {
    while transfers.count < parameters.depth {
      let transfer = device.makeTransfer(isoPackets: parameters.isoPackets)
      transfer.type = parameters.type
      transfer.endpoint = parameters.endpoint
      transfer.length = parameters.transferLength
      transfer.streamID = parameters.streamID
      for index in transfer.packets.indices {
        transfer.packets[index].length = UInt16(parameters.packetLength)
      }
      transfers.append(transfer)
      rest(transfer)
    }
  }

  private func post(_ transfer: Transfer) {
    transfer.buffer = pool.takeIfPossible()
    transfer.owner = self
    transfer.tag = postCount
    postCount += 1
    posted += 1
    device.submit(transfer)
  }

  private func postResting() {
    while let transfer = takeResting() {
      transfer.timeout = 0
      post(transfer)
    }
  }

  private func rest(_ transfer: Transfer) {
    transfer.next = resting
    resting = transfer
  }

  private func takeResting() -> Transfer? {
    guard let transfer = resting else { return nil }
    resting = transfer.next
    transfer.next = nil
    return transfer
  }
}
