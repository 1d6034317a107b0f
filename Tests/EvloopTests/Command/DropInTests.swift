// The command lines of usbredirect and usbredirserver.
import Testing

@testable import usbredir_evloop

extension CommandLineTests {
  struct DropInTests {
    private func options(_ request: DropInRequest) throws -> ServerOptions {
      guard case .serve(let options) = request else { throw OptionsError("help, not options") }
      return options
    }

    private func transport(_ options: ServerOptions) -> String {
      switch options.exports[0].transport {
      case .listen(let address): return "listen " + address.description
      case .connect(let address): return "connect " + address.description
      }
    }

    @Test(
      "usbredirect",
      arguments: [
        (
          ["--device", "046d:c31c", "--to", "127.0.0.1:4000"], "id=046d:c31c", "connect 127.0.0.1:4000",
          Log.Level.info
        ),
        (
          ["--device=1-4", "--as=0.0.0.0:4000", "-k", "-v", "5"], "address=1-4", "listen 0.0.0.0:4000", .debug
        ),
        (
          ["--device", "1:0", "--to", "a:1", "--as", "b:2", "x", "-v3"], "id=0001:0000", "connect a:1", .info
        ),
      ])
    func redirect(words: [String], device: String, place: String, level: Log.Level) throws {
      let options = try options(parseRedirect(words))
      #expect(options.exports[0].device.description == device)
      #expect(transport(options) == place)
      #expect(options.logLevel == level)
      #expect(options.exports[0].reconnect == nil)
      guard case .redirectOnce = options.mode else {
        Issue.record("not redirectOnce")
        return
      }
    }

    @Test(
      "usbredirect, wrong",
      arguments: [
        ([], "neither --to nor --as is given; say where to connect or where to listen"),
        (["--to", "a:1"], "no device; give --device VENDOR:PRODUCT or --device BUS-ADDRESS"),
        (
          ["--device", "zzz", "--to", "a:1"],
          "'zzz' is neither VENDOR:PRODUCT (hexadecimal) nor BUS-ADDRESS (decimal)"
        ),
        (["--device", "1-2", "--to", "4000"], "'4000' is not HOST:PORT"),
        (["--device", "1-2", "--to", "a:1", "-v", "x"], "--verbose: 'x' is not a number from 0 to 999"),
        (["--port", "1"], "unknown option '--port'"),
      ] as [([String], String)])
    func redirectMistakes(words: [String], message: String) {
      #expect(throws: OptionsError(message)) { try parseRedirect(words) }
    }

    @Test(
      "usbredirserver",
      arguments: [
        (["046d:c31c"], "id=046d:c31c", "listen [::]:4000", Log.Level.info),
        (["-p", "5000", "-4", "10.0.0.1", "-v", "0", "1-4"], "address=1-4", "listen 10.0.0.1:5000", .error),
        (["3-12", "--ipv6", "::1", "--port=1"], "address=3-12", "listen [::1]:1", .info),
      ])
    func redirectServer(words: [String], device: String, place: String, level: Log.Level) throws {
      let options = try options(parseRedirectServer(words))
      #expect(options.exports[0].device.description == device)
      #expect(transport(options) == place)
      #expect(options.logLevel == level)
      guard case .redirectServer = options.mode else {
        Issue.record("not redirectServer")
        return
      }
    }

    @Test("usbredirserver's probes are 10 s apart") func keepalive() throws {
      let set = try options(parseRedirectServer(["-k", "60", "1-4"])).exports[0].transportOptions
      #expect(set.keepaliveIdle == 60 && set.keepaliveInterval == 10 && set.keepaliveProbes == 3)
      #expect(set.userTimeout == 90_000)
      let kept = try options(parseRedirectServer(["1-4"])).exports[0].transportOptions
      #expect(kept.keepaliveIdle == 10 && kept.keepaliveInterval == 5)
    }

    @Test(
      "usbredirserver, wrong",
      arguments: [
        ([], "no device; give VENDOR:PRODUCT or BUS-ADDRESS"),
        (["1-4", "1-5"], "'1-5' is one device too many; start a server for each"),
        (["1-"], "'1-' is neither VENDOR:PRODUCT (hexadecimal) nor BUS-ADDRESS (decimal)"),
        (["-p", "x", "1-4"], "--port: 'x' is not a number from 0 to 65535"),
        (["-4", "::1", "1-4"], "--ipv4: '::1' is not such an address"),
        (["-6", "10.0.0.1", "1-4"], "--ipv6: '10.0.0.1' is not such an address"),
      ] as [([String], String)])
    func redirectServerMistakes(words: [String], message: String) {
      #expect(throws: OptionsError(message)) { try parseRedirectServer(words) }
    }
  }
}
