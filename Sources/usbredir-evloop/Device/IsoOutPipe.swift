// The engine of an isochronous OUT endpoint (B6.3): packets that the guest sends one by one are gathered into
// transfers, and enough of them are kept waiting that the endpoint never runs dry for a hiccup of the network.
//
//             start              half of the buffer is full
//     idle ──────────▶ filling ──────────────────────────────▶ running
//      ▲                 ▲  ▲                                   │   │
//      │ all are back    │  └───── underrun: all are back ──────┘   │
//      │                 └─ halt cleared ── recovering ◀── stall ───┘
//      └── stopping ◀── stop ── filling, running, recovering            any state ── unplug ──▶ gone
//
// Nothing that is sent in real time can wait: a packet for which there is no room is dropped, and so are those
// behind it until half of the buffer is free again.

/// Hears of the transfers' fate. Loop thread only.
protocol IsoOutPipeOwner: PipeOwner {
  /// A transfer, or a packet of it, failed with `status` and the pipe goes on.
  func pipe(_ pipe: IsoOutPipe, failed status: TransferStatus)
  /// The device had sent everything before more came; the pipe fills its buffer again.
  func pipeRanDry(_ pipe: IsoOutPipe)
}

/// One isochronous OUT endpoint's engine. Loop thread only.
final class IsoOutPipe: StreamPipe, TransferOwner {
  enum State {
    case idle
    case filling
    case running
    case recovering
    case stopping
    case gone
  }

  let parameters: PipeParameters
  private(set) var state = State.idle
  private(set) var posted = 0

  private let device: any Device
  unowned(unsafe) private let owner: any IsoOutPipeOwner
  private let pool: BufferPool
  private var transfers: [Transfer] = []
  private var free: Transfer?
  /// The one being filled, and how many packets it has.
  private var current: Transfer?
  private var filled = 0
  /// Full ones that wait for the start, oldest first, and how many they are.
  private var ready: Transfer?
  private var lastReady: Transfer?
  private var readyCount = 0
  private var isDropping = false
  private var postCount: UInt64 = 0
  /// Transfers that failed in a row, and recoveries without a good one in between; counted to one beyond their
  /// limits, which are those of the interrupt engine.
  private var errors = 0
  private var recoveries = 0
  private var isClearingHalt = false
  private var startAgain = false
  private var ending = PipeEnd.stopped

  /// - Parameter owner: outlives the pipe.
  init(_ parameters: PipeParameters, device: any Device, owner: any IsoOutPipeOwner) {
    precondition(parameters.isoPackets >= 1 && parameters.depth >= 1)
    self.parameters = parameters
    self.device = device
    unsafe self.owner = owner
    pool = BufferPool(capacity: parameters.transferLength, keep: 0)
  }

  deinit {
    for transfer in transfers { transfer.buffer?.release() }
  }

  var isIdle: Bool { state == .idle }

  var isStarted: Bool {
    switch state {
    case .filling, .running, .recovering: true
    case .stopping: startAgain
    case .idle, .gone: false
    }
  }

  /// Transfers that make half of the buffer, one at least.
  private var half: Int { (parameters.depth + 1) / 2 }

  // MARK: one way in

  /// Takes packets from now on. Right behind `stop` it takes effect as soon as that has ended.
  func start() {
    switch state {
    case .idle: begin()
    case .stopping: startAgain = true
    case .filling, .running, .recovering, .gone: break
    }
  }

  @discardableResult func stop() -> Bool {
    switch state {
    case .idle, .gone: return false
    case .stopping:
      startAgain = false
      ending = .stopped
    case .filling, .recovering: end(.stopped, cancel: false)
    case .running: end(.stopped, cancel: true)
    }
    return true
  }

  /// The guest's next packet, at most `packetLength` bytes; false when it was dropped.
  func put(_ data: Span<UInt8>) -> Bool {
    guard state == .filling || state == .running, let transfer = room() else { return false }
    transfer.packets[filled].length = UInt16(data.count)
    transfer.buffer?.append(data)
    transfer.length += data.count
    filled += 1
    if filled == parameters.isoPackets { isFull(transfer) }
    return true
  }

  func deviceGone() {
    guard state != .gone else { return }
    let wasIdle = state == .idle
    state = .gone
    if !wasIdle && posted == 0 { finish(.gone) }
  }

  // MARK: what the owner does for the pipe

  func cancelPosted() {
    cancelYoungestFirst(transfers, on: device)
  }

