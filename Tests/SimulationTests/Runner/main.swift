// Lives many lives: `simulate SEED RUNS`. One life with SIMULATE_VERBOSE=1 is told event by event.
import CPosix

@testable import usbredir_evloop

private func say(_ text: String) {
  let line = Array((text + "\n").utf8)
  _ = unsafe line.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
}

private func argument(_ index: Int32, _ fallback: UInt64) -> UInt64 {
  guard let text = unsafe posixArgument(index) else { return fallback }
  return UInt64(unsafe String(cString: text)) ?? fallback
}

/// The lowest descriptor that is free: it stays the same while none leaks.
private func freeDescriptor() -> Int32 {
  let descriptor = dup(1)
  close(descriptor)
  return descriptor
}

private func run() -> Int32 {
  let first = argument(1, 1)
  let runs = argument(2, 1)
  let isVerbose = unsafe getenv("SIMULATE_VERBOSE") != nil
  let coverage = Coverage()
  let begin = monotonicNanoseconds()
  let descriptor = freeDescriptor()
  var failed: [UInt64] = []
  var steps = 0
  for seed in first..<first + runs {
    let outcome = Life.run(
      seed: seed, path: "/tmp/usbredir-evloop-simulation-\(getpid())", coverage: coverage,
      teller: isVerbose ? { say($0) } : nil)
    steps += outcome.steps
    if freeDescriptor() != descriptor {
      say("seed \(seed): a descriptor is left open")
      return 1
    }
    guard !outcome.failures.isEmpty else { continue }
    failed.append(seed)
    say("seed \(seed) failed: make simulate SEED=\(seed) RUNS=1")
    for failure in outcome.failures { say("  " + failure) }
    if failed.count >= 20 { break }
  }
  let seconds = (monotonicNanoseconds() - begin) / 1_000_000_000
  let tellsCoverage = unsafe getenv("SIMULATE_COVERAGE") != nil
  if isVerbose || tellsCoverage { say(coverage.text) }
  say("\(runs) lives from seed \(first), \(steps) steps, \(seconds) s: \(failed.count) failed")
  guard failed.isEmpty else { return 1 }
  let missing = coverage.missing
  guard runs >= 2000, !missing.isEmpty else { return 0 }
  say("never seen: " + missing.map { "\($0)" }.joined(separator: " "))
  return 1
}

exit(run())
