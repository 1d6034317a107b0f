// Socket addresses as the kernel takes them, and the way from text to them. A name can take seconds to
// resolve.
import CPosix

/// One `sockaddr`. A plain value, for any thread.
struct ResolvedAddress {
  private var storage = sockaddr_storage()
  private var length = socklen_t(0)

  /// AF_INET, AF_INET6 or AF_UNIX.
  var family: Int32 { Int32(storage.ss_family) }

  /// As people write it: `127.0.0.1:4000`, `[::1]:4000`, `unix:PATH`; a peer without a path is `unix`.
  var description: String { family == AF_UNIX ? unixDescription : socketAddress.description }

  /// The address as numbers, or the path.
  var socketAddress: SocketAddress {
    switch family {
    case AF_INET, AF_INET6: return numeric
    default: return .unix(path)
    }
  }

  /// All addresses of `address`, in the order to try them. May sleep when its host is a name.
  /// - Parameter numericOnly: never sleeps, and finds nothing for a name.
  static func resolve(
    _ address: SocketAddress, numericOnly: Bool = false
  ) -> Result<[ResolvedAddress], SystemError> {
    switch address {
    case .unix(let path): return unix(path)
    case .host(let host, let port): return resolve(host, port, numericOnly: numericOnly)
    }
  }

  /// The local or the peer's address of a socket: `call` is getsockname(2), getpeername(2) or accept4(2).
  static func filled(
    by call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
  ) -> (result: Int32, address: ResolvedAddress) {
    var address = ResolvedAddress()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = unsafe withUnsafeMutablePointer(to: &address.storage) { storage in
      unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe call($0, &length) }
    }
    address.length = length
    return (result, address)
  }

  /// Hands the `sockaddr` and its length to bind(2) or connect(2).
  func withPointer(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    unsafe withUnsafePointer(to: storage) { storage in
      unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, length) }
    }
  }

  private static func resolve(
    _ host: String, _ port: UInt16, numericOnly: Bool
  ) -> Result<[ResolvedAddress], SystemError> {
    var hints = unsafe addrinfo()
    unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    unsafe hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : 0)
    var list: UnsafeMutablePointer<addrinfo>? = nil
    let fault = unsafe getaddrinfo(host, String(port), &hints, &list)
    guard fault == 0 else {
      let code = fault == EAI_SYSTEM ? posixErrno() : 0
      let reason = code == 0 ? unsafe String(cString: gai_strerror(fault)) : nil
      return .failure(SystemError(code: code, "resolve " + host, reason: reason))
    }
    defer { unsafe freeaddrinfo(list) }
    var found: [ResolvedAddress] = []
    var next = unsafe list
    while let info = unsafe next {
      if let address = unsafe ResolvedAddress(info.pointee) { found.append(address) }
      unsafe next = info.pointee.ai_next
    }
    return .success(found)
  }

  private init() {}

  private init?(_ info: addrinfo) {
    let room = MemoryLayout<sockaddr_storage>.size
    guard let source = unsafe info.ai_addr, unsafe info.ai_addrlen <= room else { return nil }
    unsafe length = info.ai_addrlen
    unsafe withUnsafeMutableBytes(of: &storage) { bytes in
      unsafe bytes.copyMemory(from: UnsafeRawBufferPointer(start: source, count: Int(info.ai_addrlen)))
    }
  }

  private static func unix(_ path: String) -> Result<[ResolvedAddress], SystemError> {
    guard path.utf8.count <= SocketAddress.longestPath else {
      return .failure(SystemError(code: ENAMETOOLONG, "unix:" + path, advice: "use a shorter path"))
    }
    var unix = sockaddr_un()
    unix.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &unix.sun_path) { bytes in
      for (index, byte) in path.utf8.enumerated() { unsafe bytes[index] = byte }
    }
    var address = ResolvedAddress()
    unsafe withUnsafeMutableBytes(of: &address.storage) { bytes in
      unsafe withUnsafeBytes(of: unix) { unsafe bytes.copyMemory(from: $0) }
    }
    address.length = socklen_t(MemoryLayout<sockaddr_un>.size)
    return .success([address])
  }

  private var unixDescription: String { path.isEmpty ? "unix" : "unix:" + path }

  private var path: String {
    unsafe withUnsafeBytes(of: storage) { bytes in
      let bytes = unsafe bytes.prefix(Int(length)).dropFirst(MemoryLayout<sa_family_t>.size)
      return unsafe String(utf8: UnsafeRawBufferPointer(rebasing: bytes.prefix { $0 != 0 }))
    }
  }

  private var numeric: SocketAddress {
    var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    var service = [CChar](repeating: 0, count: Int(NI_MAXSERV))
    let fault = unsafe withPointer { pointer, length in
      unsafe getnameinfo(
        pointer, length, &host, socklen_t(host.count), &service, socklen_t(service.count),
        NI_NUMERICHOST | NI_NUMERICSERV)
    }
    guard fault == 0 else { return .host("?", port: 0) }
    return .host(
      ResolvedAddress.text(host), port: UInt16(ResolvedAddress.text(service).number(atMost: 0xffff) ?? 0))
  }

  private static func text(_ characters: [CChar]) -> String {
    unsafe characters.withUnsafeBytes { bytes in
      unsafe String(utf8: UnsafeRawBufferPointer(rebasing: bytes.prefix { $0 != 0 }))
    }
  }
}
