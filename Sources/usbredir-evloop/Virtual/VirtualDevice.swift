// A device that lives in the process: the life, the queues and the calls of one. What it *is* stands in its
// description, what it *does* in a subclass. It answers from one piece of work in the loop's turn, never from
// within `submit`, `cancel`, `perform` or `close`.
//
//     present ──unplug──▶ leaving ──owner told──▶ gone ──close──▶ present, if it was plugged in meanwhile
//        ▲                                                 └────▶ gone until `plug`; then `onPlug`
//        └── it stays so over any number of users: owner set … close

/// Base of the virtual devices. There is nothing to open: who sets `owner` uses it, and after `close` the
/// next one may. Loop thread only.
class VirtualDevice: Device {
  private enum Presence {
    case present
    /// Unplugged, and its user does not know yet.
    case leaving
    case gone
  }

  final let description: DeviceDescription
  final private(set) var model: DeviceModel
  /// Called from the loop when the device is there again after an `unplug` and nobody uses the old one any
  /// more.
  final var onPlug: (() -> Void)?
  /// Whether a new user would find the device.
  final private(set) var isPlugged = true
  /// DEVICE_REMOTE_WAKEUP, kept by SET_FEATURE. USB 2.0, 9.4.
  final var remoteWakeup = false
  /// Transfers that are killed together come back youngest first, as from an xHCI host controller.
  final var killsInReverse = false

  /// What waits, by slot; all control transfers wait in slot 0.
  private let endpoints: [VirtualEndpoint]
  /// The slots on which something waits.
  private var busy: UInt32 = 0
  private unowned(unsafe) var user: (any DeviceOwner)?
  private let clock: Clock
  private var work: Work?
  private var timer: Timer?
  private var submitted = 0
  private var withDeadline = 0
  private var call: DeviceCall?
  private var closed: (() -> Void)?
  private var presence = Presence.present
  private var announcesPlug = false

  /// - Parameter description: has at least one configuration; the first is in force.
  init(_ description: DeviceDescription, loop: EventLoop) {
    self.description = description
    clock = loop.clock
    model = description.model(configuration: description.configurations.first?.value ?? 0)
    endpoints = (0..<EndpointTable.count).map { VirtualEndpoint(EndpointAddress(slot: $0)) }
    work = Work(on: loop.reaps) { [device = Unowned(self)] in device.value.turn() }
    timer = Timer(loop) { [device = Unowned(self)] in device.value.serveSoon() }
    bindEndpoints()
  }

  deinit {
    work?.cancel()
  }

  final var label: String {
    let vendor = Hex.text(UInt32(description.vendor), digits: 4)
    let product = Hex.text(UInt32(description.product), digits: 4)
    return "\(vendor):\(product) \"\(description.productName)\" (virtual)"
  }

  /// True when the device will wake the loop by itself.
  final var isTimerRunning: Bool { timer?.isRunning ?? false }

  final var owner: (any DeviceOwner)? {
    get { unsafe user }
    set { unsafe user = newValue }
  }

  // MARK: what subclasses do differently

  /// True when interrupt IN transfers are answered once per bInterval at most, as on a bus, and isochronous ones
  /// take as long as their packets.
  var isPaced: Bool { false }

  /// Transfers wait on this endpoint: the guest polls it. Called from the loop, often.
  func polled(_ endpoint: EndpointAddress) {}

  /// False when the endpoint has nothing to give, or takes nothing, at the moment: its transfers wait (NAK).
  func isReady(_ endpoint: EndpointAddress) -> Bool { endpoint.number == 0 }

  /// Answers a transfer that is not control, with `give` or `take`. Asked only when the endpoint is ready; nil
  /// when the transfer has to wait all the same, with `progress` saying what of it has moved.
  func answer(_ transfer: VirtualTransfer) -> TransferStatus? { .stalled }

  /// Answers a control transfer. Overridden for class and vendor requests; the rest goes to `super`.
  func answerControl(_ transfer: Transfer) -> TransferStatus { answerStandardRequest(transfer) }

  /// How a cancelled transfer ends: without data, unless something was faster.
  func answerCancelled(_ transfer: Transfer) -> TransferStatus { .cancelled }

  /// Carries out a call and keeps the model in step.
  func carryOut(_ call: DeviceCall) -> DeviceCallResult {
    switch call {
    case .setConfiguration(let value):
      return setConfiguration(UInt16(value)) ? .done : .failed
    case .setAlternateSetting(let interface, let setting):
      return setAlternateSetting(UInt16(interface), UInt16(setting)) ? .done : .failed
    case .clearHalt(let address):
      guard let endpoint = endpoint(address) else { return .failed }
      endpoint.isHalted = false
      return .done
    case .reset:
      reset(configuration: model.configuration)
      return .done
    case .cancel(let slots):
      kill(slots)
      return .done
    case .allocateStreams: return .failed
    case .freeStreams: return .done
    }
  }

  /// A bus reset, or the end of a user: whatever the guest had set is forgotten.
  func wasReset() {}

  /// A configuration or an alternate setting was chosen: its endpoints start afresh.
  func wasConfigured() {}

