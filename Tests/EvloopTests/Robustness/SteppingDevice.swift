// A scripted device seen through a seam that counts: every submit, cancel, call, completion and result is a step, and
// at any of them something can go wrong.
@testable import usbredir_evloop

/// Hands everything on to a scripted device, and back. Loop thread only.
final class SteppingDevice: Device, DeviceOwner, TransferOwner {
  /// What crosses the seam.
  enum Step {
    /// Somebody uses the device from here on.
    case attach
    case submit
    case cancel
    case call
    case completion
    case result
  }

  /// What may happen at a step, beside or instead of what should.
  enum Fault {
    /// Something that `atStep` did by itself, or nothing.
    case none
    /// A submit ends like this, and nothing happened on the bus.
    case refuse(TransferStatus)
    /// A call ends like this and changes nothing.
    case fail(DeviceCallResult)
    /// A cancel comes too late: the transfer completes with everything.
    case overtake
  }

  let inner: ScriptedDevice
  /// Asked at each step.
  var atStep: (Step) -> Fault = { _ in .none }
  /// Transfers come back with the device's end before it is told by itself, as libusb may have it.
  let transfersTellFirst: Bool
  /// The last call that was asked for.
  private(set) var lastCall: DeviceCall?

  unowned(unsafe) private var user: (any DeviceOwner)?
  private var owners: [ObjectIdentifier: any TransferOwner] = [:]
  private var refused: [(Transfer, TransferStatus)] = []
  private var overtaking: Set<ObjectIdentifier> = []
  private var failedCall: (DeviceCall, DeviceCallResult)?
  private var hasGone = false
  private var work: Work?

  init(loop: EventLoop, transfersTellFirst: Bool = false) {
    inner = ScriptedDevice(loop: loop)
    inner.killsInReverse = transfersTellFirst
    inner.hasStreams = true
    self.transfersTellFirst = transfersTellFirst
    work = Work(on: loop.reaps) { [device = Unowned(self)] in device.value.finishFailed() }
  }

  deinit {
    work?.cancel()
  }

  /// Transfers that the session has out.
  var out: Int { owners.count }

  var model: DeviceModel { inner.model }
  var label: String { inner.label }

  var owner: (any DeviceOwner)? {
    get { unsafe user }
    set {
      unsafe user = newValue
      inner.owner = newValue == nil ? nil : self
      hasGone = false
      if newValue != nil { _ = atStep(.attach) }
    }
  }

  func makeTransfer(isoPackets: Int) -> Transfer { inner.makeTransfer(isoPackets: isoPackets) }

  func submit(_ transfer: Transfer) {
    owners[ObjectIdentifier(transfer)] = transfer.owner
    transfer.owner = self
    guard case .refuse(let status) = atStep(.submit) else { return inner.submit(transfer) }
    transfer.state = .submitted
    refused.append((transfer, status))
    work?.schedule()
  }

  func cancel(_ transfer: Transfer) {
    if case .overtake = atStep(.cancel) { overtaking.insert(ObjectIdentifier(transfer)) }
    inner.cancel(transfer)
  }

  func perform(_ call: DeviceCall) {
    lastCall = call
    guard case .fail(let result) = atStep(.call) else { return inner.perform(call) }
    failedCall = (call, result)
    work?.schedule()
  }

  func close(_ closed: @escaping () -> Void) {
    owner = nil
    inner.close(closed)
  }

  // MARK: on the way back

  func completed(_ transfer: Transfer) {
    if overtaking.remove(ObjectIdentifier(transfer)) != nil && transfer.status == .cancelled {
      transfer.status = .completed
      transfer.actualLength = transfer.length
      if transfer.endpoint.isIn { transfer.buffer?.copy([UInt8](repeating: 9, count: transfer.length).span) }
    }
    giveBack(transfer)
  }

  private func giveBack(_ transfer: Transfer) {
    _ = atStep(.completion)
    guard let owner = owners.removeValue(forKey: ObjectIdentifier(transfer)) else { return }
    transfer.owner = owner
    owner.completed(transfer)
    tellGone()
  }

  func deviceFinished(_ call: DeviceCall, _ result: DeviceCallResult) {
    _ = atStep(.result)
    unsafe user?.deviceFinished(call, result)
  }

  func deviceGone() {
    hasGone = true
    tellGone()
  }

  private func tellGone() {
    guard hasGone, !transfersTellFirst || owners.isEmpty else { return }
    hasGone = false
    unsafe user?.deviceGone()
  }

  private func finishFailed() {
    let transfers = refused
    refused = []
    for (transfer, status) in transfers {
      transfer.state = .idle
      transfer.status = status
      transfer.actualLength = 0
      giveBack(transfer)
    }
    guard let (call, result) = failedCall else { return }
    failedCall = nil
    deviceFinished(call, result)
  }
}
