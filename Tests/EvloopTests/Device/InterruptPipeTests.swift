// The interrupt engine, every state of its diagram, against a device that completes one transfer at a time.
import Testing

@testable import usbredir_evloop

struct InterruptPipeTests {
  // MARK: continuous receiving

  @Test("B4.2: depth transfers, each posted again before its report is handed out", arguments: [1, 4, 5, 64])
  func keepsDepthPosted(depth: Int) {
    let user = PipeUser(depth: depth)
    user.pipe.start()
    #expect(user.device.posted.count == depth)
    #expect(user.device.posted.allSatisfy { $0.length == 8 && $0.timeout == 0 })
    var postedAtReport: [Int] = []
    user.onEvent = { [user = Unowned(user)] _ in postedAtReport.append(user.value.device.posted.count) }
    for byte in 0..<UInt8(3) { user.device.complete(0, .completed, [byte]) }
    #expect(user.take() == ["#0 00", "#1 01", "#2 02"])
    #expect(postedAtReport == [depth, depth, depth])
    #expect(user.device.submits == depth + 3)
  }

  @Test("B4.4: short and empty reports are handed out as they are")
  func shortAndEmpty() {
    let user = PipeUser()
    user.pipe.start()
    for report in [[], [1], [1, 2, 3, 4, 5, 6, 7, 8], []] as [[UInt8]] {
      user.device.complete(0, .completed, report)
    }
    #expect(user.take() == ["#0", "#1 01", "#2 0102030405060708", "#3"])
  }

  @Test("B4.1: start while receiving changes nothing")
  func startIsIdempotent() {
    let user = PipeUser()
    user.pipe.start()
    user.device.complete(0, .completed, [1])
    user.pipe.start()
    user.device.complete(0, .completed, [2])
    #expect(user.take() == ["#0 01", "#1 02"])
    #expect(user.device.posted.count == 4)
    #expect(user.pipe.isStarted)
  }

  @Test("B4.1: a first post that fails ends it")
  func firstPostFails() {
    let user = PipeUser(depth: 3)
    user.pipe.start()
    for _ in 0..<3 { user.device.complete(0, .refused) }
    #expect(user.take() == ["ended refused"])
    #expect(user.pipe.state == .idle)
  }

  @Test("B4.1: without memory for any post it tries again until there is some")
  func memoryIsFreed() {
    let user = PipeUser(depth: 2)
    user.pipe.start()
    for delay in [13, 26, 39] {
      for _ in 0..<2 { user.device.complete(0, .noMemory) }
      #expect(user.take() == ["delay \(delay)"])
      user.pipe.delayPassed()
      #expect(user.device.posted.count == 2)
    }
    user.device.complete(0, .completed, [1])
    #expect(user.take() == ["#0 01"])
    #expect(user.pipe.errors == 0)
  }

  @Test("B4.1: without memory for any post it ends in the end, and a stop ends it at once")
  func memoryIsNeverFreed() {
    let user = PipeUser(depth: 1)
    user.pipe.start()
    for _ in 0..<InterruptPipe.maxErrors {
      user.device.complete(0, .noMemory)
      user.pipe.delayPassed()
    }
    _ = user.take()
    user.device.complete(0, .noMemory)
    #expect(user.take() == ["ended noMemory"])
    let other = PipeUser(depth: 1)
    other.pipe.start()
    other.device.complete(0, .noMemory)
    other.pipe.stop()
    #expect(other.take() == ["delay 13", "ended stopped"])
  }

  @Test("B4.1: NO_MEM on a later post runs with fewer")
  func runsWithFewer() {
    let user = PipeUser(depth: 4)
    user.pipe.start()
    for _ in 0..<3 { user.device.complete(1, .noMemory) }
    user.device.complete(0, .completed, [1])
    #expect(user.take() == ["#0 01"])
    #expect(user.device.posted.count == 1)
    user.device.complete(0, .noMemory)
    #expect(user.take() == ["delay 13"])
  }

  // MARK: stop

