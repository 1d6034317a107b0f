// What a session counted, for the log line at its end and for whoever asks.

/// Plain counters of one session. What has no limit is 64 bits wide: an Int of 32 bits would trap where a guest
/// goes on for long enough.
struct Counters {
  /// Packets that were wrong in themselves (B1.7); too many close the session.
  var badPackets = 0
  /// Packets for a stream, endpoint or device that is gone; harmless.
  var latePackets: UInt64 = 0
  /// Reports and buffered bulk packets forwarded.
  var reports: UInt64 = 0
  /// Error packets sent in a stream.
  var streamErrors: UInt64 = 0
  /// Times that receiving paused because the guest did not read (B4.9).
  var pauses: UInt64 = 0
  /// Control and OUT requests answered.
  var requests: UInt64 = 0
}
