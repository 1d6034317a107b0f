// What a run found: a JSON object for programs, a line for people.
import Foundation

/// The result of a run. All times are nanoseconds.
struct Report: Encodable {
  let scenario: String
  var connections = 0
  var seconds = 0.0
  var counts: [String: UInt64] = [:]
  var rates: [String: Double] = [:]
  var latencies: [String: Percentiles] = [:]
  var generator: Usage?
  var failures: [String] = []

  init(_ scenario: String) {
    self.scenario = scenario
  }

  func json() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }

  /// `interrupt: 8 connections, 5.00 s; reports 40000, …; report p50 …`
  var line: String {
    var parts = ["\(connections) connections, \(decimals(seconds)) s"]
    parts += [counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")]
    parts += [
      rates.sorted { $0.key < $1.key }.map { "\($0.key) \(decimals($0.value))" }.joined(separator: ", ")
    ]
    parts += latencies.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.line)" }
    if let generator { parts.append("generator \(duration(generator.cpuNanoseconds)) of CPU") }
    if !failures.isEmpty { parts.append("FAILED: " + failures.joined(separator: "; ")) }
    return scenario + ": " + parts.filter { !$0.isEmpty }.joined(separator: "; ")
  }

  mutating func add(_ name: String, _ latencies: Latencies) {
    if latencies.count > 0 { self.latencies[name] = latencies.percentiles }
  }
}
