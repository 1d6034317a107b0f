// The checks of this folder as tests of the ordinary build.
import Testing

extension Check: CustomTestStringConvertible {
  var testDescription: String { name.description }
}

struct EmbeddedTests {
  @Test(arguments: Check.all)
  func holds(_ check: Check) {
    var findings = Findings()
    check.run(&findings)
    #expect(findings.text == nil)
  }
}
