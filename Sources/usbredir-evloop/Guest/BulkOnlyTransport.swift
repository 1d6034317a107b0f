// SCSI commands over USB mass storage's Bulk-Only Transport 1.0, as a host speaks it: a command wrapper out, data in,
// a status wrapper in. All three are asked for at once, which spares two round trips a command; a stalled data or
// status stage is cleared and the status asked for once more (6.7.2).

/// How a command ended.
enum CommandOutcome {
  case passed
  /// The device has sense data that says why.
  case failed
  /// The transport failed: what, in words.
  case broken(String)
}

/// One logical unit behind a pair of bulk endpoints. One command at a time. Loop thread only.
final class BulkOnlyTransport {
  private static let commandSize = 31
  private static let statusSize = 13
  private static let commandSignature: UInt32 = 0x4342_5355
  private static let statusSignature: UInt32 = 0x5342_5355

  private let session: Unowned<GuestSession>
  private let input: EndpointAddress
  private let output: EndpointAddress
  private var tag: UInt32 = 0
  private var isRetry = false
  /// Data was asked for, and its transfer is not over.
  private var awaitsData = false
  private var requests: [UInt64] = []
  private var data: (Span<UInt8>) -> Void = { _ in }
  private var done: (CommandOutcome) -> Void = { _ in }

  init(_ session: GuestSession, input: EndpointAddress, output: EndpointAddress) {
    self.session = Unowned(session)
    self.input = input
    self.output = output
  }

  /// Runs a command that reads.
  /// - Parameters:
  ///   - command: the command block, 1…16 bytes.
  ///   - length: bytes of data, 0 for none.
  ///   - data: called with what came, perhaps less than `length`.
  ///   - done: called once, behind `data`.
  func run(
    _ command: [UInt8], length: Int, data: @escaping (Span<UInt8>) -> Void,
    done: @escaping (CommandOutcome) -> Void
  ) {
    tag &+= 1
    isRetry = false
    awaitsData = length > 0
    requests = []
    self.data = data
    self.done = done
    do throws(GuestError) {
      let wrapper = session.value.buffers.take(BulkOnlyTransport.commandSize)
      wrapper.fill(BulkOnlyTransport.commandSize) { span in
        span.put(BulkOnlyTransport.commandSignature, at: 0)
        span.put(tag, at: 4)
        span.put(UInt32(length), at: 8)
        span.put(UInt8(length > 0 ? 0x80 : 0), at: 12)
        span.put(UInt8(0), at: 13)
        span.put(UInt8(command.count), at: 14)
        for index in 0..<16 { span.put(index < command.count ? command[index] : 0, at: 15 + index) }
      }
      requests.append(
        try session.value.bulkOut(output, wrapper) { status, _, _ in
          if status != .success { self.fail("command: " + status.description) }
        })
      if length > 0 {
        requests.append(try session.value.bulkIn(input, length: length) { self.dataArrived($0, $2) })
      }
      try askForStatus()
    } catch {
      fail(error.description)
    }
  }

  /// Ends the command at hand, if there is one.
  func cancel() {
    for id in requests { session.value.cancel(id) }
  }

  private func dataArrived(_ status: Status, _ bytes: Span<UInt8>) {
    awaitsData = false
    if !bytes.isEmpty { data(bytes) }
    // A stall ends the data; the status behind it tells the rest.
    if status != .success && status != .stall { fail("data: " + status.description) }
  }

  private func askForStatus() throws(GuestError) {
    requests.append(
      try session.value.bulkIn(input, length: BulkOnlyTransport.statusSize) { status, _, bytes in
        self.statusArrived(status, bytes)
      })
  }

  private func statusArrived(_ status: Status, _ bytes: Span<UInt8>) {
    // Answers come in order (B5.1). What came behind its status would be taken for the next command's.
    guard !awaitsData else { return fail("a status before the data") }
    if status == .stall, !isRetry { return clearHalt() }
    guard status == .success else { return fail("status: " + status.description) }
    guard bytes.count == BulkOnlyTransport.statusSize,
      bytes.u32(at: 0) == BulkOnlyTransport.statusSignature, bytes.u32(at: 4) == tag
    else { return fail("a status wrapper that is none of this command") }
    switch bytes[12] {
    case 0: end(.passed)
    case 1: end(.failed)
    default: fail("phase error")
    }
  }

  private func clearHalt() {
    isRetry = true
    let setup = SetupPacket(
      requestType: RequestType.toEndpoint, request: StandardRequest.clearFeature, value: Feature.endpointHalt,
      index: UInt16(input.rawValue), length: 0)
    do throws(GuestError) {
      try session.value.control(setup) { status, _ in
        guard status == .success else { return self.fail("clear halt: " + status.description) }
        do throws(GuestError) {
          try self.askForStatus()
        } catch {
          self.fail(error.description)
        }
      }
    } catch {
      fail(error.description)
    }
  }

  private func fail(_ reason: String) {
    cancel()
    end(.broken(reason))
  }

  private func end(_ outcome: CommandOutcome) {
    let done = done
    self.done = { _ in }
    data = { _ in }
    done(outcome)
  }
}
