// What the process may do: nothing that a program it might run could give it, and from `serve --user` on no more than an
// ordinary user. Addresses are bound and files opened before; usbfs nodes are opened as that user.
import CPosix

/// For the whole process, once, on the loop thread.
enum Privileges {
  /// No set-uid program can give the process new rights, or a thread that it starts from now on. prctl(2),
  /// PR_SET_NO_NEW_PRIVS.
  static func forbidNew() {
    _ = posixForbidNewPrivileges()
  }

  /// The process becomes `user`, with the user's groups and no capability, and cannot go back. One that is that user
  /// already keeps what it has. Throws when there is no such user, when it is root, and when the process may not, or may
  /// become root again.
  static func become(_ user: String) throws(SystemError) {
    posixSetErrno(0)
    guard let entry = unsafe getpwnam(user) else { throw notFound(user, posixErrno()) }
    let (uid, gid) = unsafe (entry.pointee.pw_uid, entry.pointee.pw_gid)
    guard uid != 0 else {
      throw SystemError(
        code: 0, "--user " + user, reason: "this is root, who may do everything",
        advice: "name an ordinary user")
    }
    if getuid() != uid || geteuid() != uid { try change(user, uid, gid) }
    guard setuid(0) < 0 else {
      throw SystemError(
        code: 0, "--user " + user, reason: "the process can become root again",
        advice: "start it without CAP_SETUID")
    }
  }

  /// - Parameter code: errno, which says more only when looking for the user failed. getpwnam(3).
  private static func notFound(_ user: String, _ code: Int32) -> SystemError {
    if [EMFILE, ENFILE, ENOMEM].contains(code) { return SystemError(code: code, "--user " + user) }
    return SystemError(
      code: 0, "--user " + user, reason: "there is no such user",
      advice: "make it (adduser --system) or name another")
  }

  private static func change(_ user: String, _ uid: uid_t, _ gid: gid_t) throws(SystemError) {
    // The groups first: the user may not change them. glibc does each for all threads, nptl(7).
    guard unsafe initgroups(user, gid) == 0, setgid(gid) == 0, setuid(uid) == 0 else {
      throw SystemError(
        code: posixErrno(), "--user " + user, advice: "start the server as root, or leave the option out")
    }
  }
}
