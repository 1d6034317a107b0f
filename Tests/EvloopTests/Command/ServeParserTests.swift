// The command line of `serve` and `probe`, and getopt_long behind `Arguments`.
import Testing

@testable import usbredir_evloop

extension CommandLineTests {
  struct ServeParserTests {
    private func serve(_ words: String...) throws -> ServerOptions {
      try parseServe(Arguments(words, serveOptions))
    }

    @Test func manyExports() throws {
      let options = try serve(
        "id=046d:c31c,listen=127.0.0.1:4000", "virtual=keyboard,text=hi,listen=127.0.0.1:4001")
      #expect(options.exports.map { $0.device.description } == ["id=046d:c31c", "virtual=keyboard"])
      #expect(options.logLevel == .info && options.readyDescriptor == nil)
      guard case .serve = options.mode else {
        Issue.record("not serve")
        return
      }
    }

    @Test("options may stand behind operands; the last one wins") func optionsAnywhere() throws {
      let options = try serve("-v", "1:2", "--listen=:4000", "--ready-fd", "3", "-q")
      #expect(options.logLevel == .warning && options.readyDescriptor == 3)
      guard case .listen(let address) = options.exports[0].transport else {
        Issue.record("does not listen")
        return
      }
      #expect(address.description == "127.0.0.1:4000")
      #expect(try serve("--log-level=error", "1:2", "-c", "unix:/a").logLevel == .error)
    }

    @Test("port 0 and one id may be shared") func sharing() throws {
      #expect(try serve("1:2,listen=:0", "1:2,listen=:0").exports.count == 2)
    }

    @Test(
      "exact messages",
      arguments: [
        ([], "nothing to export; give at least one, as in 'serve 046d:c31c,listen=127.0.0.1:4000'"),
        (["--listne", ":1"], "unknown option '--listne'; did you mean 'listen'?"),
        (["-x"], "unknown option '-x'"),
        (["--ready-fd"], "option '--ready-fd' needs a value"),
        (["-l"], "option '-l' needs a value"),
        (["--quiet=1"], "option '--quiet' takes no value"),
        (["--ready-fd=x", "1:2,listen=:1"], "--ready-fd: 'x' is not a number from 0 to 1048575"),
        (
          ["--log-level=loud", "1:2,listen=:1"], "--log-level: 'loud' is none of error, warning, info, debug"
        ),
        (
          ["-l", ":1", "-c", ":2", "1:2"],
          "more than one --listen or --connect; give each export its own address"
        ),
        (
          ["-l", ":1", "1:2", "1:3"],
          "--listen and --connect are for a single export; give each export its own address"
        ),
        (
          ["-l", ":1", "1:2,listen=:2"],
          "export '1:2,listen=:2': has an address of its own; leave out --listen and --connect"
        ),
        (
          ["1:2,listen=:1", "1:3,listen=127.0.0.1:1"],
          "export '1:3,listen=127.0.0.1:1': another export listens on 127.0.0.1:1 already; each needs its own"
        ),
        (
          ["port=1-2,listen=:1", "port=1-2,listen=:2"],
          "export 'port=1-2,listen=:2': another export has port=1-2 already; each needs its own"
        ),
        (
          ["virtual=keyboard,input=-,listen=:1", "virtual=scripted,input=-,listen=:2"],
          "export 'virtual=scripted,input=-,listen=:2': another export reads standard input already; each needs its own"
        ),
      ] as [([String], String)])
    func mistakes(words: [String], message: String) {
      #expect(throws: OptionsError(message)) { try parseServe(Arguments(words, serveOptions)) }
    }

    @Test func probe() throws {
      let options = try parseProbe(
        Arguments(["--json", "-n", "5", "-d0", "-t", "3", "[::1]:4000"], probeOptions))
      #expect(options.json && options.count == 5 && options.duration == 0 && options.timeout == 3)
      #expect(options.address.description == "[::1]:4000")
      #expect(throws: OptionsError("nothing to probe; give an address, as in 'probe 127.0.0.1:4000'")) {
        try parseProbe(Arguments([], probeOptions))
      }
      #expect(throws: OptionsError("'b:2' is one address too many")) {
        try parseProbe(Arguments(["a:1", "b:2"], probeOptions))
      }
      #expect(throws: OptionsError("--timeout: '0' is not a number from 1 to 86400")) {
        try parseProbe(Arguments(["-t0", "a:1"], probeOptions))
      }
    }

    @Test("-- ends the options") func dashes() throws {
      #expect(try Arguments(["-v", "--", "-q"], serveOptions).operands == ["-q"])
    }
  }
}
