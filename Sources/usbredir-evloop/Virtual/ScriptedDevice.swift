// A device that does what it is told: answers, stalls, errors, delays, unplugging. For the tests of whatever
// uses a `Device`, through its methods, and for trying guests, through a script (`ScriptCommand`,
// `ScriptRunner`).

/// A scripted device. What nobody told it to answer it answers like this: IN endpoints have nothing, OUT
/// endpoints take everything, standard requests work, calls succeed, all in the next turn. Loop thread only.
final class ScriptedDevice: VirtualDevice {
  private enum Planned {
    case data([UInt8])
    case fails(TransferStatus)
    case cancelled([UInt8])
  }

  /// What was asked of the device, in the words of a script: `submit 81 8` (IN: length), `submit 01 02ff`
  /// (OUT: data), `submit 83/64/64 128` and `submit 03/2/1 010203` (isochronous: lengths of the packets),
  /// `control 80 06 0100 0000 0012`, `control 21 09 0200 0000 0001 05`, `cancel 81`, `perform
  /// set-configuration 2`, `perform set-alternate-setting 0 1`, `perform clear-halt 81`, `perform reset`,
  /// `perform cancel 01 81`, `perform alloc-streams 4 82`, `perform free-streams 82`, `close`.
  var record: [String] = []
  /// Calls end with `failed` instead of granting bulk streams, unless this is set.
  var hasStreams = false
  /// Called for each endpoint that has transfers waiting, once a turn.
  var onPolled: ((EndpointAddress) -> Void)?

  private var runner: ScriptRunner?
  private let isRecording: Bool
  private var planned: [[Planned]]
  private var held: UInt32 = 0
  private var callsAreHeld = false
  private var rules: [ControlRule] = []
  private var results: [(call: CallName, result: DeviceCallResult)] = []

  /// - Parameters:
  ///   - description: any; its endpoints are what a script can use.
  ///   - isRecording: false where nobody reads `record`, which only ever grows.
  init(_ description: DeviceDescription = .scripted, loop: EventLoop, isRecording: Bool = true) {
    self.isRecording = isRecording
    planned = Array(repeating: [], count: EndpointTable.count)
    super.init(description, loop: loop)
  }

  /// The device of the command line: runs the script of the options, then what the input brings.
  convenience init(_ options: ScriptedOptions, loop: EventLoop, log: Log) throws(VirtualDeviceError) {
    var commands: [ScriptCommand] = []
    if let path = options.script { commands = try ScriptRunner.load(path) }
    self.init(loop: loop, isRecording: false)
    do throws(SystemError) {
      runner = try ScriptRunner(self, commands: commands, input: options.input, loop: loop, log: log)
    } catch {
      throw .input(error)
    }
  }

  // MARK: what the device is told

  /// The next IN transfer on the endpoint brings these bytes. Reports queue up.
  func report(_ endpoint: EndpointAddress, _ bytes: [UInt8]) {
    plan(.data(bytes), on: endpoint)
  }

  /// The next transfer on the endpoint stalls, behind what is planned already; the endpoint stays halted.
  func stall(_ endpoint: EndpointAddress) {
    plan(.fails(.stalled), on: endpoint)
  }

  /// The next transfer on the endpoint ends like this, behind what is planned already.
  func fail(_ endpoint: EndpointAddress, _ status: TransferStatus) {
    plan(.fails(status), on: endpoint)
  }

  /// The next transfer that is cancelled on the endpoint has these bytes nevertheless.
  func fillCancelled(_ endpoint: EndpointAddress, _ bytes: [UInt8]) {
    plan(.cancelled(bytes), on: endpoint)
  }

  /// Transfers on the endpoint wait until `release`.
  func hold(_ endpoint: EndpointAddress) {
    held |= bit(endpoint)
  }

  func release(_ endpoint: EndpointAddress) {
    held &= ~bit(endpoint)
    serveSoon()
  }

  /// Calls wait until `releaseCalls`.
  func holdCalls() {
    callsAreHeld = true
  }

