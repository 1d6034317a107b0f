// A real device behind the `Device` seam: libusb in a context of its own, reaped in the loop's turn.
//
//     ready ──perform──▶ calling ──done──▶ ready          ready ──close──▶ closing ──▶ closed
//
// While a call runs (and from within a reap until its end) what is submitted or cancelled waits in line, and
// the context is not touched: usbfs locks the device for every ioctl, so one reap could block the loop for
// the whole call.
import CLibUSB
import CPosix

/// An open USB device. Loop thread only.
@safe final class USBDevice: Device {
  /// What to open.
  enum Target {
    /// A plugged-in device, by its node.
    case info(USBDeviceInfo)
    /// A usbfs node that somebody opened for us, to read and write. Borrowed: it stays open.
    case descriptor(Int32)
  }

  private(set) var model: DeviceModel
  var owner: (any DeviceOwner)? {
    get { unsafe user }
    set { unsafe user = newValue }
  }
  let label: String
  /// Where it is plugged in, as the kernel numbers it; 0 where that is not known.
  let bus: UInt8
  let address: UInt8
  /// Called in the loop when the device is closed, before the `closed` of `close`.
  var onClosed: (() -> Void)?

  private let handle: USBHandle
  private let system: USBSystem
  private let devicePointer: OpaquePointer
  private var events: USBEvents?
  private var work: Work?
  private unowned(unsafe) var user: (any DeviceOwner)?
  private var transfers = TransferRegister()
  private var submits: UInt64 = 0
  /// Submits and cancels that wait for the end of a call.
  private var held = WaitingTransfers()
  /// Failed submits, to be given back in the next reap.
  private var failed = WaitingTransfers()
  private var call: DeviceCall?
  private var isCalling = false
  private var isReaping = false
  private var isGone = false
  private var ownerKnows = false
  /// Whether there is something to put right by a reset.
  private var isUsed = false
  private var closed: (() -> Void)?

  /// Opens a device off the loop; `then` is called on it, never from within. Whoever gets the device closes
  /// it.
  static func open(
    _ target: Target, in system: USBSystem, then: @escaping (Result<USBDevice, USBError>) -> Void
  ) {
    system.calls.run({ USBHandle.open(target) }) { result in
      switch result {
      case .success(let handle): then(USBDevice.make(handle, system))
      case .failure(let error): then(.failure(error))
      }
    }
  }

  private static func make(_ handle: USBHandle, _ system: USBSystem) -> Result<USBDevice, USBError> {
    do throws(SystemError) {
      return .success(try USBDevice(handle, system))
    } catch {
      system.calls.run({ handle.giveBack(reset: false) }) {}
      return .failure(USBError(error, handle.label))
    }
  }

  private init(_ handle: USBHandle, _ system: USBSystem) throws(SystemError) {
    guard let context = unsafe handle.context, let pointer = unsafe handle.pointer else {
      throw SystemError(code: ENODEV, "open " + handle.label)
    }
    self.handle = handle
    self.system = system
    unsafe devicePointer = pointer
    model = handle.model
    label = handle.label
    bus = handle.bus
    address = handle.address
    let work = Work(on: system.loop.reaps) { [device = Unowned(self)] in device.value.reap() }
    self.work = work
    events = try unsafe USBEvents(context, system.loop, due: work)
    system.opened(self)
  }

  deinit {
    work?.cancel()
  }

  // MARK: transfers

  func makeTransfer(isoPackets: Int) -> Transfer {
    let transfer = USBTransfer(self, isoPackets: isoPackets)
    transfers.add(transfer)
    return transfer
  }

  func submit(_ transfer: Transfer) {
    guard let transfer = transfer as? USBTransfer else { preconditionFailure("a transfer of another device") }
    precondition(transfer.state == .idle)
    transfer.state = .submitted
    if call == nil { post(transfer) } else { held.append(transfer) }
  }

  func cancel(_ transfer: Transfer) {
    guard transfer.state == .submitted, let transfer = transfer as? USBTransfer else { return }
    transfer.state = .cancelling
    // What was refused is on its way back already.
    guard transfer.isPosted else { return }
    if call == nil { unsafe libusb_cancel_transfer(transfer.pointer) } else { held.append(transfer) }
  }

  private func post(_ transfer: USBTransfer) {
    submits += 1
    transfer.number = submits
    isUsed = true
    let code = isGone ? LIBUSB_ERROR_NO_DEVICE.rawValue : unsafe transfer.post(on: devicePointer)
    guard code != 0 else {
      if transfer.timeout != 0 { events?.armTimer() }
      return
    }
    giveBack(transfer, TransferStatus(refusal: code))
  }

