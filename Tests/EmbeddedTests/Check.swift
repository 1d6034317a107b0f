// Checks that are plain values, in the Embedded subset: `make test` runs them as tests of the ordinary build, and `make
// small-test` compiles the same files with the pure folders for each architecture and runs them there.

/// One thing that has to hold in both builds and on every architecture.
struct Check: Sendable {
  let name: StaticString
  let run: @Sendable (inout Findings) -> Void

  init(_ name: StaticString, _ run: @escaping @Sendable (inout Findings) -> Void) {
    self.name = name
    self.run = run
  }

  static let all: [Check] = headerChecks + readerChecks + deviceChecks + pipeChecks + isoChecks
}

/// Where a check did not hold.
struct Findings {
  private(set) var lines: [Int] = []

  mutating func expect(_ holds: Bool, line: Int = #line) {
    if !holds { lines.append(line) }
  }

  /// As text: `lines 12 20`; nil when everything held.
  var text: String? {
    lines.isEmpty ? nil : lines.reduce("lines") { $0 + " " + String($1) }
  }
}
