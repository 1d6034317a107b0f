// Who has a device: the kernel driver of each interface, and where that is usbfs, the program behind it.
import CPosix

/// Best effort: what may not be read is left out.
enum DeviceHolder {
  /// Each holder once, as `usbhid` or `usbredirect (pid 812)`; `usbfs` for a program that cannot be seen.
  static func names(_ device: USBDeviceInfo) -> [String] {
    var names: [String] = []
    for interface in device.interfaces {
      guard let driver = interface.driver, !names.contains(driver) else { continue }
      names.append(driver)
    }
    guard let usbfs = names.firstIndex(of: "usbfs") else { return names }
    let programs = programs(with: device.nodePath)
    return programs.isEmpty ? names : Array(names[..<usbfs]) + programs + names[(usbfs + 1)...]
  }

  /// The programs that have `path` open, but for this one: `name (pid N)`. Reads all of /proc: not for the
  /// packet path.
  static func programs(with path: String) -> [String] {
    let own = String(getpid())
    return Sysfs.names(in: "/proc").filter { $0.number() != nil && $0 != own }.compactMap { pid in
      let folder = "/proc/" + pid + "/fd/"
      guard Sysfs.names(in: folder).contains(where: { Sysfs.link(folder + $0) == path }) else { return nil }
      return printable(Sysfs.text("/proc/" + pid + "/comm") ?? "?") + " (pid " + pid + ")"
    }
  }
}
