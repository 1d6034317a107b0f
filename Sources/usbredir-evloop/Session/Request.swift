// A guest's packet that wants one answer (control, bulk, interrupt OUT), and the line its answer waits in: on
// each endpoint and bulk stream answers leave in the order of the requests, refusals included (B5.1). QEMU
// aborts otherwise.

/// Sends answers and is told what came back. Loop thread only.
protocol RequestQueueOwner: AnyObject {
  /// It is this request's turn: send its answer. `request.transfer` has what it moved, if `status` is not a
  /// refusal.
  func answer(_ request: Request)
  /// The device gave a transfer of this queue back.
  func requestReturned(to queue: RequestQueue)
  /// A transfer came back because the device is gone; told before anything is answered.
  func requestFoundDeviceGone()
  /// A request of this queue fails, as there is no memory for it and none may come free.
  func requestFoundNoMemory(_ queue: RequestQueue)
  /// Whether a request that found no memory may wait: others are with the device, and their return frees
  /// some.
  func mayWaitForMemory() -> Bool
  /// A request gave its memory back, or gave up: `submitWaiting` on all queues.
  func memoryMayBeFree()
}

/// One request, and the transfer that carries it out. Made once and used again.
final class Request: TransferOwner {
  let transfer: Transfer
  fileprivate(set) var id: UInt64 = 0
  /// What the answer will say; counts once the request is done.
  fileprivate(set) var status = Status.success
  /// Bytes that moved, for the answer; 0 for one that never reached the device or was cancelled.
  fileprivate(set) var moved = 0
  /// Bytes it holds against the session's budget.
  fileprivate(set) var held = 0
  /// The line it stands in.
  fileprivate(set) var queue: RequestQueue?
  fileprivate var next: Request?
  fileprivate var isDone = false
  fileprivate var isWithDevice = false
  /// It could not be posted for lack of memory, or stands behind one that could not (B1.8).
  fileprivate var isWaiting = false
  /// Its answer is out already: what still completes is swallowed.
  fileprivate var isAnswered = false

  init(_ transfer: Transfer) {
    self.transfer = transfer
  }

  func completed(_ transfer: Transfer) {
    queue?.completed(self)
  }
}

/// What the requests of a device hold together (B1.8): those not answered yet or still with the device. Loop
/// thread only.
final class RequestBudget {
  fileprivate(set) var count = 0
  /// Of their buffers.
  fileprivate(set) var bytes = 0
}

/// The requests of one endpoint, oldest first. Loop thread only.
final class RequestQueue {
  let endpoint: EndpointAddress
  /// Transfers the device has.
  private(set) var inFlight = 0
  /// Requests that wait for memory.
  private(set) var waiting = 0
  private var usesStreams = false
  private let device: any Device
  private let budget: RequestBudget
  unowned(unsafe) private let owner: any RequestQueueOwner
  private var first: Request?
  private var last: Request?
  private var spare: Request?

  /// - Parameter owner: outlives the queue.
  init(_ endpoint: EndpointAddress, device: any Device, budget: RequestBudget, owner: any RequestQueueOwner) {
    self.endpoint = endpoint
    self.device = device
    self.budget = budget
    unsafe self.owner = owner
  }

  /// A request at the end of the line; fill in its transfer, then `submit` or `refuse` it.
  func make(id: UInt64) -> Request {
    let request = takeSpare()
    request.id = id
    request.status = .success
    request.moved = 0
    request.queue = self
    request.isDone = false
    request.isAnswered = false
    if let last { last.next = request } else { first = request }
    last = request
    budget.count += 1
    return request
  }

  /// Hands the request to the device, as soon as no older one waits for memory.
  func submit(_ request: Request) {
    request.held = request.transfer.buffer?.capacity ?? 0
    budget.bytes += request.held
    if request.transfer.streamID != 0 { usesStreams = true }
    if waiting > 0 { wait(request) } else { post(request) }
  }

  /// Tries again what waits for memory (B1.8), unless a younger one is with the device and may get ahead.
  func submitWaiting() {
    guard waiting > 0 else { return }
    var candidate = first
    var hasOlderWaiting = false
    while let request = candidate {
      if request.isWaiting {
        hasOlderWaiting = true
      } else if hasOlderWaiting && request.isWithDevice {
        return
      }
      candidate = request.next
    }
    candidate = first
    while let request = candidate {
      candidate = request.next
      if request.isWaiting {
        stopWaiting(request)
        post(request)
      }
    }
  }

  private func post(_ request: Request) {
    request.isWithDevice = true
    inFlight += 1
    request.transfer.owner = request
    device.submit(request.transfer)
  }

  /// Answers without the device, in its turn.
  func refuse(_ request: Request, _ status: Status) {
    request.status = status
    request.isDone = true
    advance()
  }

