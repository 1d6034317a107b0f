// How a connection behaves: every number of BEHAVIOUR's transport rules, with its default.

/// Options of a connection; the TCP ones do nothing on a unix socket.
struct TransportOptions {
  /// Seconds without a packet before keepalive asks; 0 leaves keepalive off. TCP_KEEPIDLE (B7.2)
  var keepaliveIdle: UInt32 = 10
  /// Seconds between two such questions, 1 or more. TCP_KEEPINTVL
  var keepaliveInterval: UInt32 = 5
  /// Unanswered questions that end the connection, 1 or more. TCP_KEEPCNT
  var keepaliveProbes: UInt32 = 3
  /// Milliseconds that sent data may stay unacknowledged; 0 leaves it to the kernel. TCP_USER_TIMEOUT (B7.2)
  /// Unless it is 0, the kernel ends an idle connection by this as well, and not by the number of unanswered questions.
  var userTimeout: UInt32 = 25_000
  /// Unanswered window probes that end the connection of a guest that does not read; 0 never ends it (B7.2).
  var windowProbes: UInt32 = 5
  /// Bytes that the kernel takes beyond what is on the way; 0 leaves it to the kernel. TCP_NOTSENT_LOWAT
  /// (B4.9)
  var notSentLowWater: UInt32 = 16 * 1024
  /// Queued bytes above which the owner is told to pause (B4.9).
  var highWater = 1024 * 1024
  /// Queued bytes at or below which it is told to go on; less than `highWater`.
  var lowWater = 256 * 1024

  /// Milliseconds that an idle connection lives without an answer to keepalive's questions.
  var keepaliveTimeout: UInt32 { (keepaliveIdle + keepaliveInterval * keepaliveProbes) * 1000 }
}
