// Where an export gets its device from: the USB system by a selector, a descriptor that was passed in, or a
// virtual device of its own. The export asks when a guest wants the device, and hears when asking again makes
// sense.

/// Why there is no device at the moment. One line for the log.
enum DeviceUnavailable: Error, CustomStringConvertible {
  /// Nothing that fits is plugged in.
  case absent(String)
  /// It is there and could not be opened; perhaps it can be in a moment, when udev has set its permissions or
  /// another export has given it back.
  case refused(String, mayPass: Bool)

  var description: String {
    switch self {
    case .absent(let text), .refused(let text, _): text
    }
  }

  /// True when asking again in a moment may have another outcome.
  var mayPass: Bool {
    if case .refused(_, mayPass: true) = self { return true }
    return false
  }
}

/// Loop thread only.
protocol DeviceSource: AnyObject {
  /// Called when asking again may have another outcome.
  var changed: (() -> Void)? { get set }
  /// Why opening would find nothing right now; nil when there is a device.
  var absence: DeviceUnavailable? { get }
  /// Opens the device for one user; `then` comes once, from the loop or from within. The user closes the
  /// device.
  func open(then: @escaping (Result<OpenDevice, DeviceUnavailable>) -> Void)
}

/// A device that was opened for an export. A struct, since a Result cannot carry an existential in every
/// build.
struct OpenDevice {
  let device: any Device
}
