// Where the servers are: `127.0.0.1:4000`, `[::1]:4000`, `board:4000-4031` for a range of ports,
// `unix:/run/pedal`.
import CLoad

/// One address.
struct Address: CustomStringConvertible {
  let description: String
  let resolved: loadAddress

  /// The addresses that a text means, one or a range.
  static func list(_ text: String) throws -> [Address] {
    if text.hasPrefix("unix:") { return [try unix(String(text.dropFirst("unix:".count)), text)] }
    guard let colon = text.lastIndex(of: ":"), let ports = range(text[text.index(after: colon)...]) else {
      throw LoadError("\(text): not an address; use HOST:PORT, HOST:FIRST-LAST or unix:PATH")
    }
    var host = String(text[..<colon])
    if host.hasPrefix("[") && host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    return try ports.map { try tcp(host.isEmpty ? "127.0.0.1" : host, port: $0) }
  }

  private static func range(_ text: Substring) -> ClosedRange<UInt16>? {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
    guard let first = ends[0], let last = ends[ends.count - 1], ends.count <= 2, first <= last, first > 0
    else {
      return nil
    }
    return first...last
  }

  static func tcp(_ host: String, port: UInt16) throws -> Address {
    var address = loadAddress()
    let error = loadResolve(host, String(port), &address)
    guard error == 0 else { throw LoadError("\(host): \(String(cString: loadResolveText(error)))") }
    return Address(description: "\(host):\(port)", resolved: address)
  }

  private static func unix(_ path: String, _ text: String) throws -> Address {
    var address = loadAddress()
    guard loadUnixAddress(path, &address) == 0 else {
      throw LoadError("\(text): the path is too long for a unix socket")
    }
    return Address(description: text, resolved: address)
  }
}
