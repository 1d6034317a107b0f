// The promise of the interrupt engine as a property: what the device gave is handed out, all of it, once, in
// order.
import Testing

@testable import usbredir_evloop

struct InterruptPipePropertyTests {
  /// Whatever a device and an owner do, but for unplugging.
  private enum Step: CaseIterable {
    case report, report2, report3, empty, start, stop, stall, cancelledEnds, cancelledHasData,
      cancelledWasFaster
    case pause, resume, keep, release, haltCleared, error, delayPassed, someoneCancels
  }

  @Test("B4.8, B4.9: no report is lost or doubled, and ids step by one", arguments: [1, 3, 5, 64])
  func nothingIsLost(depth: Int) {
    for seed in 0..<60 as Range<UInt64> {
      var run = Run(depth: depth, seed: seed)
      run.play(400)
      run.finish()
      let (given, got) = (run.given, run.got)
      #expect(given == got, "seed \(seed), depth \(depth)")
      #expect(run.idsAreInOrder, "seed \(seed), depth \(depth): ids \(run.ids)")
      #expect(run.user.pipe.posted == 0 && run.user.pipe.waiting == 0, "seed \(seed), depth \(depth)")
      #expect(run.starts == run.ends, "seed \(seed), depth \(depth)")
    }
  }

  private struct Run {
    let user: PipeUser
    private(set) var given: [String] = []
    private(set) var got: [String] = []
    private(set) var ids: [UInt64] = []
    private(set) var starts = 0
    private(set) var ends = 0
    private var random: SeededGenerator
    private var number: UInt32 = 0
    private var clearsHalt = false

    init(depth: Int, seed: UInt64) {
      user = PipeUser(depth: depth)
      random = SeededGenerator(seed: seed)
    }

    var idsAreInOrder: Bool {
      var expected: UInt64 = 0
      for id in ids {
        guard id == expected || id == 0 else { return false }
        expected = id + 1
      }
      return true
    }

    mutating func play(_ steps: Int) {
      for _ in 0..<steps {
        take(Step.allCases[Int.random(in: 0..<Step.allCases.count, using: &random)])
        note()
      }
    }

    /// Stops, and gives everything back.
    mutating func finish() {
      take(.stop)
      user.pipe.haltCleared(true)
      user.device.completeCancelled()
      user.releaseReports()
      note()
    }

    private mutating func take(_ step: Step) {
      switch step {
      case .report, .report2, .report3: complete(oldest, .completed, nextReport())
      case .empty: complete(oldest, .completed, [])
      case .start:
        if !user.pipe.isStarted {
          user.pipe.start()
          starts += 1
        }
      case .stop:
        // A start that waits behind a stop is withdrawn by the next one: it never was.
        if user.pipe.state == .stopping && user.pipe.isStarted { starts -= 1 }
        user.pipe.stop()
      case .stall: if user.pipe.state == .receiving { complete(oldest, .stalled, []) }
      case .cancelledEnds: complete(cancelled, .cancelled, [])
      case .cancelledHasData: complete(cancelled, .cancelled, nextReport())
      case .cancelledWasFaster: complete(cancelled, .completed, nextReport())
      case .pause: user.pipe.pause()
      case .resume: user.pipe.resume()
      case .keep: user.keepsReports = true
      case .release:
        user.keepsReports = false
        user.releaseReports()
      case .haltCleared:
        if clearsHalt {
          clearsHalt = false
          user.pipe.haltCleared(true)
        }
      case .error:
        complete(oldest, [.failed, .overflow, .timedOut].randomElement(using: &random) ?? .failed, [])
      case .delayPassed: user.pipe.delayPassed()
      case .someoneCancels: if let index = oldest { user.device.cancel(user.device.posted[index]) }
      }
    }

    private var oldest: Int? { user.device.posted.firstIndex { $0.state == .submitted } }
    private var cancelled: Int? { user.device.posted.lastIndex { $0.state == .cancelling } }

    private mutating func nextReport() -> [UInt8] {
      number += 1
      return [UInt8(number & 255), UInt8(number >> 8 & 255), UInt8(number >> 16 & 255)]
    }

    private mutating func complete(_ index: Int?, _ status: TransferStatus, _ report: [UInt8]) {
      guard let index else { return }
      if status == .completed || !report.isEmpty { given.append(Hex.text(report.span)) }
      user.device.complete(index, status, report)
    }

    private mutating func note() {
      for event in user.take() {
        if event == "clear halt" { clearsHalt = true }
        if event.hasPrefix("ended") { ends += 1 }
        guard event.hasPrefix("#") else { continue }
        let parts = event.dropFirst().split(separator: " ")
        ids.append(UInt64(parts[0]) ?? .max)
        let text = parts.count > 1 ? String(parts[1]) : ""
        if !["failed", "overflow", "timedOut"].contains(text) { got.append(text) }
      }
    }
  }
}