  /// True while calls have to wait; `serveSoon` when that ends.
  var holdsCalls: Bool { false }

  /// True while closing has to wait; `serveSoon` when that ends.
  var holdsClosing: Bool { false }

  // MARK: Device

  func makeTransfer(isoPackets: Int) -> Transfer {
    VirtualTransfer(isoPackets: isoPackets)
  }

  func submit(_ transfer: Transfer) {
    guard let transfer = transfer as? VirtualTransfer, transfer.state == .idle else {
      preconditionFailure("a transfer of another device, or one that is submitted")
    }
    transfer.state = .submitted
    transfer.deadline = 0
    transfer.packetsTaken = 0
    transfer.progress = 0
    if transfer.timeout > 0 {
      transfer.deadline = clock.now + UInt64(transfer.timeout) * 1_000_000
      withDeadline += 1
    }
    let slot = queueSlot(transfer.endpoint)
    endpoints[slot].append(transfer)
    busy |= 1 << UInt32(slot)
    submitted += 1
    serveSoon()
  }

  func cancel(_ transfer: Transfer) {
    guard transfer.state == .submitted else { return }
    transfer.state = .cancelling
    serveSoon()
  }

  func perform(_ call: DeviceCall) {
    precondition(self.call == nil, "one call at a time")
    self.call = call
    serveSoon()
  }

  func close(_ closed: @escaping () -> Void) {
    precondition(submitted == 0, "all transfers must be back")
    owner = nil
    call = nil
    self.closed = closed
    serveSoon()
  }

  // MARK: what happens to the device from outside

  /// Takes the device away: its user hears of it, all transfers complete as `deviceGone`.
  final func unplug() {
    guard isPlugged else { return }
    isPlugged = false
    announcesPlug = false
    presence = .leaving
    serveSoon()
  }

  /// Brings the device back. `onPlug` follows once nobody uses the one that was unplugged.
  final func plug() {
    guard !isPlugged else { return }
    isPlugged = true
    announcesPlug = true
    serveSoon()
  }

  /// Has the endpoints looked at in this turn, or in the next: something may be ready.
  final func serveSoon() {
    work?.schedule()
  }

  // MARK: what requests and calls change

  /// Whether transfers wait on the endpoint.
  final func isPolled(_ endpoint: EndpointAddress) -> Bool {
    endpoint.isValid && endpoints[queueSlot(endpoint)].count > 0
  }

  /// The endpoint, if the settings in force have it; endpoint 0 always is there.
  final func endpoint(_ address: EndpointAddress) -> VirtualEndpoint? {
    guard address.isValid else { return nil }
    let endpoint = endpoints[queueSlot(address)]
    return address.number == 0 || endpoint.model != nil ? endpoint : nil
  }

  /// False when there is no such configuration; 0 unconfigures the device.
  final func setConfiguration(_ value: UInt16) -> Bool {
    guard let value = UInt8(exactly: value), value == 0 || description.configuration(value) != nil else {
      return false
    }
    kill(EndpointTable.allButControl)
    model = description.model(configuration: value)
    bindEndpoints()
    wasConfigured()
    return true
  }

  /// False when the configuration in force has no such interface or setting.
  final func setAlternateSetting(_ interface: UInt16, _ setting: UInt16) -> Bool {
    guard let index = model.interfaces.firstIndex(where: { UInt16($0.number) == interface }),
      let chosen = model.interfaces[index].alternateSettings.first(where: { UInt16($0.number) == setting })
    else { return false }
    kill(EndpointTable(model).slots(ofInterface: model.interfaces[index].number))
    model.interfaces[index].current = chosen.number
    bindEndpoints()
    wasConfigured()
    return true
  }

  private func reset(configuration: UInt8) {
    kill(.max)
    model = description.model(configuration: configuration)
    bindEndpoints()
    remoteWakeup = false
    wasReset()
  }

  /// Cancels what waits on these endpoints (bit = slot).
  private func kill(_ slots: UInt32) {
    for endpoint in endpoints where endpoint.count > 0 && slots & (1 << UInt32(endpoint.address.slot)) != 0 {
      if killsInReverse { endpoint.reverse() }
      endpoint.forEach { $0.state = .cancelling }
    }
    serveSoon()
  }

  /// Endpoints start afresh with every setting: no halt. USB 2.0, 9.4.5.
  private func bindEndpoints() {
    for endpoint in endpoints {
      endpoint.model = nil
      endpoint.isHalted = false
    }
    for interface in model.interfaces {
      for model in interface.currentSetting?.endpoints ?? [] {
        endpoints[model.address.slot].model = model
      }
    }
  }

  private func queueSlot(_ address: EndpointAddress) -> Int {
    address.number == 0 ? 0 : address.slot
  }
}

/// The work of a turn.
extension VirtualDevice {
  private func turn() {
    tellGone()
    finishCall()
    // While a call runs the device does nothing else.
    var slot = 0
    while call == nil, let next = busySlot(from: slot) {
      serve(endpoints[next])
      slot = next + 1
    }
    startTimer()
    finishClosing()
    tellPlugged()
  }

