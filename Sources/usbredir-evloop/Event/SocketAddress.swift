// Where to listen or connect, as people write it: `127.0.0.1:4000`, `[::1]:4000`, `name:4000`, `:4000`,
// `4000`, `unix:PATH`. Only text here; `ResolvedAddress` is what the kernel takes.
import CPosix

/// Text that is no socket address; says what is wrong and how to write it.
struct AddressError: Error, CustomStringConvertible {
  let description: String

  fileprivate init(_ text: String, _ fault: String) {
    description = "address '" + text + "': " + fault
  }
}

/// A TCP address, not resolved yet, or the path of a unix socket.
enum SocketAddress: Equatable, CustomStringConvertible {
  /// A name or a literal, IPv6 without its brackets. Port 0 lets the kernel choose, for a listener.
  case host(String, port: UInt16)
  case unix(String)

  /// The longest path that fits `sockaddr_un`, in bytes. unix(7)
  static let longestPath = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

  /// Reads what is in this file's head. Without a host it is the loopback, 127.0.0.1.
  init(parsing text: String) throws(AddressError) {
    if text.hasPrefix("unix:") {
      self = try SocketAddress.unixPath(text)
    } else if text.hasPrefix("[") {
      self = try SocketAddress.bracketed(text)
    } else {
      self = try SocketAddress.hostAndPort(text)
    }
  }

  var description: String {
    switch self {
    case .host(let host, let port):
      return (host.cut(at: ":") != nil ? "[" + host + "]" : host) + ":" + String(port)
    case .unix(let path):
      return "unix:" + path
    }
  }

  private static func unixPath(_ text: String) throws(AddressError) -> SocketAddress {
    let path = text.dropFirst(5)
    guard !path.isEmpty else { throw AddressError(text, "the path is missing; write unix:PATH") }
    guard path.utf8.count <= longestPath else {
      throw AddressError(text, "the path has more than " + String(longestPath) + " bytes; use a shorter one")
    }
    guard path.cut(at: "\0") == nil else { throw AddressError(text, "a path holds no NUL") }
    return .unix(path)
  }

  private static func bracketed(_ text: String) throws(AddressError) -> SocketAddress {
    guard let (host, rest) = text.dropFirst(1).cut(at: "]") else {
      throw AddressError(text, "the ']' is missing; write [::1]:PORT")
    }
    guard !host.isEmpty, rest.hasPrefix(":") else {
      throw AddressError(text, "an IPv6 address and its port are written [::1]:PORT")
    }
    return .host(host, port: try port(rest.dropFirst(1), of: text))
  }

  private static func hostAndPort(_ text: String) throws(AddressError) -> SocketAddress {
    let parts = text.split(at: ":")
    guard parts.count <= 2 else {
      throw AddressError(text, "an IPv6 address goes into brackets; write [::1]:PORT")
    }
    guard let last = parts.last, parts.count == 2 || last.isEmpty || last.number() != nil else {
      throw AddressError(text, "the port is missing; write HOST:PORT")
    }
    let host = parts.count == 2 ? parts[0] : ""
    guard !host.utf8.contains(where: { $0 <= 32 }) else { throw AddressError(text, "a host holds no blanks") }
    return .host(host.isEmpty ? "127.0.0.1" : host, port: try port(last, of: text))
  }

  private static func port(_ digits: String, of text: String) throws(AddressError) -> UInt16 {
    guard let port = digits.number(atMost: 0xffff) else {
      throw AddressError(text, "the port is a number from 0 to 65535")
    }
    return UInt16(port)
  }
}
