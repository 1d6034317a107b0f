// The seam between what speaks usbredir and what is a USB device: libusb's, a virtual one, a scripted one in
// a test. Everything here is called on the loop thread, returns at once and answers through its owner later.

/// A request to the device that may sleep in the kernel. While one runs the device does nothing else: transfers
/// submitted or cancelled meanwhile wait inside the device.
enum DeviceCall {
  /// Release, SET_CONFIGURATION, claim again. 0 leaves the device unconfigured.
  case setConfiguration(UInt8)
  case setAlternateSetting(interface: UInt8, setting: UInt8)
  case clearHalt(EndpointAddress)
  /// Port reset. Alternate settings are 0 afterwards, the configuration is kept.
  case reset
  /// Allocates bulk streams on every endpoint of the mask (bit = slot); at least `count` or a failure.
  case allocateStreams(slots: UInt32, count: UInt32)
  case freeStreams(slots: UInt32)
  /// Cancels every submitted transfer of these endpoints (bit = slot) in reverse order of submission.
  /// Done when the cancels were issued; each transfer still completes on its own.
  case cancel(slots: UInt32)
}

/// How a `DeviceCall` ended.
enum DeviceCallResult: Equatable {
  case done
  case stalled
  /// The request cannot be carried out (no such setting, busy interface …); the device is as it was.
  case failed
  /// The device is not what it was: its descriptors changed (libusb's NOT_FOUND after a reset).
  case changed
  case deviceGone
}

/// Who uses an open device. Loop thread only.
protocol DeviceOwner: AnyObject {
  /// The answer to `perform`, exactly one for each, never from within `perform`.
  func deviceFinished(_ call: DeviceCall, _ result: DeviceCallResult)
  /// The device was unplugged. Comes once; transfers still complete (`deviceGone`) afterwards.
  func deviceGone()
}

/// Takes transfers: all of a device that the interrupt engine needs. Loop thread only.
protocol TransferTaker: AnyObject {
  /// A transfer of this device's kind, idle. `isoPackets` is 0 but for isochronous transfers.
  func makeTransfer(isoPackets: Int) -> Transfer
  /// Takes the transfer until its owner gets it back, whatever happens. Never calls back from within.
  func submit(_ transfer: Transfer)
  /// Asks for the transfer back soon. It completes as `cancelled`, or as whatever was faster. Cancelling what is not
  /// submitted does nothing. May take a millisecond in the kernel: for more than a few use `perform(.cancel)`.
  func cancel(_ transfer: Transfer)
}

/// An open device. Loop thread only.
protocol Device: TransferTaker {
  /// What the device says of itself, kept current by `perform`.
  var model: DeviceModel { get }
  /// One line for logs and errors: `046d:c31c "USB Keyboard" at 1-2.3`.
  var label: String { get }
  /// Set by whoever uses it; nil again before that one goes away.
  var owner: (any DeviceOwner)? { get set }

  /// Starts a call; one at a time.
  func perform(_ call: DeviceCall)
  /// Gives the device back to the system as it was found (reset, configuration, kernel drivers) and closes it;
  /// `closed` is called when that is done. All transfers must be back. The owner is not called any more.
  func close(_ closed: @escaping () -> Void)
}
