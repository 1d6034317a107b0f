// A disk as a guest's driver would find it: what it is, how large, and all of it read in order, with the throughput.
// SCSI: INQUIRY, TEST UNIT READY, READ CAPACITY (10), REQUEST SENSE (SPC-4, SBC-3), READ (10).

final class DiskReading: ProbeActivity {
  /// Bytes of one READ.
  private static let readSize = 128 << 10
  /// TEST UNIT READY fails once for each unit attention that a fresh device has.
  private static let readyTries = 5
  private static let requestSense: UInt8 = 3
  private static let noReason = "a command failed, without a reason"

  private let context: ProbeContext
  private var transport: BulkOnlyTransport?
  private var response: [UInt8] = []
  private var inquiry: [UInt8] = []
  private var triesLeft = DiskReading.readyTries
  private var blockSize: UInt32 = 0
  private var blocks: UInt64 = 0
  /// What is to be read, and the next to be.
  private var end: UInt64 = 0
  private var next: UInt64 = 0
  private var throughput = Throughput()
  private var timer: Timer?
  private var isStopping = false
  private var isOver = false

  init(_ context: ProbeContext) {
    self.context = context
    timer = Timer(context.loop) { [reading = Unowned(self)] in
      let context = reading.value.context
      context.stop("no answer within " + String(context.options.timeout) + " s")
    }
  }

  func start() {
    let device = context.session.device
    let pair = device?.pair(.bulk) { number in
      device?.interfaces.contains { $0.number == number && $0.isBulkOnlyDisk } == true
    }
    guard let pair else { return finish("no interface of the device is a disk (8/6/80)") }
    transport = BulkOnlyTransport(context.session, input: pair.input.address, output: pair.output.address)
    run([0x12, 0, 0, 0, 36, 0], length: 36) { self.inquired() }
  }

  func stop(_ reason: String) {
    isStopping = true
  }

  func cut(_ reason: String) -> String? {
    isOver = true
    timer?.stop()
    tellThroughput()
    return "disk: " + reason
  }

  // MARK: commands

  /// Runs a command whose answer `then` finds in `response`; any failure is the end.
  private func run(_ command: [UInt8], length: Int, then: @escaping () -> Void) {
    response = []
    awaitAnswer()
    transport?.run(command, length: length) { bytes in
      self.response = bytes.indices.map { bytes[$0] }
    } done: { outcome in
      switch outcome {
      case .passed: then()
      case .failed where command[0] == DiskReading.requestSense: self.finish(DiskReading.noReason)
      case .failed: self.sense(of: command[0])
      case .broken(let reason): self.finish(reason)
      }
    }
  }

  /// The device gets as long for each command as for any answer.
  private func awaitAnswer() {
    timer?.start(milliseconds: context.options.timeout * 1000)
  }

  private func inquired() {
    inquiry = response
    run([0, 0, 0, 0, 0, 0], length: 0) { self.ready() }
  }

  private func ready() {
    run([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], length: 8) { self.measured() }
  }

  private func measured() {
    guard response.count == 8 else { return finish("a capacity of \(response.count) bytes") }
    blocks = UInt64(bigEndian(response, 0)) + 1
    blockSize = bigEndian(response, 4)
    guard blockSize >= 512, blockSize <= UInt32(min(DiskReading.readSize, context.session.maxBulkLength))
    else {
      return finish("blocks of \(blockSize) bytes")
    }
    var result = ProbeResult("disk", "vendor", text(8, 8))
    result.add("product", text: text(16, 16))
    result.add("revision", text: text(32, 4))
    result.add("blocks", blocks)
    result.add("block_size", UInt64(blockSize))
    result.add("bytes", blocks * UInt64(blockSize))
    context.tell(.result(result))
    end = min(blocks, context.options.count.map { UInt64($0) } ?? blocks)
    throughput.begin = monotonicNanoseconds()
    read()
  }

