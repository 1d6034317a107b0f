// What the generator itself costs: a number to be seen beside those that it measures.
import CLoad

/// Costs of the generator's thread between two moments.
struct Usage: Encodable {
  var cpuNanoseconds: UInt64
  var voluntarySwitches: UInt64
  var involuntarySwitches: UInt64
  var wakeups: UInt64
  var receives: UInt64
  var sends: UInt64

  init(_ engine: Engine) {
    let usage = loadThreadUsage()
    cpuNanoseconds = usage.cpuNanoseconds
    voluntarySwitches = usage.voluntarySwitches
    involuntarySwitches = usage.involuntarySwitches
    wakeups = engine.wakeups
    receives = engine.receives
    sends = engine.sends
  }

  static func - (end: Usage, start: Usage) -> Usage {
    var difference = end
    difference.cpuNanoseconds -= start.cpuNanoseconds
    difference.voluntarySwitches -= start.voluntarySwitches
    difference.involuntarySwitches -= start.involuntarySwitches
    difference.wakeups -= start.wakeups
    difference.receives -= start.receives
    difference.sends -= start.sends
    return difference
  }
}
