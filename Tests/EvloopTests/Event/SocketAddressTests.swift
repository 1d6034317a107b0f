// Addresses as people write them (B7.1).
import CPosix
import Testing

@testable import usbredir_evloop

struct SocketAddressTests {
  @Test(arguments: [
    ("127.0.0.1:4000", SocketAddress.host("127.0.0.1", port: 4000), "127.0.0.1:4000"),
    ("[::1]:4000", .host("::1", port: 4000), "[::1]:4000"),
    ("[fe80::1%eth0]:1", .host("fe80::1%eth0", port: 1), "[fe80::1%eth0]:1"),
    ("vmhost.example:65535", .host("vmhost.example", port: 65535), "vmhost.example:65535"),
    (":4000", .host("127.0.0.1", port: 4000), "127.0.0.1:4000"),
    ("4000", .host("127.0.0.1", port: 4000), "127.0.0.1:4000"),
    ("0.0.0.0:0", .host("0.0.0.0", port: 0), "0.0.0.0:0"),
    ("unix:/run/usb.sock", .unix("/run/usb.sock"), "unix:/run/usb.sock"),
    ("unix:a:b", .unix("a:b"), "unix:a:b"),
  ])
  func reads(_ text: String, _ expected: SocketAddress, _ description: String) throws {
    let address = try SocketAddress(parsing: text)
    #expect(address == expected)
    #expect(address.description == description)
  }

  @Test(arguments: [
    ("", "the port is a number from 0 to 65535"),
    ("host", "the port is missing; write HOST:PORT"),
    ("host:", "the port is a number from 0 to 65535"),
    ("host:65536", "the port is a number from 0 to 65535"),
    ("host:-1", "the port is a number from 0 to 65535"),
    ("host:+1", "the port is a number from 0 to 65535"),
    ("::1:4000", "an IPv6 address goes into brackets; write [::1]:PORT"),
    ("[::1:4000", "the ']' is missing; write [::1]:PORT"),
    ("[::1]", "an IPv6 address and its port are written [::1]:PORT"),
    ("[]:1", "an IPv6 address and its port are written [::1]:PORT"),
    ("a host:1", "a host holds no blanks"),
    ("unix:", "the path is missing; write unix:PATH"),
    ("unix:a\0b", "a path holds no NUL"),
    (
      "unix:/" + String(repeating: "x", count: 107), "the path has more than 107 bytes; use a shorter one"
    ),
  ])
  func refuses(_ text: String, _ fault: String) {
    let error = #expect(throws: AddressError.self) { try SocketAddress(parsing: text) }
    #expect(error?.description == "address '" + text + "': " + fault)
  }

  @Test func theLongestPathFits() throws {
    let path = "/" + String(repeating: "x", count: 106)
    let resolved = try ResolvedAddress.resolve(try SocketAddress(parsing: "unix:" + path)).get()
    #expect(resolved.map(\.description) == ["unix:" + path])
  }

  @Test(arguments: [("127.0.0.1:1", AF_INET), ("[::1]:65535", AF_INET6)])
  func resolvesLiterals(_ text: String, _ family: Int32) throws {
    let resolved = try ResolvedAddress.resolve(try SocketAddress(parsing: text), numericOnly: true).get()
    #expect(resolved.map(\.description) == [text])
    #expect(resolved.map(\.family) == [family])
  }

  @Test func aNameIsNoLiteral() {
    let result = ResolvedAddress.resolve(.host("localhost", port: 1), numericOnly: true)
    guard case .failure(let error) = result else {
      return #expect(Bool(false), "resolved without asking anybody")
    }
    #expect(error.description == "resolve localhost: Name or service not known")
  }
}
