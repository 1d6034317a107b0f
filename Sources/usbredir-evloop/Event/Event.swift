// The owner of one libevent `struct event`: a descriptor that is watched, for as long as this lives.
import CEvent

/// What libevent calls: one line that recovers the object from the context and calls one method.
typealias EventThunk = @convention(c) (Int32, Int16, UnsafeMutableRawPointer?) -> Void

/// Watches one descriptor or signal. Freeing it ends the watch, also from inside its own callback. Loop
/// thread only.
@safe struct Event: ~Copyable {
  /// What to wait for. Without `persist` the event is over after its first callback.
  struct Interest: OptionSet {
    let rawValue: Int16
    static let read = Interest(rawValue: Int16(EV_READ))
    static let write = Interest(rawValue: Int16(EV_WRITE))
    static let persist = Interest(rawValue: Int16(EV_PERSIST))
    static let signal = Interest(rawValue: Int16(EV_SIGNAL))
  }

  private let memory: UnsafeMutablePointer<event>
  private let base: EventBase

  /// Prepares the event; `add` begins the watch.
  /// - Parameters:
  ///   - descriptor: borrowed; must stay open while the event is added.
  ///   - context: handed to `thunk`, not retained: it owns this event, or outlives it.
  init(
    _ loop: EventLoop, descriptor: Int32, _ interest: Interest, context owner: AnyObject,
    _ thunk: @escaping EventThunk
  ) {
    unsafe self.init(loop.base, descriptor: descriptor, interest, context: owner, thunk)
  }

  init(
    _ base: EventBase, descriptor: Int32, _ interest: Interest, context owner: AnyObject,
    _ thunk: @escaping EventThunk
  ) {
    unsafe memory = UnsafeMutablePointer<event>.allocate(capacity: 1)
    self.base = base
    unsafe memory.initialize(to: event())
    let result = unsafe event_assign(
      memory, base.pointer, descriptor, interest.rawValue, thunk, usbredir_evloop.context(of: owner))
    precondition(result == 0, "an event waits for descriptors or for a signal, not for both")
  }

  deinit {
    unsafe event_del(memory)
    unsafe memory.deallocate()
  }

  /// Begins the watch; adding again changes nothing. Throws what the kernel refuses: epoll(7) takes no
  /// regular files.
  func add() throws(SystemError) {
    posixSetErrno(0)
    guard unsafe event_add(memory, nil) == 0 else {
      let isSignal = unsafe memory.pointee.ev_events & Interest.signal.rawValue != 0
      let kind = isSignal ? "signal " : "descriptor "
      throw SystemError(code: posixErrno(), "watch " + kind + String(unsafe memory.pointee.ev_fd))
    }
  }

  /// Ends the watch until `add`.
  func remove() {
    unsafe event_del(memory)
  }
}

/// Calls `fire` for each arrival of one signal. Loop thread only.
final class SignalEvent {
  private let fire: () -> Void
  private var event: Event?

  /// - Parameter fire: must not keep alive what owns this (`Unowned`).
  init(_ loop: EventLoop, signal: Int32, _ fire: @escaping () -> Void) throws(SystemError) {
    self.fire = fire
    event = unsafe Event(loop, descriptor: signal, [.signal, .persist], context: self) { _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: SignalEvent.self).fire()
    }
    try event?.add()
  }
}
