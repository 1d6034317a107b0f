// Work that waits for a fixed place in the loop's turn: "this device has something to reap", "this connection has
// bytes to flush". Marking is idempotent and allocates nothing, however often it happens in a turn.

/// One piece of work, made once and scheduled as often as needed. Loop thread only.
final class Work {
  fileprivate var next: Work?
  fileprivate(set) var isScheduled = false
  private let list: WorkList
  fileprivate let body: () -> Void

  /// - Parameter body: what to do; must not keep alive what owns this work (`Unowned`).
  init(on list: WorkList, _ body: @escaping () -> Void) {
    self.list = list
    self.body = body
  }

  /// Puts the work at the end of its list, unless it is there already.
  func schedule() {
    guard !isScheduled else { return }
    isScheduled = true
    list.append(self)
  }

  /// Forgets that it was scheduled: the list passes over it.
  func cancel() {
    isScheduled = false
  }
}

/// Scheduled work in order. Loop thread only.
final class WorkList {
  private var first: Work?
  private var last: Work?

  /// True when nothing waits: the loop may sleep.
  var isEmpty: Bool { first == nil }

  fileprivate func append(_ work: Work) {
    guard work.next == nil, last !== work else { return }
    if let last { last.next = work } else { first = work }
    last = work
  }

  /// Runs what is scheduled now; what that schedules waits for the next run.
  /// - Parameter others: run behind each piece of work; another list.
  func run(thenEach others: WorkList? = nil) {
    guard let end = last else { return }
    while let work = first {
      first = work.next
      work.next = nil
      if work === end { if first == nil { last = nil } }
      if work.isScheduled {
        work.isScheduled = false
        work.body()
        others?.run()
      }
      if work === end { return }
    }
  }
}
