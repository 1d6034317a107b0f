// A guest's packet that wants one answer (control, bulk, interrupt OUT), and the line its answer waits in: on each
// endpoint answers leave in the order of the requests, refusals included (B5.1). QEMU aborts otherwise.

/// Sends answers and is told what came back. Loop thread only.
protocol RequestQueueOwner: AnyObject {
  /// It is this request's turn: send its answer. `request.transfer` has what it moved, if `status` is not a refusal.
  func answer(_ request: Request)
  /// The device gave a transfer of this queue back.
  func requestReturned(to queue: RequestQueue)
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
  /// Its answer is out already: what still completes is swallowed.
  fileprivate var isAnswered = false

  init(_ transfer: Transfer) {
    self.transfer = transfer
  }

  func completed(_ transfer: Transfer) {
    queue?.completed(self)
  }
}

/// The requests of one endpoint, oldest first. Loop thread only.
final class RequestQueue {
  let endpoint: EndpointAddress
  /// Transfers the device has.
  private(set) var inFlight = 0
  /// Requests that were not answered yet, and their bytes.
  private(set) var count = 0
  private(set) var bytes = 0
  private let device: any Device
  unowned(unsafe) private let owner: any RequestQueueOwner
  private var first: Request?
  private var last: Request?
  private var spare: Request?

  /// - Parameter owner: outlives the queue.
  init(_ endpoint: EndpointAddress, device: any Device, owner: any RequestQueueOwner) {
    self.endpoint = endpoint
    self.device = device
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
    count += 1
    return request
  }

  /// Hands the request to the device.
  func submit(_ request: Request) {
    request.held = request.transfer.buffer?.capacity ?? 0
    bytes += request.held
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
    if let previous { previous.next = request.next } else { first = request.next }
    if last === request { last = previous }
    request.next = nil
    request.status = .cancelled
    request.moved = 0
    answered(request)
    if request.isWithDevice { device.cancel(request.transfer) } else { recycle(request) }
    advance()
    return true
  }

  /// Asks the device for everything back, last submitted first. Answers follow as the transfers come.
  func cancelAll() {
    var waiting: [Request] = []
    var candidate = first
    while let request = candidate {
      if request.isWithDevice { waiting.append(request) }
      candidate = request.next
    }
    for request in waiting.reversed() { device.cancel(request.transfer) }
  }

  /// Answers everything with `status` now, in order; completions that still come are swallowed.
  func answerAll(_ status: Status) {
    while let request = first {
      first = request.next
      if first == nil { last = nil }
      request.next = nil
      if !request.isDone {
        request.status = status
        request.moved = 0
      }
      answered(request)
      if !request.isWithDevice { recycle(request) }
    }
  }

  fileprivate func completed(_ request: Request) {
    inFlight -= 1
    request.isWithDevice = false
    if request.isAnswered {
      recycle(request)
    } else {
      request.status = Status(request.transfer.status)
      request.moved = request.transfer.actualLength
      request.isDone = true
      advance()
    }
    unsafe owner.requestReturned(to: self)
  }

  private func advance() {
    while let request = first, request.isDone {
      first = request.next
      if first == nil { last = nil }
      request.next = nil
      answered(request)
      recycle(request)
    }
  }

  private func answered(_ request: Request) {
    request.isAnswered = true
    count -= 1
    bytes -= request.held
    request.held = 0
    unsafe owner.answer(request)
  }

  private func takeSpare() -> Request {
    guard let request = spare else { return Request(device.makeTransfer(isoPackets: 0)) }
    spare = request.next
    request.next = nil
    return request
  }

  private func recycle(_ request: Request) {
    request.transfer.buffer?.release()
    request.transfer.buffer = nil
    request.transfer.owner = nil
    request.queue = nil
    request.next = spare
    spare = request
  }
}

extension Status {
  /// What the guest is told of a transfer's end.
  init(_ status: TransferStatus) {
    self =
      switch status {
      case .completed: .success
      case .cancelled: .cancelled
      case .stalled: .stall
      case .timedOut: .timeout
      case .overflow: .babble
      case .failed, .deviceGone, .noMemory, .refused: .ioerror
      }
  }
}