  /// Never from within `submit`: through the next reap.
  private func giveBack(_ transfer: USBTransfer, _ status: TransferStatus) {
    transfer.status = status
    transfer.actualLength = 0
    failed.append(transfer)
    if status == .deviceGone { isGone = true }
    work?.schedule()
  }

  /// A transfer came back with the device's end: the owner learns of that first (B2.6).
  func transferFoundDeviceGone() {
    isGone = true
    tellOwner()
  }

  func forget(_ transfer: USBTransfer) {
    transfers.remove(transfer)
  }

  // MARK: the turn

  private func reap() {
    if !isCalling && closed == nil {
      isReaping = true
      events?.reap()
      isReaping = false
      if events?.hasLostDescriptor == true { isGone = true }
    }
    if isGone { tellOwner() }
    returnFailed()
    startWaiting()
  }

  private func returnFailed() {
    while let transfer = failed.take() {
      transfer.state = .idle
      transfer.owner?.completed(transfer)
    }
  }

  private func tellOwner() {
    guard !ownerKnows else { return }
    ownerKnows = true
    unsafe user?.deviceGone()
  }

  /// Enumeration says that the device was unplugged.
  func left() {
    isGone = true
    work?.schedule()
  }

  // MARK: calls

  func perform(_ call: DeviceCall) {
    precondition(self.call == nil, "one call at a time")
    self.call = call
    startWaiting()
  }

  /// Starts what had to wait for the end of a reap.
  private func startWaiting() {
    guard !isReaping, !isCalling else { return }
    if let call { start(call) } else if closed != nil { startClosing() }
  }

  private func start(_ call: DeviceCall) {
    isCalling = true
    isUsed = true
    events?.suspend()
    guard !isGone else {
      return system.calls.run({}) { [self] in finish(call, .deviceGone) }
    }
    let work: () -> DeviceCallResult
    if case .cancel(let slots) = call {
      work = cancelling(transfers.posted(on: slots))
    } else {
      work = { [handle] in handle.perform(call) }
    }
    system.calls.run(work) { [self] result in finish(call, result) }
  }

  private func cancelling(_ posted: [USBTransfer]) -> () -> DeviceCallResult {
    for transfer in posted { transfer.state = .cancelling }
    return {
      for transfer in posted { unsafe libusb_cancel_transfer(transfer.pointer) }
      return .done
    }
  }

  private func finish(_ call: DeviceCall, _ result: DeviceCallResult) {
    isCalling = false
    self.call = nil
    update(call, result)
    events?.resume()
    postHeld()
    if result == .deviceGone { isGone = true }
    if isGone { tellOwner() }
    unsafe user?.deviceFinished(call, result)
    startWaiting()
  }

  private func update(_ call: DeviceCall, _ result: DeviceCallResult) {
    switch call {
    case .setConfiguration: model = handle.model
    case .setAlternateSetting(let interface, let setting) where result == .done:
      guard let index = model.interfaces.firstIndex(where: { $0.number == interface }) else { return }
      model.interfaces[index].current = setting
    case .reset:
      model = handle.model
      if result == .done { isUsed = false }
    case .setAlternateSetting, .clearHalt, .allocateStreams, .freeStreams, .cancel: break
    }
  }

  private func postHeld() {
    while let transfer = held.take() {
      switch (transfer.state, transfer.isPosted) {
      case (.cancelling, true): unsafe libusb_cancel_transfer(transfer.pointer)
      case (.cancelling, false): giveBack(transfer, .cancelled)
      case (.submitted, false): post(transfer)
      // It came back in the reap at whose end the call began.
      case (.idle, _), (.submitted, true): break
      }
    }
  }

  // MARK: the end

  /// Devices that do not survive a reset (B2.8).
  private static let neverReset: [(vendor: UInt16, product: UInt16)] = [(0x1210, 0x001c), (0x2798, 0x0001)]

  func close(_ closed: @escaping () -> Void) {
    precondition(self.closed == nil, "closed once")
    self.closed = closed
    startWaiting()
  }

  private func startClosing() {
    guard let closed, !isCalling else { return }
    isCalling = true
    events?.stop()
    events = nil
    work?.cancel()
    transfers.closeAll()
    let mayReset = !USBDevice.neverReset.contains { $0.vendor == model.vendor && $0.product == model.product }
    let reset = isUsed && !isGone && mayReset
    system.calls.run({ [handle] in handle.giveBack(reset: reset) }) { [self] in
      system.closed(self)
      onClosed?()
      self.closed = nil
      closed()
    }
  }
}
