// Lives of the simulation as tests: a fixed number of seeds, the seeds that once failed, and that a seed decides
// everything. `make simulate` lives many more.
import CPosix
import Testing

@testable import usbredir_evloop

struct SimulationTests {
  private func path(_ name: String) -> String { "/tmp/usbredir-evloop-simulation-\(getpid())-\(name)" }

  private func live(_ seed: UInt64, _ coverage: Coverage = Coverage()) -> Outcome {
    Life.run(seed: seed, path: path("\(seed)"), coverage: coverage)
  }

  @Test("every seed's life ends well")
  func seeds() {
    let coverage = Coverage()
    for seed in 1...UInt64(60) {
      let outcome = live(seed, coverage)
      #expect(outcome.failures.isEmpty, "make simulate SEED=\(seed) RUNS=1")
    }
    #expect(coverage.missing.count < Coverage.Kind.allCases.count / 4)
  }

  @Test("a seed decides on everything")
  func replay() {
    for seed in 100...UInt64(110) {
      let first = live(seed)
      let second = live(seed)
      #expect(first.trace == second.trace && first.steps == second.steps, "seed \(seed)")
      #expect(first.trace != live(seed + 1000).trace)
    }
  }

  @Test("seeds that found something", arguments: RegressionSeeds.all)
  func regression(_ seed: UInt64) {
    let outcome = live(seed)
    #expect(outcome.failures.isEmpty, "make simulate SEED=\(seed) RUNS=1")
  }
}
