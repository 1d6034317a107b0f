// What libusb or the kernel refused, in one line a reader can act on.
import CLibUSB
import CPosix

/// Why a USB device, or USB as a whole, cannot be used.
struct USBError: Error, CustomStringConvertible {
  enum Kind: Equatable {
    /// The node may not be opened. Just after an arrival this may be udev still applying its rules: try
    /// again.
    case permission
    /// Another program or driver has the device.
    case busy
    /// It was unplugged.
    case gone
    /// There was no memory for it.
    case noMemory
    case other
  }

  let kind: Kind
  let description: String

  /// True when trying again in a moment makes sense.
  var mayPass: Bool { kind == .permission || kind == .busy || kind == .noMemory }

  init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  /// - Parameters:
  ///   - code: a `LIBUSB_ERROR_*`.
  ///   - operation: what failed, and on what.
  init(code: Int32, _ operation: String) {
    switch code {
    case LIBUSB_ERROR_ACCESS.rawValue: kind = .permission
    case LIBUSB_ERROR_BUSY.rawValue: kind = .busy
    case LIBUSB_ERROR_NO_DEVICE.rawValue: kind = .gone
    case LIBUSB_ERROR_NO_MEM.rawValue: kind = .noMemory
    default: kind = .other
    }
    description = unsafe operation + ": " + String(cString: libusb_error_name(code))
  }

  /// - Parameter error: what the system refused on the way.
  init(_ error: SystemError, _ name: String) {
    self.init(error.code == ENOMEM ? .noMemory : .other, name + ": " + error.description)
  }
}

/// The errors of libusb_init.
extension USBError {
  /// - Parameters:
  ///   - code: a `LIBUSB_ERROR_*`, which is OTHER whatever the kernel refused.
  ///   - reason: what errno was behind the call.
  static func starting(_ name: String, code: Int32, reason: Int32) -> USBError {
    // EAGAIN: libusb has a thread of its own for arrivals.
    guard isExhaustion(reason) || code == LIBUSB_ERROR_OTHER.rawValue && reason == EAGAIN else {
      return USBError(code: code, "libusb_init for " + name)
    }
    return USBError(.other, "libusb_init for " + name + ": " + exhaustionText(reason))
  }

  private static func isExhaustion(_ code: Int32) -> Bool { code == EMFILE || code == ENFILE }

  private static func exhaustionText(_ code: Int32) -> String {
    let advice = code == EAGAIN ? SystemError.threadAdvice : SystemError.advice(about: code)
    return (unsafe String(cString: posixErrorText(code))) + (advice.map { "; " + $0 } ?? "")
  }
}

/// The errors of open(2) on a node.
extension USBError {
  /// - Parameter name: the node and the device on it: `/dev/bus/usb/001/004 (046d:c31c)`.
  static func opening(_ name: String, _ path: String, vendor: UInt16, product: UInt16, code: Int32)
    -> USBError
  {
    switch code {
    case EACCES, EPERM:
      let advice = permissionAdvice(path, vendor: vendor, product: product)
      return USBError(.permission, "cannot open " + name + ": permission denied" + advice)
    case ENOENT, ENODEV, ENXIO:
      return USBError(.gone, "cannot open " + name + ": it was unplugged")
    case let code where isExhaustion(code):
      return USBError(.other, "cannot open " + name + ": " + exhaustionText(code))
    default:
      return USBError(.other, "cannot open " + name + ": " + (unsafe String(cString: posixErrorText(code))))
    }
  }

  /// Whose the node is, and the udev rule that lets a group use it.
  private static func permissionAdvice(_ path: String, vendor: UInt16, product: UInt16) -> String {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return "" }
    let mode = String(status.st_mode & 0o7777, radix: 8)
    return "; it is owned by " + userName(status.st_uid) + ":" + groupName(status.st_gid) + ", mode 0" + mode
      + "; to allow group plugdev, add to /etc/udev/rules.d/70-usbredir.rules: SUBSYSTEM==\"usb\", "
      + "ATTR{idVendor}==\"" + Hex.text(UInt32(vendor), digits: 4) + "\", ATTR{idProduct}==\""
      + Hex.text(UInt32(product), digits: 4)
      + "\", GROUP=\"plugdev\", MODE=\"0660\""
  }

  private static func userName(_ id: uid_t) -> String {
    var entry = unsafe passwd()
    var found: UnsafeMutablePointer<passwd>?
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
      guard let start = buffer.baseAddress, unsafe getpwuid_r(id, &entry, start, buffer.count, &found) == 0,
        let name = unsafe found?.pointee.pw_name
      else { return String(id) }
      return unsafe String(cString: name)
    }
  }

  private static func groupName(_ id: gid_t) -> String {
    var entry = unsafe group()
    var found: UnsafeMutablePointer<group>?
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
      guard let start = buffer.baseAddress, unsafe getgrgid_r(id, &entry, start, buffer.count, &found) == 0,
        let name = unsafe found?.pointee.gr_name
      else { return String(id) }
      return unsafe String(cString: name)
    }
  }
}