  @Test("B4.8: stop cancels last posted first, hands out what has data, then ends", arguments: [1, 5, 64])
  func stopInReverse(depth: Int) {
    let user = PipeUser(depth: depth)
    user.pipe.start()
    // Post order differs from the order in which they were made.
    for _ in 0..<depth / 2 { user.device.complete(0, .completed, [0]) }
    _ = user.take()
    let order = user.device.posted.map { ObjectIdentifier($0) }
    user.pipe.stop()
    #expect(user.device.cancels.map { ObjectIdentifier($0) } == order.reversed())
    #expect(user.take() == ["cancel"])
    user.device.complete(depth - 1, .cancelled, depth == 1 ? [7] : [])
    if depth > 1 {
      user.device.complete(0, .completed, [7])
      #expect(user.pipe.state == .stopping)
      user.device.completeCancelled()
    }
    #expect(user.take() == ["#\(depth / 2) 07", "ended stopped"])
    #expect(user.pipe.posted == 0 && user.pipe.waiting == 0)
  }

  @Test("B4.8: an empty report that completed is handed out, an empty cancelled transfer is none")
  func emptyWhileStopping() {
    let user = PipeUser(depth: 2)
    user.pipe.start()
    user.pipe.stop()
    user.device.complete(0, .completed, [])
    user.device.complete(0, .cancelled, [])
    #expect(user.take() == ["cancel", "#0", "ended stopped"])
  }

  @Test("B4.8: start right behind stop takes effect when that has ended, from id 0")
  func startBehindStop() {
    let user = PipeUser(depth: 2)
    user.pipe.start()
    user.device.complete(0, .completed, [1])
    user.pipe.stop()
    user.pipe.start()
    #expect(user.pipe.isStarted)
    user.device.complete(0, .completed, [2])
    user.device.completeCancelled()
    #expect(user.take() == ["#0 01", "cancel", "#1 02", "ended stopped"])
    #expect(user.pipe.state == .receiving)
    user.device.complete(0, .completed, [3])
    #expect(user.take() == ["#0 03"])
  }

  @Test func stopWithdrawsAStartBehindAStop() {
    let user = PipeUser(depth: 1)
    user.pipe.start()
    user.pipe.stop()
    user.pipe.start()
    user.pipe.stop()
    user.device.completeCancelled()
    #expect(user.take() == ["cancel", "ended stopped"])
    #expect(user.pipe.state == .idle)
  }

  @Test func stopOfWhatIsIdleIsNothing() {
    let user = PipeUser()
    #expect(!user.pipe.stop())
    #expect(user.take() == [])
  }

  @Test("B4.8: a stop while the pipe ends by itself is a stop, and a start behind it starts")
  func stopWhileFailing() {
    let user = PipeUser(depth: 4)
    user.pipe.start()
    for _ in 0..<17 {
      if user.device.posted.isEmpty || user.pipe.posted < 2 { user.pipe.delayPassed() }
      user.device.complete(0, .failed)
    }
    #expect(user.pipe.state == .stopping)
    _ = user.take()
    #expect(user.pipe.stop())
    user.pipe.start()
    user.device.completeCancelled()
    #expect(user.take() == ["ended stopped"])
    #expect(user.pipe.state == .receiving)
  }

  @Test("a cancel that comes too late for the stop it was meant for does not end the next start")
  func strayCancel() {
    let user = PipeUser(depth: 2)
    user.pipe.start()
    user.device.cancel(user.device.posted[1])
    user.device.cancel(user.device.posted[0])
    user.device.complete(1, .cancelled)
    user.device.complete(0, .cancelled, [4])
    #expect(user.take() == ["#0 04"])
    #expect(user.device.posted.count == 2)
    user.device.complete(0, .completed, [5])
    #expect(user.take() == ["#1 05"])
  }

  @Test func theOwnerMayStopAndStartFromWithinAReport() {
    let user = PipeUser(depth: 1)
    user.onEvent = { [user = Unowned(user)] event in
      if event == "#0 01" { user.value.pipe.stop() }
      if event == "ended stopped" { user.value.pipe.start() }
    }
    user.pipe.start()
    user.device.complete(0, .completed, [1])
    user.device.completeCancelled()
    #expect(user.take() == ["#0 01", "cancel", "ended stopped"])
    user.device.complete(0, .completed, [2])
    #expect(user.take() == ["#0 02"])
    #expect(user.device.posted.count == 1)
  }