  func releaseCalls() {
    callsAreHeld = false
    serveSoon()
  }

  /// Control requests that match get this answer, instead of any given before.
  func answer(_ rule: ControlRule) {
    rules.insert(rule, at: 0)
  }

  /// The next call of that kind ends like this and changes nothing.
  func fail(_ call: CallName, _ result: DeviceCallResult = .failed) {
    results.append((call, result))
  }

  /// Reports and failures that still wait for a transfer on the endpoint.
  func pending(_ endpoint: EndpointAddress) -> Int {
    planned[slot(endpoint)].count
  }

  private func plan(_ answer: Planned, on endpoint: EndpointAddress) {
    planned[slot(endpoint)].append(answer)
    serveSoon()
  }

  /// Both directions of endpoint 0 are one.
  private func slot(_ endpoint: EndpointAddress) -> Int {
    endpoint.number == 0 ? 0 : endpoint.slot
  }

  private func bit(_ endpoint: EndpointAddress) -> UInt32 {
    1 << UInt32(slot(endpoint))
  }

  // MARK: VirtualDevice

  override var holdsCalls: Bool { callsAreHeld }

  override func polled(_ endpoint: EndpointAddress) {
    onPolled?(endpoint)
  }

  override func isReady(_ endpoint: EndpointAddress) -> Bool {
    guard held & bit(endpoint) == 0 else { return false }
    guard let first = planned[slot(endpoint)].first else { return !endpoint.isIn || endpoint.number == 0 }
    if case .cancelled = first { return !endpoint.isIn }
    return true
  }

  override func answer(_ transfer: Transfer) -> TransferStatus {
    let slot = slot(transfer.endpoint)
    if transfer.type == .isochronous && transfer.endpoint.isIn { return answerPackets(transfer, slot) }
    switch planned[slot].first {
    case .data(let bytes):
      planned[slot].removeFirst()
      return transfer.endpoint.isIn ? transfer.give(bytes) : transfer.take()
    case .fails(let status):
      planned[slot].removeFirst()
      if status == .stalled { endpoint(transfer.endpoint)?.isHalted = true }
      return status
    case .cancelled, nil:
      return transfer.take()
    }
  }

  /// Each packet takes one of what is planned, and is empty when nothing is left; a stall ends the transfer.
  private func answerPackets(_ transfer: Transfer, _ slot: Int) -> TransferStatus {
    for index in transfer.packets.indices {
      guard let answer = planned[slot].first else {
        transfer.givePacket(index, [])
        continue
      }
      if case .cancelled = answer { continue }
      planned[slot].removeFirst()
      switch answer {
      case .data(let bytes): transfer.givePacket(index, bytes)
      case .fails(.stalled):
        endpoint(transfer.endpoint)?.isHalted = true
        return .stalled
      case .fails(let status): transfer.givePacket(index, [], status)
      case .cancelled: break
      }
    }
    return .completed
  }

  override func answerCancelled(_ transfer: Transfer) -> TransferStatus {
    let slot = slot(transfer.endpoint)
    if case .cancelled(let bytes) = planned[slot].first {
      planned[slot].removeFirst()
      _ = transfer.give(bytes)
    }
    return .cancelled
  }

  override func answerControl(_ transfer: Transfer) -> TransferStatus {
    if case .fails(let status) = planned[0].first {
      planned[0].removeFirst()
      return status
    }
    guard let rule = rules.first(where: { $0.matches(transfer.setup) }) else {
      return super.answerControl(transfer)
    }
    switch rule.answer {
    case .data(let bytes): return transfer.setup.isIn ? transfer.give(bytes) : transfer.take()
    case .fails(let status): return status
    }
  }

  override func carryOut(_ call: DeviceCall) -> DeviceCallResult {
    if let index = results.firstIndex(where: { $0.call == CallName(call) }) {
      return results.remove(at: index).result
    }
    if case .allocateStreams = call, hasStreams { return .done }
    return super.carryOut(call)
  }

