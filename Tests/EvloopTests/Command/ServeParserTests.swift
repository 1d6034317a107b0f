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
      #expect(options.logLevel == .info && options.readyDescriptor == nil && options.user == nil)
      guard case .serve = options.mode else {
        Issue.record("not serve")
        return
      }
    }

    @Test("options may stand behind operands; the last one wins") func optionsAnywhere() throws {
      let options = try serve("-v", "1:2", "--listen=:4000", "--ready-fd", "3", "-u", "a", "-q", "--user=usb")
      #expect(options.logLevel == .warning && options.readyDescriptor == 3 && options.user == "usb")
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

    private func tasks(_ words: String...) throws -> [ProbeTask] {
      try parseProbe(Arguments(words + ["a:1"], probeOptions)).tasks
    }

    @Test("what a probe does, in the order of the options") func probeTasks() throws {
      let (bulkIn, bulkOut) = (EndpointAddress(rawValue: 0x82), EndpointAddress(rawValue: 0x02))
      #expect(
        try tasks("--alt", "1:2", "--reset", "--descriptors", "--configuration=3", "--disk", "--latency") == [
          .alternateSetting(interface: 1, 2), .reset, .descriptors, .configuration(3), .disk, .latency,
        ])
      #expect(
        try tasks("--read", "82", "--write", "0x02:100M:128k:16", "--reset", "--read=82::1") == [
          .bulk([
            BulkJob(endpoint: bulkIn),
            BulkJob(endpoint: bulkOut, total: 100 << 20, size: 128 << 10, depth: 16),
          ]), .reset, .bulk([BulkJob(endpoint: bulkIn, size: 1)]),
        ])
      #expect(try tasks("--read", "82:5G") == [.bulk([BulkJob(endpoint: bulkIn, total: 5 << 30)])])
      #expect(
        try tasks("--iso", "83", "--iso=3:10") == [
          .iso(EndpointAddress(rawValue: 0x83), seconds: nil),
          .iso(EndpointAddress(rawValue: 3), seconds: 10),
        ])
      let setup = SetupPacket(requestType: 0x80, request: 6, value: 0x0100, index: 0, length: 0x12)
      #expect(try tasks("--control", "80,06,0100,0000,0012") == [.control(setup, [])])
      #expect(try tasks("--control", "0x80 6 0x100 0 0x12") == [.control(setup, [])])
      let output = SetupPacket(requestType: 0x21, request: 9, value: 0x200, index: 0, length: 2)
      #expect(try tasks("--control=21,9,200,0,2,01ff") == [.control(output, [1, 0xff])])
      #expect(try tasks("--control=21,9,200,0,2,01,ff") == [.control(output, [1, 0xff])])
      #expect(
        try tasks("--exchange", "41 00,01", "--exchange=41..") == [
          .exchange([0x41, 0, 1], isPadded: false), .exchange([0x41], isPadded: true),
        ])
    }

    @Test func probeFiles() throws {
      let options = try parseProbe(
        Arguments(["-o", "-", "--input=in", "--buffered", "--read", "82", "a:1"], probeOptions))
      #expect(options.output == "-" && options.input == "in" && options.isBuffered)
    }

    @Test(
      "tasks that are none",
      arguments: [
        ("--alt=1", "--alt: '1' is not INTERFACE:SETTING, as in 1:2"),
        ("--alt=1:x", "--alt: 'x' is not a number from 0 to 255"),
        ("--configuration=256", "--configuration: '256' is not a number from 0 to 255"),
        ("--read=02", "--read: '02' is no endpoint: it has to be 81 to 8f"),
        ("--write=82", "--write: '82' is no endpoint: it has to be 01 to 0f"),
        ("--read=80", "--read: '80' is no endpoint: it has to be 81 to 8f"),
        ("--iso=91", "--iso: '91' is no endpoint: it has to be 01 to 0f and 81 to 8f"),
        ("--read=82:x", "--read: 'x' is not a number of bytes, K, M or G"),
        ("--read=82:0", "--read: '0' is not a number of bytes, K, M or G"),
        ("--read=82:1:9M", "--read: '9M' is not a size from 1 to 8M (a number of bytes, K or M)"),
        ("--read=82:1:1:65", "--read: '65' is not a number from 1 to 64"),
        ("--read=82:1:1:1:1", "--read: '82:1:1:1:1' is not ENDPOINT:TOTAL:SIZE:DEPTH"),
        ("--iso=83:0", "--iso: '0' is not a number from 1 to 86400"),
        ("--iso=83:1:1", "--iso: '83:1:1' is not ENDPOINT:SECONDS, as in 83:10"),
        (
          "--control=80,06",
          "--control: '80,06' is not bmRequestType,bRequest,wValue,wIndex,wLength, as in 80,06,0100,0000,0012"
        ),
        ("--control=180,6,0,0,0", "--control: '180' is not a number up to ff in hexadecimal"),
        ("--control=80,6,0,0,g", "--control: 'g' is not a number up to ffff in hexadecimal"),
        ("--control=21,9,0,0,2,01", "--control: '21,9,0,0,2,01': the data has to be 2 bytes, and is 1"),
        ("--control=a1,1,0,0,2,0102", "--control: 'a1,1,0,0,2,0102': the data has to be 0 bytes, and is 2"),
        (
          "--control=21,9,0,0,1,0",
          "--control: '21,9,0,0,1,0': the data is not in hexadecimal, two digits a byte"
        ),
        ("--exchange=", "--exchange: '' is no report in hexadecimal, two digits a byte"),
        ("--exchange=..", "--exchange: '..' is no report in hexadecimal, two digits a byte"),
        ("--exchange=4", "--exchange: '4' is no report in hexadecimal, two digits a byte"),
      ])
    func wrongTasks(word: String, message: String) {
      #expect(throws: OptionsError(message)) { try tasks(word) }
    }

    @Test("-- ends the options") func dashes() throws {
      #expect(try Arguments(["-v", "--", "-q"], serveOptions).operands == ["-q"])
    }
  }
}
