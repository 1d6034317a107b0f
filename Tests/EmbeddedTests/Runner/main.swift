// Runs the checks where there is no Swift Testing: says which one runs, and ends with 1 when one did not hold. What is said
// is written at once: the last line before a trap names the check.
import CPosix

exit(runChecks() == 0 ? 0 : 1)

/// How many did not hold.
private func runChecks() -> Int {
  var failures = 0
  for check in Check.all {
    say("check: " + check.name.description)
    var findings = Findings()
    check.run(&findings)
    guard let text = findings.text else { continue }
    say("FAILED: " + check.name.description + ", " + text)
    failures += 1
  }
  say("\(Check.all.count) checks, \(failures) failed")
  return failures
}

private func say(_ text: String) {
  let line = Array((text + "\n").utf8)
  _ = unsafe line.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
}
