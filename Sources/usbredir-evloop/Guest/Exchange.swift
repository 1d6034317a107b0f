// Requests and answers of a device that talks over a pair of interrupt endpoints, as many HID-like bridges do: a
// report out, a report in. The IN is posted first, so that an answer is never missed however fast it is; when the
// OUT fails, the IN is cancelled (B4.11).

final class Exchange: ProbeActivity, InterruptPipeOwner, TransferOwner {
  private var report: [UInt8]
  private let isPadded: Bool
  private let context: ProbeContext
  private let count: Int
  private var transfers: GuestTransfers?
  private var pipe: InterruptPipe?
  private var out: Transfer?
  private var timer: Timer?
  private var latencies = Histogram()
  private var answers = 0
  private var sentAt: UInt64 = 0
  private var roundTrip: UInt64 = 0
  /// Of the exchange at hand: both ways are over when these say so.
  private var isSending = false
  private var isReading = false
  private var answer: [UInt8]?
  /// What goes wrong first is the reason.
  private var failure: String?
  private var isOver = false

  init(_ report: [UInt8], isPadded: Bool, _ context: ProbeContext) {
    self.report = report
    self.isPadded = isPadded
    self.context = context
    count = context.options.count ?? (context.options.measuresLatency ? LatencyMeasuring.defaultCount : 1)
    timer = Timer(context.loop) { [exchange = Unowned(self)] in
      let context = exchange.value.context
      context.stop("no answer within " + String(context.options.timeout) + " s")
    }
  }

  func start() {
    guard let device = context.session.device, let (input, output) = device.interruptPair else {
      isOver = true
      return context.ended("done", "exchange: no interface of the device has interrupt endpoints IN and OUT")
    }
    let transfers = GuestTransfers(context.session, context.loop, receiving: input.address)
    let length = max(1, Int(input.maxPacketSize))
    let parameters = PipeParameters(
      endpoint: input.address, type: .interrupt, transferLength: length, depth: 1, stallPolicy: .report)
    pipe = InterruptPipe(parameters, device: transfers, owner: self)
    let out = transfers.makeTransfer(isoPackets: 0)
    let missing = Int(output.maxPacketSize) - report.count
    if isPadded, missing > 0 { report += [UInt8](repeating: 0, count: missing) }
    let report = report
    let buffer = context.session.buffers.take(report.count)
    buffer.copy(report.span)
    (out.type, out.endpoint, out.buffer, out.length) = (.interrupt, output.address, buffer, report.count)
    out.owner = self
    self.transfers = transfers
    self.out = out
    next()
  }

  private func next() {
    guard answers < count, failure == nil, let pipe, let out else { return finish() }
    timer?.start(milliseconds: context.options.timeout * 1000)
    answer = nil
    isReading = pipe.readOnce(timeout: 0)
    isSending = true
    sentAt = monotonicNanoseconds()
    transfers?.submit(out)
  }

  /// Both ways are over, or one more to come.
  private func settle() {
    guard !isReading, !isSending, !isOver else { return }
    timer?.stop()
    guard failure == nil, let answer else {
      if failure == nil { failure = "no answer" }
      return finish()
    }
    answers += 1
    latencies.add(roundTrip)
    if !context.options.measuresLatency {
      var result = ProbeResult("exchange", "number", String(answers))
      result.add("round_trip", microseconds: roundTrip)
      result.add("data", .data(answer))
      context.tell(.result(result))
    }
    next()
  }

  private func fail(_ reason: String) {
    guard !isOver else { return }
    if failure == nil { failure = reason }
    guard isReading || isSending else { return finish() }
    pipe?.stop()
    if let out { transfers?.cancel(out) }
  }

  private func finish() {
    guard !isOver else { return }
    isOver = true
    timer?.stop()
    if count > 1 { context.tell(.result(latencies.result(of: "exchange"))) }
    letGo()
    // A usb-host that does not answer this is not waited for long.
    context.stop("done")
    transfers?.close { [exchange = Unowned(self)] in
      exchange.value.context.ended("done", exchange.value.missing)
    }
  }

  /// A transfer keeps its owner, and its owner the transfer.
  private func letGo() {
    out?.owner = nil
  }

  private var missing: String? {
    guard answers < count else { return nil }
    return "exchange: \(answers) of \(count) answers came: " + (failure ?? "")
  }

  // MARK: ProbeActivity

  func stop(_ reason: String) {
    fail(reason)
  }

  func cut(_ reason: String) -> String? {
    if failure == nil { failure = reason }
    isOver = true
    letGo()
    return missing
  }

  func received(_ data: Span<UInt8>, from endpoint: EndpointAddress, _ status: Status, sequence: UInt64) {
    transfers?.received(data, status)
  }

  func changed(_ change: ReceivingChange, on endpoint: EndpointAddress) {
    transfers?.changed(change)
  }

  // MARK: the OUT

  func completed(_ transfer: Transfer) {
    isSending = false
    if transfer.status != .completed {
      if failure == nil { failure = "interrupt OUT failed: " + Status(transfer.status).description }
      // The answer to a request that did not arrive never comes.
      if isReading { pipe?.stop() }
    }
    settle()
  }

  // MARK: the IN

  func pipe(_ pipe: InterruptPipe, received buffer: PacketBuffer, sequence: UInt64) {
    answer = buffer.withPayload { bytes in bytes.indices.map { bytes[$0] } }
    roundTrip = context.elapsed(since: sentAt)
    buffer.release()
  }

  func pipe(
    _ pipe: InterruptPipe, received packets: [IsoPacket], in buffer: PacketBuffer, sequence: UInt64
  ) {
    // An interrupt endpoint has none.
    buffer.release()
  }

  func pipe(_ pipe: InterruptPipe, failed status: TransferStatus, sequence: UInt64) {}

  func pipe(_ pipe: any StreamPipe, ended reason: PipeEnd) {
    isReading = false
    if answer == nil, failure == nil { failure = "interrupt IN: " + reason.description }
    settle()
  }

  func pipeNeedsCancel(_ pipe: any StreamPipe) {
    pipe.cancelPosted()
  }

  // A single read that reports its stall asks for none of these.
  func pipeNeedsClearHalt(_ pipe: any StreamPipe) {}
  func pipeNeedsDelay(_ pipe: InterruptPipe, milliseconds: UInt32) {}
  func pipePaused(_ pipe: InterruptPipe) {}
  func pipeResumed(_ pipe: InterruptPipe) {}
}

extension GuestDevice {
  /// The first interrupt endpoints IN and OUT that one interface has.
  var interruptPair: (input: GuestEndpoint, output: GuestEndpoint)? {
    pair(.interrupt) { _ in true }
  }

  /// The first endpoints IN and OUT of this type that one interface has, of those that `isWanted`.
  func pair(
    _ type: TransferType, isWanted: (UInt8) -> Bool
  ) -> (input: GuestEndpoint, output: GuestEndpoint)? {
    for output in endpoints where output.type == type && !output.address.isIn && isWanted(output.interface) {
      let input = endpoints.first { $0.type == type && $0.address.isIn && $0.interface == output.interface }
      if let input { return (input, output) }
    }
    return nil
  }
}
