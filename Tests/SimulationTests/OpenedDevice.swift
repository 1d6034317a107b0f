// A device as one session has it: takes transfers and calls as libusb's does, reaps in the loop's turn, and sees to it
// that its user keeps the rules of the seam. What it gives back it also writes down for the guest's model.
import CPosix

@testable import usbredir_evloop

/// A transfer that knows which of its submissions this is.
final class SimulatedTransfer: Transfer {
  fileprivate var submission = 0
}

/// Loop thread only.
final class OpenedDevice: Device {
  private(set) var model: DeviceModel
  let label = "1209:0002 \"Simulated Device\""
  /// What its present session has to tell its guest; nil while nobody uses it.
  private(set) var attachment: Attachment?
  private(set) var isCalling = false
  private let hardware: Hardware
  private let world: World
  private unowned(unsafe) var user: (any DeviceOwner)?
  private var reapWork: Work?
  /// What the bus has, by slot, oldest first.
  private var posted = [[Transfer]](repeating: [], count: EndpointTable.count)
  /// Over, and not reaped yet.
  private var finished: [Transfer] = []
  /// Submitted or cancelled during a call.
  private var held: [Transfer] = []
  private var halted: UInt32 = 0
  private var isServing: UInt32 = 0
  private var call: DeviceCall?
  private var isReaping = false
  private var isGone = false
  private var ownerKnows = false
  private var closing: (() -> Void)?
  private var isClosed = false
  /// Transfers that their owner has not got back.
  private(set) var outstanding = 0
  private var lastIsoSerial: UInt32 = 0
  private var submissions = 0

  init(_ hardware: Hardware, _ model: DeviceModel) {
    self.hardware = hardware
    self.model = model
    world = hardware.world
    reapWork = Work(on: world.loop.reaps) { [device = Unowned(self)] in device.value.reap() }
  }

  deinit {
    reapWork?.cancel()
  }

  var owner: (any DeviceOwner)? {
    get { unsafe user }
    set {
      unsafe user = newValue
      guard newValue != nil, attachment == nil else { return }
      hardware.attached?(self)
    }
  }

  /// Begins the record of what this session has to tell.
  func begin(_ attachment: Attachment) {
    self.attachment = attachment
  }

  var session: AttachedDevice? { unsafe user as? AttachedDevice }

  // MARK: transfers

  func makeTransfer(isoPackets: Int) -> Transfer { SimulatedTransfer(isoPackets: isoPackets) }

  func submit(_ transfer: Transfer) {
    world.expect(!isClosed && closing == nil, "a transfer for a device that is closed")
    world.expect(transfer.state == .idle, "a transfer is submitted twice")
    world.expect(transfer.owner != nil, "a transfer without an owner")
    world.expect(
      transfer.length <= transfer.buffer?.capacity ?? 0,
      "a transfer of \(transfer.length) bytes without room for them")
    world.expect(
      transfer.timeout == (transfer.type == .control ? 5000 : 0),
      "B3.1, B4.2, B5.1: a timeout of \(transfer.timeout)")
    checkEndpoint(transfer)
    transfer.state = .submitted
    outstanding += 1
    if let request = transfer.owner as? Request {
      attachment?.submitted(request)
    } else {
      attachment?.posted(transfer)
    }
    if isCalling || call != nil { hold(transfer) } else { post(transfer) }
  }

  private func checkEndpoint(_ transfer: Transfer) {
    guard transfer.type != .control else { return }
    let slot = EndpointTable(model)[transfer.endpoint]
    world.expect(
      slot.type == transfer.type,
      "a transfer on \(transfer.endpoint.description), where there is no such endpoint")
    if transfer.type == .interrupt && transfer.endpoint.isIn {
      world.expect(
        transfer.length == Int(slot.maxPacketSize), "B4.2: \(transfer.length) bytes of an interrupt transfer")
    }
  }

  func cancel(_ transfer: Transfer) {
    guard transfer.state == .submitted else { return }
    transfer.state = .cancelling
    if isCalling || call != nil { hold(transfer) } else { kill(transfer) }
  }

  private func hold(_ transfer: Transfer) {
    if !held.contains(where: { $0 === transfer }) { held.append(transfer) }
  }

  private func slot(_ transfer: Transfer) -> Int {
    transfer.type == .control ? 0 : transfer.endpoint.slot
  }

