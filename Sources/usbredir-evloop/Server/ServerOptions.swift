// What one run of the server is, as plain values: the exports and what concerns the whole process.

/// Everything `Server.run` has to know.
struct ServerOptions {
  /// When the process ends, and what a missing device means.
  enum Mode {
    /// Waits for devices and guests until a signal ends it; or, if every export is one that ends
    /// (`reconnect=0`), with the last of them: status 1 if one of them failed.
    case serve
    /// `usbredirect`: the device must be there; ends when the peer leaves (0, the reason on stderr) or when
    /// something fails (1).
    case redirectOnce
    /// `usbredirserver`: listens again after each guest, until a signal ends it (0). The device is opened for
    /// each guest, and a guest that comes while it is missing is closed.
    case redirectServer
  }

  var mode = Mode.serve
  /// At least one; no two listen on the same address.
  var exports: [ExportOptions]
  var logLevel = Log.Level.info
  /// Descriptor that gets one newline and is closed as soon as every export listens or has begun to connect.
  var readyDescriptor: Int32?
  /// Who the process is from then on; nil: who started it.
  var user: String?
}
