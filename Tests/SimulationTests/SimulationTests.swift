// Lives of the simulation as tests: a fixed number of seeds, the seeds that once failed, and that a seed decides
// everything. `make simulate` lives many more.
import CPosix
import Testing

@testable import usbredir_evloop

struct SimulationTests {
  /// - Parameter place: the test's own, since tests run side by side: a life's socket is nobody else's.
  private func live(_ seed: UInt64, at place: String, _ coverage: Coverage = Coverage()) -> Outcome {
    Life.run(
      seed: seed, path: "/tmp/usbredir-evloop-simulation-\(getpid())-\(place)", coverage: coverage)
  }

  @Test("every seed's life ends well")
  func seeds() {
    let coverage = Coverage()
    for seed in 1...UInt64(60) {
      let outcome = live(seed, at: "seeds", coverage)
      #expect(outcome.failures.isEmpty, "make simulate SEED=\(seed) RUNS=1")
    }
    #expect(coverage.missing.count < Coverage.Kind.allCases.count / 4)
  }

  @Test("a seed decides on everything")
  func replay() {
    for seed in 100...UInt64(110) {
      let first = live(seed, at: "replay")
      let second = live(seed, at: "replay")
      #expect(first.trace == second.trace && first.steps == second.steps, "seed \(seed)")
      #expect(first.trace != live(seed + 1000, at: "replay").trace)
    }
  }

  @Test("seeds that found something", arguments: RegressionSeeds.all)
  func regression(_ seed: UInt64) {
    let outcome = live(seed, at: "regression-\(seed)")
    #expect(outcome.failures.isEmpty, "make simulate SEED=\(seed) RUNS=1")
  }
}