  private func post(_ transfer: Transfer) {
    if isGone { return end(transfer, .deviceGone) }
    if world.random.chance(hardware.mood.noMemory) {
      world.saw(.noMemory, UInt64(slot(transfer)))
      return end(transfer, .noMemory)
    }
    if world.random.chance(hardware.mood.refuse) {
      world.saw(.refusedSubmit, UInt64(slot(transfer)))
      return end(transfer, .refused)
    }
    posted[slot(transfer)].append(transfer)
    if transfer.timeout > 0 { limit(transfer) }
    serveLater(slot(transfer))
  }

  /// The kernel's timeout of a control transfer.
  private func limit(_ transfer: Transfer) {
    guard let transfer = transfer as? SimulatedTransfer else { return }
    submissions += 1
    let number = submissions
    transfer.submission = number
    world.after(UInt64(transfer.timeout) * 1_000_000) { [weak self] in
      guard let self, transfer.submission == number, take(transfer) else { return }
      world.saw(.timedOut)
      end(transfer, .timedOut)
    }
  }

  // MARK: the bus

  private func serveLater(_ slot: Int) {
    guard isServing & 1 << UInt32(slot) == 0 else { return }
    isServing |= 1 << UInt32(slot)
    var delay = world.random.below(max(1, hardware.mood.delay))
    if !hardware.isQuiet && world.random.chance(10) {
      delay += world.random.pick([20_000_000, 6_000_000_000])
    }
    world.after(UInt64(delay)) { [weak self] in self?.serve(slot) }
  }

  /// A life comes to its end: what would have taken long is served soon.
  func hurry() {
    for slot in 0..<EndpointTable.count where !posted[slot].isEmpty {
      isServing &= ~(1 << UInt32(slot))
      serveLater(slot)
    }
  }

  private func serve(_ slot: Int) {
    isServing &= ~(1 << UInt32(slot))
    var left = 1 + world.random.skewed(8)
    while left > 0, let transfer = next(slot) {
      left -= 1
      posted[slot].removeAll { $0 === transfer }
      answer(transfer, slot)
    }
    if next(slot) != nil { serveLater(slot) }
  }

  /// The transfer whose turn it is. Pipes of a quiet device have nothing to wait for.
  private func next(_ slot: Int) -> Transfer? {
    let ready = posted[slot].filter {
      !hardware.isQuiet || $0.owner is Request || $0.owner is IsoOutPipe || halted & 1 << UInt32(slot) != 0
    }
    guard let first = ready.first else { return nil }
    guard first.owner is Request, ready.count > 1, world.random.chance(hardware.mood.outOfOrder) else {
      return first
    }
    world.saw(.outOfOrder, UInt64(slot))
    return world.random.pick(ready)
  }

  private func answer(_ transfer: Transfer, _ slot: Int) {
    if isGone { return end(transfer, .deviceGone) }
    let mood = hardware.mood
    if halted & 1 << UInt32(slot) != 0 || world.random.chance(mood.stall) {
      if slot != 0 { halted |= 1 << UInt32(slot) }
      world.saw(.stalled, UInt64(slot))
      return end(transfer, .stalled)
    }
    if world.random.chance(mood.fail) {
      let status = world.random.pick([TransferStatus.failed, .failed, .timedOut, .overflow])
      world.saw(status == .overflow ? .overflowed : .failedTransfer, UInt64(slot))
      return end(transfer, status)
    }
    if transfer.type == .isochronous { return answerPackets(transfer) }
    move(transfer, all: true)
    end(transfer, .completed)
  }

  /// Data goes one way or the other.
  private func move(_ transfer: Transfer, all: Bool) {
    let isIn = transfer.type == .control ? transfer.setup.isIn : transfer.endpoint.isIn
    var count = transfer.length
    if world.random.chance(hardware.mood.empty) && isIn {
      count = all ? 0 : count
      world.saw(.emptyTransfer)
    } else if !all || world.random.chance(hardware.mood.short) {
      count = min(count, world.random.within(0...max(0, count)))
      if count < transfer.length { world.saw(.shortTransfer) }
    }
    transfer.actualLength = count
    guard isIn else { return }
    transfer.buffer?.write(hardware.data(count).span, at: 0)
  }

