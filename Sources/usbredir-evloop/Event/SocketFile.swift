// The file of a unix socket. It stays when a process dies, and then keeps the next one from binding.
import CPosix

/// The file that our bind(2) made, known by device and inode.
struct SocketFile {
  private let path: String
  private let status: stat

  /// The file that is at `path` now; nil when there is none.
  init?(_ path: String) {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return nil }
    self.path = path
    self.status = status
  }

  /// Removes the file if it is still the same.
  func remove() {
    guard let now = SocketFile(path)?.status, now.st_ino == status.st_ino, now.st_dev == status.st_dev else {
      return
    }
    _ = unsafe unlink(path)
  }

  /// Removes what a dead process left at `path`: a socket that refuses connections. Throws when it is in use,
  /// or no socket at all.
  static func removeStale(_ path: String, _ address: ResolvedAddress) throws(SystemError) {
    guard let file = SocketFile(path) else { return }
    guard file.status.st_mode & mode_t(S_IFMT) == mode_t(S_IFSOCK) else {
      throw SystemError(
        code: EADDRINUSE, "bind unix:" + path, advice: "the file is no socket; choose another path")
    }
    let probe = posixStreamSocket(AF_UNIX)
    guard probe >= 0 else { throw SystemError(code: posixErrno(), "socket for unix:" + path) }
    defer { close(probe) }
    let result = unsafe address.withPointer { unsafe connect(probe, $0, $1) }
    guard result < 0, posixErrno() == ECONNREFUSED else {
      throw SystemError(
        code: EADDRINUSE, "bind unix:" + path, advice: "choose another path or stop what listens there")
    }
    file.remove()
  }
}
