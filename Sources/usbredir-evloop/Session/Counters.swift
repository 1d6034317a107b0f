// What a session counted, for the log line at its end and for whoever asks.

/// Plain counters of one session. What has no limit is 64 bits wide: an Int of 32 bits would trap where a guest
/// goes on for long enough.
struct Counters {
  /// Packets that were wrong in themselves (B1.7); too many close the session.
  var badPackets = 0
  /// Packets for a stream, endpoint or device that is gone; harmless.
  var latePackets: UInt64 = 0
  /// Reports, buffered bulk packets and isochronous packets forwarded.
  var reports: UInt64 = 0
  /// Error packets sent in a stream.
  var streamErrors: UInt64 = 0
  /// Times that receiving paused because the guest did not read (B4.9).
  var pauses: UInt64 = 0
  /// Isochronous packets of either direction that were dropped (B6.3, B6.4).
  var droppedIsoPackets: UInt64 = 0
  /// Times that an isochronous OUT endpoint ran dry (B6.3).
  var underruns: UInt64 = 0
  /// Control and OUT requests answered.
  var requests: UInt64 = 0
}
