// A worker: jobs on its thread, one after the other, and their end on the loop's.
import CPosix
import Testing

@testable import usbredir_evloop

/// Notes when and where it ran; waits for a byte from `gate` if there is one.
private final class NotedJob: WorkerJob {
  let name: String
  let notes: Notes
  let gate: Int32?
  var thread: pthread_t?

  final class Notes {
    /// The worker's while a job runs, the loop's otherwise.
    var worked: [String] = []
    var finished: [String] = []
  }

  init(_ name: String, _ notes: Notes, gate: Int32? = nil) {
    self.name = name
    self.notes = notes
    self.gate = gate
  }

  override func work() {
    var byte: UInt8 = 0
    if let gate { _ = unsafe read(gate, &byte, 1) }
    thread = pthread_self()
    notes.worked.append(name)
  }

  override func finished() {
    notes.finished.append(name)
  }
}

struct WorkerTests {
  @Test func jobsRunElsewhereInOrderAndAgain() throws {
    let loop = try EventLoop()
    let worker = try Worker(loop, name: "test")
    let notes = NotedJob.Notes()
    let (first, second) = (NotedJob("a", notes), NotedJob("b", notes))
    for _ in 0..<3 {
      worker.run(first)
      worker.run(second)
      #expect(worker.running == 2 && notes.finished.isEmpty, "nothing finishes from within run")
      #expect(loop.turns { worker.running == 0 })
      #expect(notes.worked == ["a", "b"] && notes.finished == ["a", "b"])
      #expect(first.thread == second.thread && first.thread != pthread_self())
      notes.worked = []
      notes.finished = []
    }
  }

  @Test func theEndWaitsForTheJobThatRuns() throws {
    let loop = try EventLoop()
    let notes = NotedJob.Notes()
    let (ours, peer) = try unixPair()
    defer { _ = (close(ours), close(peer)) }
    var worker: Worker? = try Worker(loop, name: "test")
    worker?.run(NotedJob("slow", notes, gate: ours))
    worker?.run(NotedJob("behind", notes))
    _ = unsafe write(peer, "x", 1)
    worker = nil
    #expect(notes.worked == ["slow", "behind"])
    loop.someTurns()
    #expect(notes.finished == [])
  }

  @Test func signalsStayOnTheLoopThread() throws {
    final class MaskJob: WorkerJob {
      var blocks: Bool?
      override func work() {
        var mask = sigset_t()
        unsafe pthread_sigmask(SIG_BLOCK, nil, &mask)
        blocks = unsafe sigismember(&mask, SIGTERM) == 1
      }
    }
    let loop = try EventLoop()
    let worker = try Worker(loop, name: "test")
    let job = MaskJob()
    worker.run(job)
    #expect(loop.turns { worker.running == 0 })
    #expect(job.blocks == true)
  }
}
