// Guests that do not read as fast as data comes, as a paused virtual machine or a busy driver.

/// How slowly to read.
struct SlownessShape {
  /// Nanoseconds from the start of the transfers until reading stops, and how long it stops.
  var after: UInt64 = 0
  var pause: UInt64 = 0
  /// While it has stopped, read so many bytes each `interval` nanoseconds; nil: none.
  var sip: (bytes: Int, interval: UInt64)?
  /// SO_RCVBUF, so that less is hidden in the kernel.
  var receiveBuffer: Int?
}

/// Stops to read on every guest, for a time, once.
final class Slowness: Activity {
  private enum Phase {
    case before, slow, over
  }

  private let shape: SlownessShape
  private var guests: [Guest] = []
  private var phase = Phase.before
  private var due: UInt64?
  private var end: UInt64 = 0

  init(_ shape: SlownessShape) {
    self.shape = shape
  }

  override func begin(_ guest: Guest, at now: UInt64) {
    guests.append(guest)
    if let bytes = shape.receiveBuffer { guest.setReceiveBuffer(bytes) }
    due = now + shape.after
    end = now + shape.after + shape.pause
  }

  override var deadline: UInt64? { due }

  override func tick(at now: UInt64) {
    switch phase {
    case .before:
      phase = .slow
      setPaused(true)
      scheduleSip(at: now)
    case .slow where now >= end: over()
    case .slow:
      for guest in guests { guest.receive() }
      scheduleSip(at: now)
    case .over: due = nil
    }
  }

  private func scheduleSip(at now: UInt64) {
    due = min(end, shape.sip.map { now + $0.interval } ?? end)
  }

  private func setPaused(_ isPaused: Bool) {
    for guest in guests {
      guest.receiveLimit = isPaused ? shape.sip?.bytes ?? .max : .max
      guest.pause(isPaused)
    }
  }

  private func over() {
    phase = .over
    due = nil
    setPaused(false)
  }

  override func stop(_ guest: Guest) {
    if phase != .over { over() }
  }
}