  private func answerPackets(_ transfer: Transfer) {
    var offset = 0
    transfer.actualLength = 0
    for index in transfer.packets.indices {
      let length = Int(transfer.packets[index].length)
      if transfer.endpoint.isIn {
        let count = world.random.chance(hardware.mood.short) ? world.random.below(length + 1) : length
        transfer.buffer?.write(hardware.data(count).span, at: offset)
        transfer.packets[index].actualLength = UInt16(count)
      } else {
        transfer.packets[index].actualLength = UInt16(length)
        takeIsoPacket(transfer, offset, length)
      }
      let isBad = world.random.chance(hardware.mood.fail / 4)
      transfer.packets[index].status = isBad ? .failed : .completed
      transfer.actualLength += Int(transfer.packets[index].actualLength)
      offset += length
    }
    end(transfer, .completed)
  }

  /// Packets may be lost on the way here, and never altered, repeated or out of order (B6.3).
  private func takeIsoPacket(_ transfer: Transfer, _ offset: Int, _ length: Int) {
    guard length >= 4 else { return world.fail("an isochronous packet of \(length) bytes that nobody sent") }
    var serial: UInt32 = 0
    transfer.buffer?.withPayload { data in serial = data.u32(at: offset) }
    world.expect(serial > lastIsoSerial, "B6.3: isochronous packet \(serial) behind \(lastIsoSerial)")
    lastIsoSerial = serial
  }

  private func take(_ transfer: Transfer) -> Bool {
    guard let index = posted[slot(transfer)].firstIndex(where: { $0 === transfer }) else { return false }
    posted[slot(transfer)].remove(at: index)
    return true
  }

  private func kill(_ transfer: Transfer) {
    guard take(transfer) else { return }
    transfer.actualLength = 0
    guard transfer.type != .isochronous, !isGone, world.random.chance(hardware.mood.cancelRaces) else {
      world.saw(.cancelledEmpty, UInt64(slot(transfer)))
      return end(transfer, .cancelled)
    }
    if world.random.chance(500) {
      move(transfer, all: false)
      world.saw(.cancelledWithData, UInt64(slot(transfer)))
      end(transfer, .cancelled)
    } else {
      move(transfer, all: true)
      world.saw(.cancelledTooLate, UInt64(slot(transfer)))
      end(transfer, .completed)
    }
  }

  private func end(_ transfer: Transfer, _ status: TransferStatus) {
    transfer.status = status
    if status != .completed && status != .cancelled { transfer.actualLength = 0 }
    finished.append(transfer)
    if isCalling { world.saw(.transferDuringCall) } else { reapWork?.schedule() }
  }

  // MARK: reaping

  private func reap() {
    guard !isCalling, !isClosed else { return }
    isReaping = true
    let batch = finished
    finished = []
    for transfer in batch { giveBack(transfer) }
    isReaping = false
    if isGone { tellOwner() }
    startCall()
  }

  private func giveBack(_ transfer: Transfer) {
    if transfer.status == .deviceGone { tellOwner() }
    transfer.state = .idle
    outstanding -= 1
    if transfer.status == .completed {
      world.saw(.completed, UInt64(slot(transfer)), UInt64(transfer.actualLength))
    }
    attachment?.comesBack(transfer, attached: session?.isAttached ?? false)
    transfer.owner?.completed(transfer)
  }

  private func tellOwner() {
    guard !ownerKnows else { return }
    ownerKnows = true
    unsafe user?.deviceGone()
  }

  // MARK: calls

  func perform(_ call: DeviceCall) {
    world.expect(self.call == nil, "one call at a time")
    world.expect(!isClosed && closing == nil, "a call for a device that is closed")
    self.call = call
    startCall()
  }

  private func startCall() {
    guard !isReaping, !isCalling, let call else { return startClosing() }
    isCalling = true
    checkQuiet(call)
    var delay = world.random.below(200_000)
    if world.random.chance(hardware.mood.callIsSlow) {
      delay = world.random.pick([30_000_000, 5_000_000_000])
      world.saw(.slowCall)
    }
    if case .cancel(let slots) = call { cancelAll(slots) }
    world.after(UInt64(delay)) { [self] in finish(call) }
  }

