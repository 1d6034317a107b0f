// The roof over all tests that call getopt_long(3): its state is global, so they run one after the other.
import Testing

@testable import usbredir_evloop

@Suite(.serialized) enum CommandLineTests {}

extension CommandLineTests {
  struct HelpTests {
    @Test("every key and option is explained, and no line is wider than a terminal") func complete() {
      for key in exportKeys {
        #expect(serveHelp.contains(key + "=") || serveHelp.contains("  " + key + " "), "\(key)")
      }
      for option in serveOptions { #expect(serveHelp.contains("--" + option.text), "\(option.text)") }
      for option in probeOptions { #expect(probeHelp.contains("--" + option.text), "\(option.text)") }
      for option in redirectOptions { #expect(redirectUsage.contains("--" + option.text), "\(option.text)") }
      for option in redirectServerOptions {
        #expect(redirectServerUsage.contains("--" + option.text), "\(option.text)")
      }
      for text in commandNames.compactMap(helpText) {
        for line in text.split(separator: "\n") { #expect(line.count <= 100, "\(line)") }
      }
    }

    @Test(
      "exit statuses of the whole program",
      arguments: [
        (["usbredir-evloop"], 2), (["usbredir-evloop", "lst"], 2), (["usbredir-evloop", "help", "x"], 2),
        (["usbredir-evloop", "list", "x"], 2), (["usbredir-evloop", "serve"], 2),
        (["/usr/bin/usbredirect"], 1), (["x", "usbredirserver", "-p"], 1), (["usbredirserver", "-h"], 0),
        (["x", "serve", "--help"], 0), (["x", "--version"], 0), (["x", "help", "probe"], 0),
      ] as [([String], Int32)])
    func statuses(words: [String], status: Int32) {
      #expect(Command.run(words) == status)
    }

    @Test(arguments: [
      ("lisen", "; did you mean 'listen'?"), ("sreve", "; did you mean 'serve'?"), ("xyz", ""), ("", ""),
    ])
    func suggestions(word: String, text: String) {
      #expect(suggestion(for: word, among: exportKeys + commandNames) == text)
    }
  }
}