  // MARK: stall

  @Test("B4.5: a stall cancels the rest, hands out what has data, clears the halt and starts with id 0")
  func stallIsRecovered() {
    let user = PipeUser(depth: 3)
    user.pipe.start()
    user.device.complete(0, .completed, [1])
    user.device.complete(0, .stalled)
    #expect(user.take() == ["#0 01", "cancel"])
    #expect(user.pipe.state == .recovering)
    user.device.complete(1, .cancelled, [2])
    #expect(user.take() == ["#1 02"])
    user.device.completeCancelled()
    #expect(user.take() == ["clear halt"])
    #expect(user.device.posted.isEmpty)
    user.pipe.haltCleared(true)
    #expect(user.device.posted.count == 3)
    user.device.complete(0, .completed, [3])
    #expect(user.take() == ["#0 03"])
  }

  @Test("B4.5: all stalls of one queue count once, and more than 8 recoveries end it")
  func tooManyStalls() {
    let user = PipeUser(depth: 5)
    user.pipe.start()
    for _ in 0..<8 {
      for _ in 0..<5 { user.device.complete(0, .stalled) }
      #expect(user.take() == ["cancel", "clear halt"])
      user.pipe.haltCleared(true)
    }
    for _ in 0..<5 { user.device.complete(0, .stalled) }
    #expect(user.take() == ["cancel", "ended stalled"])
    #expect(user.pipe.state == .idle)
  }

  @Test("B4.5: a good report in between starts the count again")
  func goodReportForgivesStalls() {
    let user = PipeUser(depth: 1)
    user.pipe.start()
    for _ in 0..<20 {
      user.device.complete(0, .stalled)
      user.pipe.haltCleared(true)
      user.device.complete(0, .completed, [1])
    }
    #expect(user.pipe.state == .receiving)
  }

  @Test("B4.5: a halt that cannot be cleared ends it")
  func clearFails() {
    let user = PipeUser(depth: 1)
    user.pipe.start()
    user.device.complete(0, .stalled)
    user.pipe.haltCleared(false)
    #expect(user.take() == ["clear halt", "ended stalled"])
  }

  @Test(
    "B4.11: stall policies",
    arguments: [
      (StallPolicy.report, ["cancel", "ended stalled"]),
      (.clearAndStop, ["cancel", "clear halt", "ended stalled"]),
    ])
  func stallPolicies(policy: StallPolicy, expected: [String]) {
    let user = PipeUser(depth: 2, stallPolicy: policy)
    user.pipe.start()
    user.device.complete(0, .stalled)
    user.device.completeCancelled()
    user.pipe.haltCleared(true)
    #expect(user.take() == expected)
    #expect(user.pipe.state == .idle)
  }

  @Test func stopDuringRecovery() {
    let user = PipeUser(depth: 2)
    user.pipe.start()
    user.device.complete(0, .stalled)
    #expect(user.pipe.stop())
    user.device.completeCancelled()
    #expect(user.take() == ["cancel", "ended stopped"])
    user.pipe.start()
    user.device.complete(0, .stalled)
    user.device.completeCancelled()
    #expect(user.pipe.stop())
    #expect(user.take() == ["cancel", "clear halt"], "not before the halt is cleared")
    user.pipe.start()
    user.pipe.haltCleared(true)
    #expect(user.take() == ["ended stopped"])
    #expect(user.device.posted.count == 2)
  }

  // MARK: errors