  /// Nothing may be posted where a call changes things (B3.2–B3.5).
  private func checkQuiet(_ call: DeviceCall) {
    var slots: UInt32 = 0
    switch call {
    case .setConfiguration: slots = EndpointTable.allButControl
    case .setAlternateSetting(let interface, _): slots = EndpointTable(model).slots(ofInterface: interface)
    case .clearHalt(let endpoint): slots = 1 << UInt32(endpoint.slot)
    case .reset: slots = .max
    case .allocateStreams(let mask, _), .freeStreams(let mask): slots = mask
    case .cancel: return
    }
    for slot in 0..<EndpointTable.count where slots & 1 << UInt32(slot) != 0 {
      var transfers = posted[slot]
      // A stream's recovery lets a guest's own requests on its endpoint alone.
      if case .clearHalt = call { transfers.removeAll { $0.owner is Request } }
      world.expect(transfers.isEmpty, "\(transfers.count) transfers on slot \(slot) during \(call)")
    }
    attachment?.called(call, slots, for: session?.operation)
  }

  private func cancelAll(_ slots: UInt32) {
    for slot in 0..<EndpointTable.count where slots & 1 << UInt32(slot) != 0 {
      for transfer in posted[slot].reversed() {
        transfer.state = .cancelling
        kill(transfer)
      }
    }
  }

  private func finish(_ call: DeviceCall) {
    isCalling = false
    self.call = nil
    let result = outcome(call)
    for transfer in held {
      if transfer.state == .cancelling {
        if !posted[slot(transfer)].contains(where: { $0 === transfer })
          && !finished.contains(where: { $0 === transfer })
        {
          transfer.actualLength = 0
          end(transfer, .cancelled)
        } else {
          kill(transfer)
        }
      } else if transfer.state == .submitted {
        post(transfer)
      }
    }
    held = []
    if !finished.isEmpty { reapWork?.schedule() }
    if result == .deviceGone { isGone = true }
    if isGone { tellOwner() }
    attachment?.ended(call, result)
    unsafe user?.deviceFinished(call, result)
    startCall()
  }

  private func outcome(_ call: DeviceCall) -> DeviceCallResult {
    if isGone {
      world.saw(.callGone)
      return .deviceGone
    }
    if case .cancel = call { return .done }
    if world.random.chance(hardware.mood.callFails) {
      let result = world.random.pick([DeviceCallResult.failed, .stalled])
      world.saw(result == .failed ? .callFailed : .callStalled)
      return result
    }
    if case .reset = call, world.random.chance(hardware.mood.resetChanges) {
      world.saw(.callChanged)
      isGone = true
      for slot in 0..<EndpointTable.count { failAll(slot) }
      return .changed
    }
    world.saw(.callDone)
    return carryOut(call)
  }

  private func carryOut(_ call: DeviceCall) -> DeviceCallResult {
    switch call {
    case .setConfiguration(let value):
      guard value <= 2 else { return .failed }
      model = hardware.model(configuration: value)
      halted = 0
    case .setAlternateSetting(let interface, let setting):
      guard let index = model.interfaces.firstIndex(where: { $0.number == interface }) else { return .failed }
      halted &= ~EndpointTable(model).slots(ofInterface: interface)
      model.interfaces[index].current = setting
    case .clearHalt(let endpoint):
      guard EndpointTable(model)[endpoint].type != nil else { return .failed }
      halted &= ~(1 << UInt32(endpoint.slot))
    case .reset:
      model = hardware.model(configuration: model.configuration)
      halted = 0
    case .allocateStreams: return model.speed == .super ? .done : .failed
    case .freeStreams, .cancel: break
    }
    return .done
  }

  // MARK: the end

  /// Host controllers give transfers back youngest first.
  private func failAll(_ slot: Int) {
    for transfer in posted[slot].reversed() { end(transfer, .deviceGone) }
    posted[slot] = []
  }

  func unplug() {
    guard !isGone, !isClosed else { return }
    for slot in 0..<EndpointTable.count { failAll(slot) }
    isGone = true
    reapWork?.schedule()
  }

  func close(_ closed: @escaping () -> Void) {
    world.expect(closing == nil && !isClosed, "closed once")
    world.expect(outstanding == 0, "\(outstanding) transfers are out and the device is closed")
    closing = closed
    if attachment == nil { world.saw(.openUnwanted) }
    startCall()
  }

  private func startClosing() {
    guard let closing, !isCalling, !isReaping else { return }
    self.closing = nil
    isClosed = true
    world.after(UInt64(world.random.pick([1_000, 300_000, 2_000_000_000]))) { [self] in
      hardware.closed(self)
      closing()
    }
  }
}
