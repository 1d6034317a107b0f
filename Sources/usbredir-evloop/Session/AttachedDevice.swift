// One device as one guest has it: its endpoint table, a request queue and a stream for each endpoint that is
// used, and the operations that run on it one at a time. From `attach` to the moment the device is closed
// again.

/// A device on a session. It survives its announcement: after an unplug or the guest's end it lives until
/// every transfer is back and the device is closed. Loop thread only.
final class AttachedDevice: DeviceOwner, InterruptPipeOwner, IsoOutPipeOwner, RequestQueueOwner {
  /// More transfers than this are cancelled off the loop: the kernel waits for each (B3.6).
  static let cancelsOnLoop = 4

  let device: any Device
  let session: Unowned<Session>
  /// What the guest was told.
  var endpoints: EndpointTable
  var streams = [Stream?](repeating: nil, count: EndpointTable.count)
  /// True until the device or the guest goes.
  private(set) var isAttached = true
  /// True when something was transferred since the last reset (B3.5).
  var isUsedSinceReset = true
  /// Bulk streams allocated on each slot, 0 for none (B5.3).
  var bulkStreams = [UInt32](repeating: 0, count: EndpointTable.count)
  /// What its requests hold.
  let budget = RequestBudget()
  private var queues = [RequestQueue?](repeating: nil, count: EndpointTable.count)
  private(set) var operation: Operation?
  private var pending: [Operation] = []
  /// Requests wait for memory (B1.8).
  private var isShortOfMemory = false
  private var isCancelled = false
  private var isClosing = false
  private let closed: (AttachedDevice) -> Void

  /// - Parameters:
  ///   - session: outlives this object; that is why it is told of the end.
  ///   - closed: called once, when the device is closed.
  init(_ device: any Device, session: Session, closed: @escaping (AttachedDevice) -> Void) {
    self.device = device
    self.session = Unowned(session)
    self.closed = closed
    endpoints = EndpointTable(device.model)
    device.owner = self
  }

  /// True while an operation runs or waits: the session reads no further packet.
  var isBusy: Bool { operation != nil || !pending.isEmpty }

  /// The line of requests of an endpoint, made when it is first used. Control has one for both directions.
  func queue(_ endpoint: EndpointAddress) -> RequestQueue {
    let slot = endpoint.number == 0 ? 0 : endpoint.slot
    if let queue = queues[slot] { return queue }
    let queue = RequestQueue(EndpointAddress(slot: slot), device: device, budget: budget, owner: self)
    queues[slot] = queue
    return queue
  }

  /// `cancel_data_packet`: looks in every line; false when nothing has that id.
  func cancel(id: UInt64) -> Bool {
    queues.contains { $0?.cancel(id: id) ?? false }
  }

  // MARK: operations

  /// Runs the operation as soon as those before it are done.
  func enqueue(_ operation: Operation) {
    isUsedSinceReset = true
    pending.append(operation)
    runNext()
  }

  /// Hands a request to the device.
  func submit(_ request: Request) {
    isUsedSinceReset = true
    request.queue?.submit(request)
  }

  /// Answers a request without the device, in its turn.
  func refuse(_ request: Request, _ status: Status) {
    request.queue?.refuse(request, status)
  }

  private func runNext() {
    guard operation == nil, !isClosing else { return }
    guard isAttached else { return giveBack() }
    guard !pending.isEmpty else { return session.value.deviceIsIdle() }
    let next = pending.removeFirst()
    operation = next
    quiesce(next)
  }

  private func quiesce(_ operation: Operation) {
    for (slot, stream) in streams.enumerated() where operation.slots & 1 << UInt32(slot) != 0 {
      guard let stream else { continue }
      stream.isSuspended = stream.pipe.isStarted
      stream.pipe.stop()
    }
    cancelPosted(operation)
  }

  private func cancelPosted(_ operation: Operation) {
    if inFlight(operation.slots) > AttachedDevice.cancelsOnLoop {
      operation.phase = .cancelling
      for slot in 0..<EndpointTable.count where operation.slots & 1 << UInt32(slot) != 0 {
        queues[slot]?.cancelWaiting()
      }
      device.perform(.cancel(slots: operation.slots))
      return
    }
    for slot in 0..<EndpointTable.count where operation.slots & 1 << UInt32(slot) != 0 {
      streams[slot]?.pipe.cancelPosted()
      queues[slot]?.cancelAll()
    }
    operation.phase = .draining
    progress()
  }

  private func inFlight(_ slots: UInt32) -> Int {
    var count = 0
    for slot in 0..<EndpointTable.count where slots & 1 << UInt32(slot) != 0 {
      count += (queues[slot]?.inFlight ?? 0) + (streams[slot]?.pipe.posted ?? 0)
    }
    return count
  }