  private func read() {
    guard next < end, !isStopping else { return finish(nil) }
    let most = min(DiskReading.readSize, context.session.maxBulkLength) / Int(blockSize)
    let count = UInt32(min(end - next, UInt64(most)))
    let length = Int(count * blockSize)
    var came = 0
    let address = UInt32(next)
    awaitAnswer()
    transport?.run(
      [
        0x28, 0, UInt8(address >> 24), UInt8(address >> 16 & 0xff), UInt8(address >> 8 & 0xff),
        UInt8(address & 0xff), 0, UInt8(count >> 8), UInt8(count & 0xff), 0,
      ], length: length
    ) { bytes in
      came = bytes.count
      self.context.sink?.write(bytes)
    } done: { outcome in
      self.read(outcome, came, of: length, blocks: count)
    }
  }

  private func read(_ outcome: CommandOutcome, _ came: Int, of length: Int, blocks: UInt32) {
    throughput.add(came, at: context.session.receivedAt)
    if let error = context.sink?.failure { return finish(error.description) }
    if case .passed = outcome, came == length {
      next += UInt64(blocks)
      return read()
    }
    throughput.errors += 1
    switch outcome {
    case .passed: finish("block \(next): \(came) of \(length) bytes came")
    case .failed: sense(of: 0x28)
    case .broken(let reason): finish("block \(next): " + reason)
    }
  }

  /// Asks why a command failed. A unit that is not ready yet is asked again.
  private func sense(of command: UInt8) {
    run([DiskReading.requestSense, 0, 0, 0, 18, 0], length: 18) {
      let sense = self.response
      guard sense.count >= 14 else { return self.finish(DiskReading.noReason) }
      self.triesLeft -= 1
      if command == 0, self.triesLeft > 0, sense[2] & 15 == 6 {
        return self.run([0, 0, 0, 0, 0, 0], length: 0) { self.ready() }
      }
      let code = [sense[2] & 15, sense[12], sense[13]].map { Hex.text(UInt32($0), digits: 2) }
      self.finish(
        "command 0x" + Hex.text(UInt32(command), digits: 2) + " failed, sense "
          + code.joined(separator: "/") + senseText(sense))
    }
  }

  // MARK: the end

  private func finish(_ failure: String?) {
    guard !isOver else { return }
    isOver = true
    timer?.stop()
    tellThroughput()
    context.ended("done", failure.map { "disk: " + $0 })
  }

  private func tellThroughput() {
    guard throughput.begin > 0 else { return }
    var result = ProbeResult("read", "of", "disk")
    throughput.add(to: &result, "transfers")
    context.tell(.result(result))
  }

  /// Text of the inquiry's answer, without the blanks that fill it.
  private func text(_ offset: Int, _ length: Int) -> String {
    guard inquiry.count >= offset + length else { return "" }
    var text = unsafe inquiry.withUnsafeBytes { bytes in
      unsafe String(utf8: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length]))
    }
    while text.hasSuffix(" ") || text.hasSuffix("\0") { text = text.dropLast(1) }
    return text
  }
}

private func bigEndian(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
  UInt32(bytes[offset]) << 24 | UInt32(bytes[offset + 1]) << 16 | UInt32(bytes[offset + 2]) << 8
    | UInt32(bytes[offset + 3])
}

/// The usual reasons. SPC-4, annex D.
private func senseText(_ sense: [UInt8]) -> String {
  switch (sense[2] & 15, sense[12]) {
  case (2, 0x3a): ": no medium"
  case (2, 0x04): ": not ready"
  case (3, _): ": a medium error"
  case (5, 0x21): ": beyond the end"
  case (6, _): ": the medium was changed"
  default: ""
  }
}

extension InterfaceInfoHeader.Interface {
  /// Mass storage, SCSI transparent, bulk-only. USB Mass Storage Class overview 1.4, 2 and 3.
  fileprivate var isBulkOnlyDisk: Bool { classCode == 0x08 && subclass == 0x06 && `protocol` == 0x50 }
}