  // MARK: the record

  override func submit(_ transfer: Transfer) {
    if isRecording { record.append(words(transfer)) }
    super.submit(transfer)
  }

  override func cancel(_ transfer: Transfer) {
    if isRecording { record.append("cancel " + name(transfer.endpoint)) }
    super.cancel(transfer)
  }

  override func perform(_ call: DeviceCall) {
    if isRecording { record.append("perform " + CallName(call).rawValue + arguments(call)) }
    super.perform(call)
  }

  override func close(_ closed: @escaping () -> Void) {
    if isRecording { record.append("close") }
    super.close(closed)
  }

  private func name(_ endpoint: EndpointAddress) -> String {
    Hex.text(UInt32(endpoint.rawValue), digits: 2)
  }

  private func words(_ transfer: Transfer) -> String {
    let data = transfer.withData { $0.isEmpty ? "" : " " + Hex.text($0) }
    guard transfer.type != .control else {
      let setup = transfer.setup
      let bytes = [setup.requestType, setup.request].map { Hex.text(UInt32($0), digits: 2) }
      let fields = [setup.value, setup.index, setup.length].map { Hex.text(UInt32($0), digits: 4) }
      return "control " + (bytes + fields).joined(separator: " ") + (setup.isIn ? "" : data)
    }
    let packets = transfer.packets.reduce("") { $0 + "/\($1.length)" }
    return "submit " + name(transfer.endpoint) + packets
      + (transfer.endpoint.isIn ? " \(transfer.length)" : data)
  }

  private func arguments(_ call: DeviceCall) -> String {
    switch call {
    case .setConfiguration(let value): " \(value)"
    case .setAlternateSetting(let interface, let setting): " \(interface) \(setting)"
    case .clearHalt(let endpoint): " " + name(endpoint)
    case .reset: ""
    case .allocateStreams(let slots, let count): " \(count)" + names(slots)
    case .freeStreams(let slots): names(slots)
    case .cancel(let slots): names(slots)
    }
  }

  private func names(_ slots: UInt32) -> String {
    var text = ""
    for slot in 0..<EndpointTable.count where slots & (1 << UInt32(slot)) != 0 {
      text += " " + name(EndpointAddress(slot: slot))
    }
    return text
  }
}

extension DeviceDescription {
  /// What a scripted device is unless told otherwise: full speed, two configurations. In the first, interface
  /// 0 has interrupt endpoints 81 and 01 (8 bytes; 64 in alternate setting 1), and interface 1 has bulk
  /// endpoints 82 and 02 and, in setting 1, isochronous 83 and 03 as well. The second has interrupt endpoint
  /// 81 alone.
  static let scripted = DeviceDescription(
    usbVersion: 0x0200, vendor: 0x1209, product: 0x0002, maxPacketSize0: 64,
    manufacturerName: "usbredir-evloop", productName: "Scripted Device", serialNumber: "1",
    configurations: [
      ConfigurationDescription(
        value: 1, attributes: ConfigurationDescription.remoteWakeup,
        interfaces: [
          InterfaceDescription(
            number: 0, settings: [vendorSetting(0, interruptPair(8)), vendorSetting(1, interruptPair(64))]),
          InterfaceDescription(
            number: 1, settings: [vendorSetting(0, bulkPair), vendorSetting(1, bulkPair + isoPair)]),
        ]),
      ConfigurationDescription(
        value: 2, attributes: ConfigurationDescription.selfPowered,
        interfaces: [
          InterfaceDescription(number: 0, settings: [vendorSetting(0, [interruptPair(8)[0]])])
        ]),
    ])

  private static func interruptPair(_ size: UInt16) -> [EndpointModel] {
    pair(1, .interrupt, size: size, interval: 10)
  }

  private static let bulkPair = pair(2, .bulk, size: 64, interval: 0)
  private static let isoPair = pair(3, .isochronous, size: 64, interval: 1)
}