  /// Something came back: perhaps it was the last one that somebody waited for.
  private func progress() {
    guard let operation, operation.phase == .draining, inFlight(operation.slots) == 0 else { return }
    callNext(operation)
  }

  private func callNext(_ operation: Operation) {
    guard isAttached else { return finish(operation, .deviceGone) }
    guard operation.nextCall < operation.calls.count else { return finish(operation, .done) }
    operation.phase = .calling
    operation.nextCall += 1
    device.perform(operation.calls[operation.nextCall - 1])
  }

  func deviceFinished(_ call: DeviceCall, _ result: DeviceCallResult) {
    guard let operation else { return }
    if operation.phase == .cancelling {
      operation.phase = .draining
      progress()
    } else if result == .done {
      callNext(operation)
    } else {
      finish(operation, result)
    }
  }

  private func finish(_ operation: Operation, _ result: DeviceCallResult) {
    // The guest hears that the device is gone before it hears how the operation ended.
    if result == .deviceGone || result == .changed { session.value.deviceLost(self) }
    self.operation = nil
    conclude(operation, result)
    runNext()
  }

  // MARK: the end

  func deviceGone() {
    session.value.deviceLost(self)
  }

  /// Ends everything without a word to the guest but the answers that it still waits for, and closes the
  /// device when all is back.
  func leave(answering status: Status, isGone: Bool) {
    guard isAttached else { return }
    isAttached = false
    for queue in queues { queue?.answerAll(status) }
    for stream in streams {
      stream?.retry?.stop()
      if isGone { stream?.pipe.deviceGone() } else { stream?.pipe.stop() }
    }
    abandonPending()
    runNext()
  }

  /// Operations that never began; what they would have answered was answered with all other requests.
  private func abandonPending() {
    let abandoned = pending
    pending = []
    for operation in abandoned { conclude(operation, .deviceGone) }
  }

  /// Behind the operation that still ran: cancels everything that is left, then closes the device.
  private func giveBack() {
    guard isCancelled else {
      isCancelled = true
      return cancelEverything()
    }
    isClosing = true
    device.owner = nil
    device.close { [self] in closed(self) }
  }

  /// By the device and not one by one: requests that were answered stand in no line any more.
  private func cancelEverything() {
    let everything = Operation(.cancelPosted, slots: .max, calls: [], reply: .nobody)
    operation = everything
    guard inFlight(.max) > 0 else { return finish(everything, .done) }
    everything.phase = .cancelling
    device.perform(.cancel(slots: .max))
  }

  // MARK: what comes back

  func requestReturned(to queue: RequestQueue) {
    progress()
  }

  func requestFoundDeviceGone() {
    session.value.deviceLost(self)
  }

  func requestFoundNoMemory(_ queue: RequestQueue) {
    let endpoint = queue.endpoint.description
    session.value.warn("\(device.label): no memory for a transfer on \(endpoint), it fails (B1.8)")
  }

  func mayWaitForMemory() -> Bool {
    // What an operation wants back does not wait.
    guard isAttached, operation == nil || operation?.phase == .calling else { return false }
    let others = queues.reduce(0) { $0 + ($1?.inFlight ?? 0) }
    if others > 0 { isShortOfMemory = true }
    return others > 0
  }

  func memoryMayBeFree() {
    guard isShortOfMemory else { return }
    isShortOfMemory = false
    for queue in queues {
      queue?.submitWaiting()
      if queue?.waiting ?? 0 > 0 { isShortOfMemory = true }
    }
  }

  func answer(_ request: Request) {
    session.value.answer(request)
  }

  func pipeNeedsCancel(_ pipe: any StreamPipe) {
    let slot = UInt32(1) << UInt32(pipe.parameters.endpoint.slot)
    // The operation that stopped the pipe cancels all of its endpoints at once.
    if let operation, operation.phase == .waiting, operation.slots & slot != 0 { return }
    guard isAttached else { return }
    if pipe.posted <= AttachedDevice.cancelsOnLoop {
      pipe.cancelPosted()
    } else {
      enqueue(Operation(.cancelPosted, slots: 0, calls: [.cancel(slots: slot)], reply: .nobody))
    }
  }

  func pipeNeedsClearHalt(_ pipe: any StreamPipe) {
    guard isAttached else { return }
    let call = DeviceCall.clearHalt(pipe.parameters.endpoint)
    enqueue(Operation(.recoverStall(pipe), slots: 0, calls: [call], reply: .nobody))
  }

  func pipe(_ pipe: any StreamPipe, ended reason: PipeEnd) {
    if isAttached { streamEnded(pipe, reason) }
    progress()
  }
}
