// What `probe` is asked to do, as plain values.

/// How to reach a usb-host, what to print and when to stop.
struct ProbeOptions {
  var address: SocketAddress
  /// One JSON object per line instead of text for people.
  var json = false
  /// Seconds to watch reports; 0: only describe the device; nil: until `count` is reached or a signal comes.
  var duration: UInt32?
  /// Reports to wait for; nil: no limit.
  var count: Int?
  /// Seconds to wait for the connection, the hello and the device's announcement together.
  var timeout: UInt32 = 10
}
