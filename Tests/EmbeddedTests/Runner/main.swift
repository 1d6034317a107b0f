// Runs the checks where there is no Swift Testing: prints each, and ends with 1 when one did not hold. A check that traps
// has its name printed before it.
import CPosix

exit(runChecks() == 0 ? 0 : 1)

/// How many did not hold.
private func runChecks() -> Int {
  var failures = 0
  for check in Check.all {
    print("check: \(check.name)")
    var findings = Findings()
    check.run(&findings)
    guard let text = findings.text else { continue }
    print("FAILED: \(check.name), \(text)")
    failures += 1
  }
  print("\(Check.all.count) checks, \(failures) failed")
  return failures
}
