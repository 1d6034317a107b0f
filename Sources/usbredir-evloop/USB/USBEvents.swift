// One libusb context's descriptors in the loop. What is ready only schedules the context's work; that calls
// libusb once a turn, however many descriptors were ready.
import CLibUSB
import CPosix

/// Watches a context's descriptors until it is freed or stopped. The context must live as long. Loop thread
/// only.
@safe final class USBEvents {
  /// True when libusb gave a descriptor up: the kernel signals so (POLLERR) that the device is gone.
  private(set) var hasLostDescriptor = false
  private let context: OpaquePointer
  private let loop: EventLoop
  private let due: Work
  private var watched: [WatchedDescriptor] = []
  /// Where there is no timerfd the next timeout is ours to keep.
  private var timer: Timer?
  private var isSuspended = false

  /// - Parameter due: scheduled when there is something to reap; calls `reap`.
  @unsafe init(_ context: OpaquePointer, _ loop: EventLoop, due: Work) throws(SystemError) {
    unsafe self.context = context
    self.loop = loop
    self.due = due
    if unsafe libusb_pollfds_handle_timeouts(context) == 0 { timer = Timer(loop) { due.schedule() } }
    try watchAll()
    for descriptor in watched { try descriptor.event.add() }
    unsafe libusb_set_pollfd_notifiers(
      context,
      { descriptor, interest, user in
        guard let user = unsafe user else { return }
        unsafe recover(user, as: USBEvents.self).added(descriptor, interest)
      },
      { descriptor, user in
        guard let user = unsafe user else { return }
        unsafe recover(user, as: USBEvents.self).removed(descriptor)
      }, usbredir_evloop.context(of: self))
  }

  /// Lets go of the context for good: somebody else, perhaps on another thread, takes it apart.
  func stop() {
    unsafe libusb_set_pollfd_notifiers(context, nil, nil, nil)
    watched = []
    timer = nil
  }

  /// Stops watching while somebody else uses the context.
  func suspend() {
    isSuspended = true
    timer?.stop()
    for descriptor in watched { descriptor.event.remove() }
  }

  func resume() {
    isSuspended = false
    for descriptor in watched { descriptor.watch() }
    armTimer()
  }

  /// Lets libusb take what is ready, and call back for it.
  func reap() {
    var now = timeval()
    unsafe libusb_handle_events_timeout_completed(context, &now, nil)
    armTimer()
  }

  /// Behind a submit with a timeout.
  func armTimer() {
    guard let timer, !isSuspended else { return }
    var next = timeval()
    guard unsafe libusb_get_next_timeout(context, &next) == 1 else { return }
    timer.start(nanoseconds: UInt64(next.tv_sec) * 1_000_000_000 + UInt64(next.tv_usec) * 1000)
  }

  private func watchAll() throws(SystemError) {
    guard let list = unsafe libusb_get_pollfds(context) else {
      throw SystemError(code: ENOMEM, "libusb_get_pollfds")
    }
    defer { unsafe libusb_free_pollfds(list) }
    var index = 0
    while let entry = unsafe list[index] {
      unsafe watched.append(make(entry.pointee.fd, entry.pointee.events))
      index += 1
    }
  }

  private func make(_ descriptor: Int32, _ interest: Int16) -> WatchedDescriptor {
    WatchedDescriptor(loop, descriptor, interest, due)
  }

  private func added(_ descriptor: Int32, _ interest: Int16) {
    let new = make(descriptor, interest)
    watched.append(new)
    if !isSuspended { new.watch() }
  }

  private func removed(_ descriptor: Int32) {
    watched.removeAll { $0.descriptor == descriptor }
    hasLostDescriptor = true
  }
}

/// One descriptor and its event.
private final class WatchedDescriptor {
  let descriptor: Int32
  let event: Event
  private let due: Work

  init(_ loop: EventLoop, _ descriptor: Int32, _ interest: Int16, _ due: Work) {
    self.descriptor = descriptor
    self.due = due
    // usbfs reports URBs to reap as "writable".
    let wanted: Event.Interest = Int32(interest) & Int32(POLLOUT) != 0 ? .write : .read
    event = unsafe Event(loop, descriptor: descriptor, [wanted, .persist], context: due) { _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: Work.self).schedule()
    }
  }

  /// The kernel took this descriptor when the context was opened; it cannot refuse it now.
  func watch() {
    try? event.add()
  }
}
