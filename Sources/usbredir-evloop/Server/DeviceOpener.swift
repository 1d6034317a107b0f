// Gets an export's device opened for the session that wants it, or says why there is none and tries again
// when that may help: at once when the devices have changed, soon when udev is perhaps still at work, later
// otherwise.

/// Who a device is opened for. Loop thread only.
protocol DeviceOpenerOwner: AnyObject {
  /// The session that takes a device right now; nil when nobody does.
  var sessionTakingDevice: Session? { get }
  /// There is no device, and nobody waits for one here: the session goes without.
  func deviceUnavailable(_ reason: String)
  /// A device that nobody wanted any more is closed, or was not to be had.
  func openerIsIdle()
}

/// One at a time, from asking the source to the device in the session's hands. Loop thread only.
final class DeviceOpener {
  /// How soon and how often a refusal is tried again.
  struct Pace {
    /// Attempts at what may pass in a moment, and the milliseconds between them.
    var quickAttempts = 10
    var quickDelay: UInt32 = 100
    /// Milliseconds between all later attempts: whoever has the device does not tell when it is free, nor
    /// does chmod(1).
    var slowDelay: UInt32 = 5000
  }

  /// True from asking the source until the device is handed over, given back or not to be had.
  private(set) var isOpening = false
  private let source: any DeviceSource
  private let name: String
  private let waits: Bool
  private let pace: Pace
  private let log: Log
  unowned(unsafe) private let owner: any DeviceOpenerOwner
  private var retry: Timer?
  private var attempts = 0
  /// What is plugged in changed while the source was opening: its answer may be out of date.
  private var hasChanged = false
  /// The reason that was told last: each is told once until there is a device.
  private var told: String?

  /// - Parameters:
  ///   - name: the export's, for the log.
  ///   - waits: false when a session without a device is not to wait for one.
  ///   - owner: not retained; outlives the opener.
  init(
    _ source: any DeviceSource, name: String, waits: Bool, pace: Pace, loop: EventLoop, log: Log,
    owner: any DeviceOpenerOwner
  ) {
    self.source = source
    self.name = name
    self.waits = waits
    self.pace = pace
    self.log = log
    unsafe self.owner = owner
    retry = Timer(loop) { [opener = Unowned(self)] in opener.value.tryAgain() }
    source.changed = { [opener = Unowned(self)] in opener.value.changed() }
  }

  /// Says so when there is no device to begin with.
  func begin() {
    if waits, let absence = source.absence { tell(absence.description) }
  }

  /// A session wants the device. While one is being opened that one will do.
  func open() {
    guard !isOpening else { return }
    isOpening = true
    hasChanged = false
    retry?.stop()
    source.open { [self] result in opened(result) }
  }

  /// Nobody wants a device any more. One that is being opened is given back as soon as it is there.
  func stop() {
    retry?.stop()
    attempts = 0
  }

  private func opened(_ result: Result<OpenDevice, DeviceUnavailable>) {
    isOpening = false
    switch result {
    case .success(let opened): hand(opened.device)
    case .failure(let reason): refused(reason)
    }
  }

  private func hand(_ device: any Device) {
    attempts = 0
    told = nil
    if let session = unsafe owner.sessionTakingDevice { return session.attach(device) }
    isOpening = true
    device.close { [self] in
      isOpening = false
      tryAgain()
      unsafe owner.openerIsIdle()
    }
  }

  private func refused(_ reason: DeviceUnavailable) {
    guard unsafe owner.sessionTakingDevice != nil else { return unsafe owner.openerIsIdle() }
    if hasChanged { return open() }
    if reason.mayPass && attempts < pace.quickAttempts {
      attempts += 1
      retry?.start(milliseconds: pace.quickDelay)
      return
    }
    guard waits else { return unsafe owner.deviceUnavailable(reason.description) }
    tell(reason.description)
    if case .refused = reason { retry?.start(milliseconds: pace.slowDelay) }
  }

  private func tell(_ reason: String) {
    if reason != told { log.warning("\(name): \(reason); waiting for it") }
    told = reason
  }

  private func changed() {
    attempts = 0
    hasChanged = isOpening
    tryAgain()
  }

  private func tryAgain() {
    if unsafe owner.sessionTakingDevice != nil { open() }
  }
}