  @Test("B4.7: one packet each, posted again at once for the first, then later and later")
  func errors() {
    let user = PipeUser(depth: 1)
    user.pipe.start()
    user.device.complete(0, .failed)
    #expect(user.take() == ["#0 failed"])
    #expect(user.device.posted.count == 1)
    var delays: [String] = []
    for number in 1...15 {
      user.device.complete(0, [TransferStatus.failed, .overflow, .timedOut][number % 3])
      let events = user.take()
      delays.append(events[1])
      #expect(user.device.posted.isEmpty)
      user.pipe.delayPassed()
      #expect(user.device.posted.count == 1)
    }
    #expect(
      delays == [13, 26, 39, 52, 65, 78, 91, 100, 100, 100, 100, 100, 100, 100, 100].map { "delay \($0)" })
    user.device.complete(0, .failed)
    #expect(user.take() == ["#16 failed", "ended failed"])
  }

  @Test("B4.7: the count survives stop and start, and a good report clears it")
  func errorsSurviveARestart() {
    let user = PipeUser(depth: 1)
    user.pipe.start()
    user.device.complete(0, .failed)
    user.pipe.stop()
    user.device.completeCancelled()
    user.pipe.start()
    user.device.complete(0, .failed)
    #expect(user.take() == ["#0 failed", "cancel", "ended stopped", "#0 failed", "delay 13"])
    user.pipe.delayPassed()
    user.device.complete(0, .completed, [1])
    user.device.complete(0, .failed)
    #expect(user.take() == ["#1 01", "#2 failed"])
    #expect(user.device.posted.count == 1)
  }

  @Test("B4.5, B4.7: a guest that restarts for ever counts no further than the limits")
  func countsEndAtTheirLimits() {
    let user = PipeUser(depth: 1)
    for _ in 0..<100 {
      user.pipe.start()
      user.pipe.delayPassed()
      if !user.device.posted.isEmpty { user.device.complete(0, .failed) }
    }
    #expect(user.pipe.errors == InterruptPipe.maxErrors + 1)
    #expect(user.pipe.state == .idle)
    for _ in 0..<100 {
      user.pipe.start()
      user.device.complete(0, .stalled)
      user.pipe.haltCleared(true)
    }
    #expect(user.pipe.recoveries == InterruptPipe.maxRecoveries + 1)
  }

  @Test("B4.7: a restart does not shorten the pause, and goes on when it has passed")
  func restartDuringADelay() {
    let user = PipeUser(depth: 2)
    user.pipe.start()
    user.device.complete(0, .failed)
    user.device.complete(0, .failed)
    user.device.complete(0, .failed)
    #expect(user.take() == ["#0 failed", "#1 failed", "delay 13", "#2 failed"])
    user.pipe.stop()
    user.pipe.start()
    #expect(user.device.posted.isEmpty)
    user.pipe.delayPassed()
    #expect(user.device.posted.count == 2)
    #expect(user.take() == ["ended stopped"])
  }

  // MARK: pause

  @Test("B4.9: from 256 waiting reports on nothing is posted, from 64 on again; nothing lost or doubled")
  func highWater() {
    let user = PipeUser(depth: 4)
    user.keepsReports = true
    user.pipe.start()
    var given = 0
    while !user.device.posted.isEmpty {
      user.device.complete(0, .completed, [UInt8(given & 255), UInt8(given >> 8)])
      given += 1
    }
    #expect(given == 256 + 3)
    #expect(user.pipe.state == .pausing)
    #expect(user.pipe.pauses == 1)
    #expect(user.events.contains("paused"))
    user.releaseReports(given - 65)
    #expect(user.device.posted.isEmpty)
    user.releaseReports(1)
    #expect(user.device.posted.count == 4)
    #expect(user.events.last == "resumed")
    user.device.complete(0, .completed, [9])
    #expect(user.events.last == "#259 09")
  }

  @Test func pauseAndResumeByTheOwner() {
    let user = PipeUser(depth: 2)
    user.pipe.start()
    user.pipe.pause()
    user.pipe.pause()
    user.device.complete(0, .completed, [1])
    user.device.complete(0, .completed, [2])
    #expect(user.device.posted.isEmpty)
    user.pipe.resume()
    #expect(user.device.posted.count == 2)
    #expect(user.take() == ["paused", "#0 01", "#1 02", "resumed"])
    user.pipe.resume()
    #expect(user.take() == [])
  }

  @Test func startWhilePausedPostsNothingUntilResume() {
    let user = PipeUser(depth: 2)
    user.pipe.pause()
    user.pipe.start()
    #expect(user.device.posted.isEmpty)
    #expect(user.pipe.isStarted)
    user.pipe.resume()
    #expect(user.device.posted.count == 2)
  }

  @Test func stopWhilePaused() {
    let user = PipeUser(depth: 1)
    user.pipe.start()
    user.pipe.pause()
    user.device.complete(0, .completed, [1])
    user.pipe.stop()
    #expect(user.take() == ["paused", "#0 01", "ended stopped"])
  }

  @Test func stallWhilePaused() {
    let user = PipeUser(depth: 2)
    user.pipe.start()
    user.pipe.pause()
    user.device.complete(0, .stalled)
    user.device.completeCancelled()
    user.pipe.haltCleared(true)
    #expect(user.device.posted.isEmpty)
    user.pipe.resume()
    #expect(user.device.posted.count == 2)
  }

  @Test func errorsWhilePausedArePostedAgainByResume() {
    let user = PipeUser(depth: 1)
    user.pipe.start()
    user.pipe.pause()
    user.device.complete(0, .failed)
    #expect(user.device.posted.isEmpty)
    user.pipe.resume()
    #expect(user.device.posted.count == 1)
  }

  // MARK: the device goes

  @Test("ends exactly once when the device goes, whatever is told first", arguments: [1, 2, 5])
  func gone(depth: Int) {
    for toldFirst in [true, false] {
      let user = PipeUser(depth: depth)
      user.pipe.start()
      if toldFirst { user.pipe.deviceGone() }
      while !user.device.posted.isEmpty { user.device.complete(user.device.posted.count - 1, .deviceGone) }
      user.pipe.deviceGone()
      #expect(user.take() == ["ended gone"])
      #expect(user.pipe.state == .gone)
      user.pipe.start()
      #expect(user.device.posted.isEmpty)
      #expect(!user.pipe.stop())
    }
  }

  @Test func goneWhileIdleHasNoEnd() {
    let user = PipeUser()
    user.pipe.deviceGone()
    #expect(user.take() == [])
  }

  @Test func goneWhileTheHaltIsCleared() {
    let user = PipeUser(depth: 1)
    user.pipe.start()
    user.device.complete(0, .stalled)
    user.pipe.deviceGone()
    user.pipe.haltCleared(false)
    #expect(user.take() == ["clear halt", "ended gone"])
  }

  @Test func goneWhileStopping() {
    let user = PipeUser(depth: 2)
    user.pipe.start()
    user.pipe.stop()
    user.pipe.start()
    user.device.complete(1, .deviceGone)
    user.device.complete(0, .completed, [1])
    #expect(user.take() == ["cancel", "#0 01", "ended gone"])
    #expect(user.device.posted.isEmpty)
  }

  // MARK: short transfers

  @Test("B4.11: where short transfers are an error, one is handed out and ends it")
  func shortTransfersForbidden() {
    let user = PipeUser(depth: 2, length: 2, shortTransfersAllowed: false)
    user.pipe.start()
    user.device.complete(0, .completed, [1, 2])
    user.device.complete(0, .completed, [3])
    user.device.completeCancelled()
    #expect(user.take() == ["#0 0102", "#1 03", "cancel", "ended completed"])
  }

  @Test func aCancelledTransferIsNotAShortOne() {
    let user = PipeUser(depth: 2, length: 2, shortTransfersAllowed: false)
    user.pipe.start()
    user.pipe.stop()
    user.pipe.start()
    user.device.complete(1, .cancelled, [1])
    user.device.completeCancelled()
    #expect(user.take() == ["cancel", "#0 01", "ended stopped"])
    #expect(user.pipe.state == .receiving)
  }

  // MARK: one-shot

  @Test("B4.11: one transfer, one report, one end")
  func readOnce() {
    let user = PipeUser()
    for timeout in [0, 250] as [UInt32] {
      #expect(user.pipe.readOnce(timeout: timeout))
      #expect(!user.pipe.readOnce(timeout: 0))
      #expect(user.device.posted.count == 1)
      #expect(user.device.posted[0].timeout == timeout)
      user.device.complete(0, .completed, [1])
      #expect(user.take() == ["#0 01", "ended finished"])
      #expect(user.pipe.state == .idle)
    }
    user.pipe.start()
    #expect(user.device.posted.allSatisfy { $0.timeout == 0 }, "polling has no timeout")
    #expect(!user.pipe.readOnce(timeout: 0))
  }

  @Test(
    "B4.11: how a one-shot read fails",
    arguments: [
      (TransferStatus.timedOut, "ended timedOut"), (.failed, "ended failed"), (.overflow, "ended overflow"),
      (.refused, "ended refused"), (.noMemory, "ended noMemory"), (.deviceGone, "ended gone"),
    ])
  func readOnceFails(status: TransferStatus, expected: String) {
    let user = PipeUser()
    #expect(user.pipe.readOnce(timeout: 10))
    user.device.complete(0, status)
    #expect(user.take() == [expected])
  }

  @Test("B4.11: if the OUT fails, the IN is cancelled")
  func readOnceStopped() {
    let user = PipeUser()
    #expect(user.pipe.readOnce(timeout: 0))
    #expect(user.pipe.stop())
    user.device.completeCancelled()
    #expect(user.take() == ["cancel", "ended stopped"])
  }

  @Test(
    "B4.11: stall policies of a one-shot read",
    arguments: [
      (StallPolicy.report, ["ended stalled"]), (.clearAndStop, ["clear halt", "ended stalled"]),
      (.clearAndRestart, ["clear halt", "ended stalled"]),
    ])
  func readOnceStalls(policy: StallPolicy, expected: [String]) {
    let user = PipeUser(stallPolicy: policy)
    for _ in 0..<3 {
      #expect(user.pipe.readOnce(timeout: 0))
      user.device.complete(0, .stalled)
      user.pipe.haltCleared(true)
      #expect(user.take() == expected)
      #expect(user.pipe.state == .idle)
    }
  }

  @Test func aGoodOneShotReadForgivesStalls() {
    let user = PipeUser(stallPolicy: .clearAndStop)
    for _ in 0..<12 {
      #expect(user.pipe.readOnce(timeout: 0))
      user.device.complete(0, .stalled)
      user.pipe.haltCleared(true)
      #expect(user.take() == ["clear halt", "ended stalled"])
      #expect(user.pipe.readOnce(timeout: 0))
      user.device.complete(0, .completed, [1])
      #expect(user.take() == ["#0 01", "ended finished"])
    }
  }

  @Test func aShortOneShotReadWhereNoneMayBe() {
    let user = PipeUser(length: 2, shortTransfersAllowed: false)
    #expect(user.pipe.readOnce(timeout: 0))
    user.device.complete(0, .completed, [1])
    #expect(user.take() == ["#0 01", "ended completed"])
  }

  @Test func readOnceAgainFromWithinItsEnd() {
    let user = PipeUser()
    user.onEvent = { [user = Unowned(user)] event in
      if event == "ended finished" && user.value.device.submits < 3 {
        _ = user.value.pipe.readOnce(timeout: 0)
      }
    }
    #expect(user.pipe.readOnce(timeout: 0))
    for byte in 1...3 { user.device.complete(0, .completed, [UInt8(byte)]) }
    #expect(user.take() == ["#0 01", "ended finished", "#0 02", "ended finished", "#0 03", "ended finished"])
  }

  // MARK: memory

  @Test func reportsMayOutliveThePipe() {
    var user: PipeUser? = PipeUser(depth: 1)
    user?.keepsReports = true
    user?.pipe.start()
    user?.device.complete(0, .completed, [1])
    user?.pipe.stop()
    user?.device.completeCancelled()
    let kept = user?.kept ?? []
    weak let pipe = user?.pipe
    user?.onEvent = { _ in }
    #expect(pipe != nil)
    #expect(kept.count == 1)
    user = nil
    #expect(pipe == nil, "freed with its owner: no transfer keeps it")
    #expect(kept[0].withPayload { $0.count } == 1)
  }
}
