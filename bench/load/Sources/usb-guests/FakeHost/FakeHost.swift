// A usb-host of a few lines that needs no device and no server: what the generator is tested against, and
// measured against itself. A thread accepts guests one after the other; each is served by blocking calls.
import CLoad
import Glibc

/// What a fake usb-host does.
struct FakeHostPlan: Sendable {
  /// Offered in its hello.
  var capabilities = Capabilities.all.rawValue
  /// Reports that follow each start of interrupt receiving, by their numbers; gaps and repetitions as they
  /// stand.
  var reports: [UInt64] = []
  /// Reports in one write.
  var batch = 1
  /// Answers a start with this instead of reports.
  var startStatus = Status.success
  /// Bytes of a report.
  var reportSize = 64
  /// Closes the connection in place of its hello, this many times.
  var refusals = 0
  /// Closes the connection at this many requests and starts.
  var hangsUpAfter = Int.max
  /// The status of answers to bulk requests and reports.
  var answerStatus = Status.success
  /// Bytes that are missing in answers to bulk IN requests.
  var shortBy = 0
}

/// Listens on a port of the loopback, or on a unix socket, until it is gone.
final class FakeHost: Sendable {
  let address: Address
  private let descriptor: Int32

  init(_ plan: FakeHostPlan = FakeHostPlan(), path: String? = nil) throws {
    if let path {
      descriptor = loadListenUnix(path)
      guard descriptor >= 0 else { throw LoadError.system("listen on \(path)") }
      address = try Address.list("unix:\(path)")[0]
    } else {
      var port: UInt16 = 0
      descriptor = loadListen(&port)
      guard descriptor >= 0 else { throw LoadError.system("listen on the loopback") }
      address = try Address.tcp("127.0.0.1", port: port)
    }
    let copy = dup(descriptor)
    try startThread { FakeHost.serve(copy, plan) }
  }

  deinit {
    shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
  }

  private static func serve(_ listener: Int32, _ plan: FakeHostPlan) {
    var refusals = plan.refusals
    while true {
      let guest = accept(listener, nil, nil)
      guard guest >= 0 else { break }
      if refusals > 0 {
        refusals -= 1
      } else {
        FakeHostSession(guest, plan).run()
      }
      close(guest)
    }
    close(listener)
  }
}

/// Runs a body on a thread that nobody waits for.
func startThread(_ body: @escaping @Sendable () -> Void) throws {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  let box = Unmanaged.passRetained(Box(body))
  var thread = pthread_t()
  let error = pthread_create(
    &thread, nil,
    { context in
      if let context { Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body() }
      return nil
    }, box.toOpaque())
  guard error == 0 else {
    box.release()
    throw LoadError.system("pthread_create", error)
  }
  pthread_detach(thread)
}
