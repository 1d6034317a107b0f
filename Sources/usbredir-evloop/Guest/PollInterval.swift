// How often an endpoint is polled, from bInterval and the device's speed. USB 2.0, table 9-13; USB 3.2, table
// 9-25.

/// Microseconds between two polls; nil where bInterval says nothing: bulk and control endpoints, an unknown
/// speed, a value out of range.
func pollInterval(_ type: TransferType, _ interval: UInt8, _ speed: Speed) -> UInt64? {
  guard type == .interrupt || type == .isochronous, interval > 0 else { return nil }
  switch speed {
  case .low: return type == .interrupt ? UInt64(interval) * 1000 : nil
  case .full:
    if type == .interrupt { return UInt64(interval) * 1000 }
    return interval <= 16 ? 1000 << UInt64(interval - 1) : nil
  case .high, .super: return interval <= 16 ? 125 << UInt64(interval - 1) : nil
  case .unknown: return nil
  }
}

/// `4 ms`, `125 µs`.
func intervalText(_ microseconds: UInt64) -> String {
  guard microseconds % 1000 == 0 else { return String(microseconds) + " µs" }
  return String(microseconds / 1000) + " ms"
}

/// Seconds with six decimals: `0.004123`.
func secondsText(_ nanoseconds: UInt64) -> String {
  fixedText(nanoseconds / 1000, 6)
}