  /// `cancel_data_packet` (B5.4): answers at once, out of line. False when no such request waits.
  func cancel(id: UInt64) -> Bool {
    var previous: Request?
    var candidate = first
    while let request = candidate, request.id != id {
      previous = request
      candidate = request.next
    }
    guard let request = candidate else { return false }
    unlink(request, behind: previous)
    request.status = .cancelled
    request.moved = 0
    answered(request)
    if request.isWithDevice { device.cancel(request.transfer) } else { recycle(request) }
    advance()
    return true
  }

  /// Asks the device for everything back, last submitted first. Answers follow as the transfers come.
  func cancelAll() {
    cancelWaiting()
    var waiting: [Request] = []
    var candidate = first
    while let request = candidate {
      if request.isWithDevice { waiting.append(request) }
      candidate = request.next
    }
    for request in waiting.reversed() { device.cancel(request.transfer) }
  }

  /// Ends what waits for memory; the device has no part in it.
  func cancelWaiting() {
    guard waiting > 0 else { return }
    var candidate = first
    while let request = candidate {
      candidate = request.next
      if request.isWaiting { finishWaiting(request, .cancelled) }
    }
    advance()
  }

  /// Answers everything with `status` now, in order; completions that still come are swallowed.
  func answerAll(_ status: Status) {
    while let request = first {
      unlink(request, behind: nil)
      if !request.isDone {
        request.status = status
        request.moved = 0
      }
      answered(request)
      if !request.isWithDevice { recycle(request) }
    }
  }

  fileprivate func completed(_ request: Request) {
    if request.transfer.status == .deviceGone { unsafe owner.requestFoundDeviceGone() }
    inFlight -= 1
    request.isWithDevice = false
    if request.isAnswered {
      recycle(request)
    } else if mayWait(request) {
      wait(request)
      return unsafe owner.requestReturned(to: self)
    } else {
      if request.transfer.status == .noMemory {
        unsafe owner.requestFoundNoMemory(self)
      } else {
        failWaiting(before: request)
      }
      request.status = Status(request.transfer.status)
      request.moved = request.transfer.actualLength
      request.isDone = true
      advance()
    }
    unsafe owner.memoryMayBeFree()
    unsafe owner.requestReturned(to: self)
  }

  /// B1.8: it fails only when nothing is out whose return could help.
  private func mayWait(_ request: Request) -> Bool {
    guard request.transfer.status == .noMemory else { return false }
    return unsafe owner.mayWaitForMemory()
  }

  /// What this one got ahead of would come too late now.
  private func failWaiting(before younger: Request) {
    guard waiting > 0 else { return }
    var candidate = first
    while let request = candidate, request !== younger {
      candidate = request.next
      if request.isWaiting { finishWaiting(request, .ioerror) }
    }
  }

  private func finishWaiting(_ request: Request, _ status: Status) {
    stopWaiting(request)
    request.status = status
    request.moved = 0
    request.isDone = true
  }

  private func wait(_ request: Request) {
    request.isWaiting = true
    waiting += 1
  }

  private func stopWaiting(_ request: Request) {
    request.isWaiting = false
    waiting -= 1
  }

  private func advance() {
    var previous: Request?
    var candidate = first
    while let request = candidate {
      candidate = request.next
      if request.isDone && (previous == nil || isFirstOfItsStream(request)) {
        unlink(request, behind: previous)
        answered(request)
        recycle(request)
      } else {
        guard usesStreams else { return }
        previous = request
      }
    }
  }

  /// Every bulk stream is a line of its own: devices complete streams in any order they like.
  private func isFirstOfItsStream(_ request: Request) -> Bool {
    let stream = request.transfer.streamID
    var older = first
    while let candidate = older, candidate !== request {
      if candidate.transfer.streamID == stream { return false }
      older = candidate.next
    }
    return stream != 0
  }

  private func unlink(_ request: Request, behind previous: Request?) {
    if let previous { previous.next = request.next } else { first = request.next }
    if last === request { last = previous }
    request.next = nil
  }

  private func answered(_ request: Request) {
    request.isAnswered = true
    unsafe owner.answer(request)
  }

  private func takeSpare() -> Request {
    guard let request = spare else { return Request(device.makeTransfer(isoPackets: 0)) }
    spare = request.next
    request.next = nil
    return request
  }

  private func recycle(_ request: Request) {
    if request.isWaiting { stopWaiting(request) }
    budget.count -= 1
    budget.bytes -= request.held
    request.held = 0
    request.transfer.buffer?.release()
    request.transfer.buffer = nil
    request.transfer.owner = nil
    request.queue = nil
    request.next = spare
    spare = request
  }
}
