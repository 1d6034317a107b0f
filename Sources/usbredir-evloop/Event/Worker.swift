// A thread of its own for work that may sleep, one piece after the other: what a disk has to do. It stays, and its
// jobs are made once and run again and again, so a job costs two writes and two reads of a pipe and no memory.
import CPosix

/// One piece of work, subclassed for what it does. Between `Worker.run` and `finished` it belongs to the
/// worker's thread: the loop touches neither it nor what it works on.
class WorkerJob {
  /// Does the work. The worker's thread.
  func work() {}

  /// The work is done and the job is the loop's again. Loop thread.
  func finished() {}
}

/// Runs jobs in the order in which they come. Loop thread only.
final class Worker {
  /// Jobs that are not finished.
  private(set) var running = 0
  private let toThread: HandOff
  private let fromThread: HandOff
  private var event: Event?

  /// - Parameter name: of the thread, 15 bytes at most.
  init(_ loop: EventLoop, name: StaticString) throws(SystemError) {
    toThread = try HandOff(for: "a worker")
    fromThread = try HandOff(for: "a worker")
    event = unsafe Event(loop, descriptor: fromThread.reader, [.read, .persist], context: self) {
      _, _, context in
      guard let context = unsafe context else { return }
      unsafe recover(context, as: Worker.self).finishOne()
    }
    try event?.add()
    let thread = WorkerThread(reader: toThread.reader, writer: fromThread.writer, name: name)
    let pointer = unsafe Unmanaged.passRetained(thread).toOpaque()
    let hasStarted = unsafe startThread(pointer) { context in
      guard let context = unsafe context else { return nil }
      unsafe Unmanaged<WorkerThread>.fromOpaque(context).takeRetainedValue().run()
      return nil
    }
    guard hasStarted else {
      unsafe Unmanaged<WorkerThread>.fromOpaque(pointer).release()
      throw SystemError(code: EAGAIN, "start a thread", advice: SystemError.threadAdvice)
    }
  }

  /// Waits for the jobs that are still out; they do not get `finished` any more.
  deinit {
    event = nil
    close(toThread.writer)
    while running > 0, let job = unsafe HandOff.receive(from: fromThread.reader) {
      running -= 1
      unsafe Unmanaged<WorkerJob>.fromOpaque(job).release()
    }
    close(fromThread.reader)
  }

  /// Has the thread do the job, behind those it has. Some thousand may be out.
  func run(_ job: WorkerJob) {
    running += 1
    unsafe HandOff.send(Unmanaged.passRetained(job).toOpaque(), to: toThread.writer)
  }

  private func finishOne() {
    guard let job = unsafe HandOff.receive(from: fromThread.reader) else { return }
    running -= 1
    unsafe Unmanaged<WorkerJob>.fromOpaque(job).takeRetainedValue().finished()
  }
}

/// What the thread has: its ends of the pipes. It ends when the other end of its reader is closed.
private final class WorkerThread {
  private let reader: Int32
  private let writer: Int32
  private let name: StaticString

  init(reader: Int32, writer: Int32, name: StaticString) {
    self.reader = reader
    self.writer = writer
    self.name = name
  }

  deinit {
    close(reader)
    close(writer)
  }

  func run() {
    name.withUTF8Buffer { unsafe posixNameThread(UnsafeRawPointer($0.baseAddress)) }
    while let job = unsafe HandOff.receive(from: reader) {
      unsafe recover(job, as: WorkerJob.self).work()
      unsafe HandOff.send(job, to: writer)
    }
  }
}