  /// The first slot from `slot` on that has something waiting.
  private func busySlot(from slot: Int) -> Int? {
    let slots = busy >> UInt32(slot)
    return slots == 0 ? nil : slot + slots.trailingZeroBitCount
  }

  private func tellGone() {
    guard presence == .leaving else { return }
    presence = .gone
    if killsInReverse { for endpoint in endpoints { endpoint.reverse() } }
    owner?.deviceGone()
  }

  private func finishCall() {
    guard let call, presence != .present || !holdsCalls else { return }
    self.call = nil
    let result = presence == .present ? carryOut(call) : .deviceGone
    owner?.deviceFinished(call, result)
  }

  /// Completes what can be completed, oldest first. What is submitted again meanwhile waits for the next
  /// turn, so a device that always has data does not hold the loop.
  private func serve(_ endpoint: VirtualEndpoint) {
    if presence == .present { polled(endpoint.address) }
    var left = endpoint.count
    var older: VirtualTransfer?
    var waits = false
    while left > 0, call == nil, presence != .leaving, let transfer = endpoint.next(after: older) {
      left -= 1
      let status = end(of: transfer) ?? (waits ? nil : answer(transfer, at: endpoint))
      guard let status else {
        waits = true
        older = transfer
        continue
      }
      endpoint.remove(after: older)
      if endpoint.count == 0 { busy &= ~(1 << UInt32(endpoint.address.slot)) }
      complete(transfer, status)
    }
  }

  /// How the transfer ends without the device having a say; nil when it does not.
  private func end(of transfer: VirtualTransfer) -> TransferStatus? {
    transfer.actualLength = transfer.progress
    if presence != .present { return .deviceGone }
    if transfer.state == .cancelling { return answerCancelled(transfer) }
    if transfer.deadline > 0 && clock.now >= transfer.deadline { return .timedOut }
    if transfer.buffer == nil && transfer.length > 0 { return .noMemory }
    return nil
  }

  /// The device's answer to the transfer whose turn it is; nil when it has none yet (NAK).
  private func answer(_ transfer: VirtualTransfer, at endpoint: VirtualEndpoint) -> TransferStatus? {
    guard self.endpoint(transfer.endpoint) != nil else { return .refused }
    if endpoint.isHalted { return .stalled }
    guard isReady(endpoint.address) else { return nil }
    if endpoint.address.number == 0 { return answerControl(transfer) }
    guard isPaced(endpoint) else { return answer(transfer) }
    let now = clock.now
    guard now >= endpoint.due else { return nil }
    // On the beat of the bus while it is busy, and at once after a rest.
    let interval = pollInterval(endpoint) * UInt64(max(1, transfer.packets.count))
    endpoint.due = now - endpoint.due < interval ? endpoint.due + interval : now + interval
    return answer(transfer)
  }

  private func isPaced(_ endpoint: VirtualEndpoint) -> Bool {
    guard isPaced, let type = endpoint.model?.type else { return false }
    return type == .isochronous || type == .interrupt && endpoint.address.isIn
  }

  private func complete(_ transfer: VirtualTransfer, _ status: TransferStatus) {
    if transfer.deadline > 0 { withDeadline -= 1 }
    submitted -= 1
    transfer.state = .idle
    transfer.status = status
    transfer.owner?.completed(transfer)
  }

  /// bInterval in nanoseconds. USB 2.0, table 9-13.
  private func pollInterval(_ endpoint: VirtualEndpoint) -> UInt64 {
    let interval = UInt64(max(1, endpoint.model?.interval ?? 1))
    switch description.speed {
    case .high, .super: return 125_000 << (min(interval, 16) - 1)
    case .low, .full, .unknown: return interval * 1_000_000
    }
  }

  /// Wakes for the next report that only waits for its interval, and for the next timeout; else not at all.
  private func startTimer() {
    let now = clock.now
    var wake = UInt64.max
    var slot = 0
    while let next = busySlot(from: slot) {
      let endpoint = endpoints[next]
      slot = next + 1
      // It may be due by now; only the timer brings its turn.
      if isPaced && endpoint.due > 0 && isReady(endpoint.address) { wake = min(wake, endpoint.due) }
      guard withDeadline > 0 else { continue }
      endpoint.forEach { if $0.deadline > 0 { wake = min(wake, $0.deadline) } }
    }
    guard wake < .max, call == nil else {
      timer?.stop()
      return
    }
    timer?.start(nanoseconds: wake > now ? wake - now : 0)
  }

  private func finishClosing() {
    guard let closed, !holdsClosing else { return }
    self.closed = nil
    comeBack()
    closed()
  }

  private func tellPlugged() {
    guard announcesPlug, closed == nil else { return }
    let isUsed = owner != nil
    // Its user does not know yet that it is another device; or someone has found it without being told.
    if isUsed && presence != .present { return }
    announcesPlug = false
    if isUsed { return }
    comeBack()
    onPlug?()
  }

  private func comeBack() {
    if isPlugged { presence = .present }
    reset(configuration: description.configurations.first?.value ?? 0)
  }
}
