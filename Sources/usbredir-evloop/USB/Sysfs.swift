// Reading sysfs(5) and /proc: small text files, directories and links. Whatever cannot be read is not there.
import CPosix

enum Sysfs {
  /// Where every USB device and interface has a link.
  static let devices = "/sys/bus/usb/devices/"

  /// The file's text without the newline at its end; nil when it cannot be read.
  static func text(_ path: String) -> String? {
    let descriptor = unsafe posixOpen(path, Int32(O_RDONLY | O_CLOEXEC), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1024) { buffer in
      var count = unsafe read(descriptor, buffer.baseAddress, buffer.count)
      guard count >= 0 else { return nil }
      if count > 0, unsafe buffer[count - 1] == 0x0a { count -= 1 }
      return unsafe String(utf8: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
    }
  }

  /// The file's number, decimal unless `radix` says otherwise.
  static func number(_ path: String, radix: UInt8 = 10) -> UInt8? {
    text(path)?.number(radix: radix, atMost: 0xff).map { UInt8($0) }
  }

  /// The names in a directory, in the system's order, without those that begin with a dot.
  static func names(in path: String) -> [String] {
    guard let directory = unsafe opendir(path) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(utf8: UnsafeRawBufferPointer(rebasing: bytes.prefix { $0 != 0 }))
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }

  /// Where a symbolic link points to; nil when there is none.
  static func link(_ path: String) -> String? {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
      guard let start = buffer.baseAddress else { return nil }
      let count = unsafe readlink(path, start, buffer.count)
      guard count >= 0 else { return nil }
      return unsafe String(utf8: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
    }
  }

  /// The last component of what a symbolic link points to.
  static func linkName(_ path: String) -> String? {
    link(path)?.split(at: "/").last
  }
}