  func haltCleared(_ success: Bool) {
    guard isClearingHalt else { return }
    isClearingHalt = false
    switch state {
    case .recovering: if success { begin() } else { finish(.stalled) }
    case .stopping: finish(ending)
    case .idle, .filling, .running, .gone: break
    }
  }

  // MARK: filling

  private func begin() {
    makeTransfers()
    state = .filling
    isDropping = false
    filled = 0
    current = nil
    ready = nil
    lastReady = nil
    readyCount = 0
    free = nil
    for transfer in transfers { rest(transfer) }
  }

  /// The transfer that the next packet goes into; nil when there is no room (B6.3).
  private func room() -> Transfer? {
    if isDropping && posted > parameters.depth / 2 { return nil }
    isDropping = false
    if let current { return current }
    guard let transfer = free else {
      isDropping = true
      return nil
    }
    free = transfer.next
    transfer.next = nil
    transfer.length = 0
    // There may be memory by now that there was not when the stream began.
    if transfer.buffer == nil { transfer.buffer = pool.takeIfPossible() }
    transfer.buffer?.setPayload(count: 0)
    current = transfer
    filled = 0
    return transfer
  }

  private func isFull(_ transfer: Transfer) {
    current = nil
    if state == .running { return post(transfer) }
    if let lastReady { lastReady.next = transfer } else { ready = transfer }
    lastReady = transfer
    readyCount += 1
    if readyCount >= half { run() }
  }

  private func run() {
    state = .running
    lastReady = nil
    readyCount = 0
    while let transfer = ready {
      ready = transfer.next
      transfer.next = nil
      post(transfer)
    }
  }

  private func post(_ transfer: Transfer) {
    transfer.owner = self
    transfer.tag = postCount
    postCount += 1
    posted += 1
    device.submit(transfer)
  }

  // MARK: completions

  func completed(_ transfer: Transfer) {
    posted -= 1
    rest(transfer)
    if transfer.status == .deviceGone {
      state = .gone
    } else if state == .running {
      settle(transfer)
    }
    if posted == 0 { drained() }
  }

  private func settle(_ transfer: Transfer) {
    switch transfer.status {
    case .completed: sent(transfer)
    case .stalled:
      state = .recovering
      if posted > 0 { unsafe owner.pipeNeedsCancel(self) }
    case .noMemory, .refused:
      // Fewer posted transfers still send; none at all do not.
      if posted == 0 { return end(.failed(transfer.status), cancel: false) }
      unsafe owner.pipe(self, failed: transfer.status)
    case .failed, .timedOut, .overflow: failed(transfer.status)
    case .cancelled, .deviceGone: break
    }
  }

  private func sent(_ transfer: Transfer) {
    for index in 0..<transfer.packets.count where transfer.packets[index].status != .completed {
      // Lost on the bus: isochronous packets are not sent again.
      return unsafe owner.pipe(self, failed: transfer.packets[index].status)
    }
    errors = 0
    recoveries = 0
  }

  private func failed(_ status: TransferStatus) {
    errors = min(errors + 1, InterruptPipe.maxErrors + 1)
    if errors > InterruptPipe.maxErrors { return end(.failed(status), cancel: true) }
    unsafe owner.pipe(self, failed: status)
  }

  /// Everything is back.
  private func drained() {
    guard !isClearingHalt else { return }
    switch state {
    case .running:
      state = .filling
      unsafe owner.pipeRanDry(self)
    case .recovering: clearHalt()
    case .stopping: finish(ending)
    case .gone: finish(.gone)
    case .idle, .filling: break
    }
  }

  private func clearHalt() {
    recoveries = min(recoveries + 1, InterruptPipe.maxRecoveries + 1)
    if recoveries > InterruptPipe.maxRecoveries { return finish(.stalled) }
    isClearingHalt = true
    unsafe owner.pipeNeedsClearHalt(self)
  }

  // MARK: the end

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

  // MARK: transfers

  private func makeTransfers() {
    while transfers.count < parameters.depth {
      let transfer = device.makeTransfer(isoPackets: parameters.isoPackets)
      transfer.type = parameters.type
      transfer.endpoint = parameters.endpoint
      transfers.append(transfer)
    }
    for transfer in transfers where transfer.buffer == nil { transfer.buffer = pool.takeIfPossible() }
  }

  private func rest(_ transfer: Transfer) {
    transfer.next = free
    free = transfer
  }
}
