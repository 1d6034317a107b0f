// EXPORT texts: what good ones become, and the exact line that bad ones get.
import Testing

@testable import usbredir_evloop

struct ExportParserTests {
  @Test(
    "each selector, and its text back",
    arguments: [
      ("046d:c31c,listen=127.0.0.1:4000", "id=046d:c31c"),
      ("id=46D:C31C,listen=:4000", "id=046d:c31c"),
      ("id=1:2,serial=A\\,B,nth=2,listen=:4000", "id=0001:0002,serial=A,B,nth=2"),
      ("listen=:4000,port=1-2.3", "port=1-2.3"),
      ("port=10-1,listen=:4000", "port=10-1"),
      ("address=001-004,listen=:4000", "address=1-4"),
      ("fd=3,listen=unix:/run/usb", "fd=3"),
      ("virtual=keyboard,connect=[::1]:4000", "virtual=keyboard"),
      ("virtual=tablet,events=move 50% 50%;click,input=-,listen=:4000", "virtual=tablet"),
      ("virtual=mouse,listen=:4000", "virtual=mouse"),
      ("virtual=echo,answer-first,listen=:4000", "virtual=echo"),
      ("virtual=scripted,script=/tmp/a,input=-,listen=:4000", "virtual=scripted"),
      ("virtual=disk,image=/tmp/a,listen=:4000", "virtual=disk"),
    ])
  func selectors(text: String, description: String) throws {
    #expect(try parseExport(text).device.description == description)
  }

  @Test func escapesInValues() throws {
    let export = try parseExport(#"virtual=keyboard,text=a\,b\\c\n\td=e,delay=20,input=unix:/k,listen=:1"#)
    guard case .virtual(.keyboard(let options)) = export.device else {
      Issue.record("no keyboard")
      return
    }
    #expect(options == KeyboardOptions(text: "a,b\\c\n\td=e", input: "unix:/k", delay: 20))
    guard case .virtual(.keyboard(let plain)) = try parseExport("virtual=keyboard,listen=:1").device else {
      Issue.record("no keyboard")
      return
    }
    #expect(plain == KeyboardOptions(delay: 200), "Linux drops what comes sooner")
  }

  @Test func pointersAndEcho() throws {
    let export = try parseExport("virtual=mouse,events=move -1 2\\nclick,input=-,listen=:1")
    guard case .virtual(.pointer(let pointer)) = export.device else {
      Issue.record("no pointer")
      return
    }
    let steps = try PointerStep.parse(commands: "move -1 2;click left", for: .mouse)
    #expect(pointer == PointerOptions(kind: .mouse, events: steps, input: "-"))
    for (text, answersFirst) in [("", false), (",answer-first", true), (",answer-first=off", false)] {
      guard case .virtual(.echo(let echo)) = try parseExport("virtual=echo,listen=:1" + text).device else {
        Issue.record("no echo")
        return
      }
      #expect(echo.answersFirst == answersFirst)
    }
  }

  @Test func disks() throws {
    for (items, options) in [
      ("image=a", DiskOptions(image: "a")),
      (
        "image=/a\\,b,ro,cdrom,serial=0123456789AB",
        DiskOptions(image: "/a,b", isReadOnly: true, isCD: true, serial: "0123456789AB")
      ),
      ("cdrom=off,ro=off,image=a", DiskOptions(image: "a")),
    ] {
      guard case .virtual(.disk(let parsed)) = try parseExport("virtual=disk,listen=:1," + items).device
      else {
        Issue.record("no disk: \(items)")
        continue
      }
      #expect(parsed == options)
    }
  }

  @Test("B1.5, B1.8, B7.2: defaults") func defaults() throws {
    let export = try parseExport("1:2,listen=:4000")
    #expect(export.name == "id=0001:0002")
    #expect(export.interruptDepth == nil)
    #expect(export.maxTransfer == 8 << 20 && export.maxRequests == 1024 && export.maxRequestBytes == 64 << 20)
    #expect(!export.takeover && export.helloTimeout == 10)
    let transport = export.transportOptions
    #expect(transport.userTimeout == 25_000 && transport.windowProbes == 5)
    #expect(
      transport.keepaliveIdle == 10 && transport.keepaliveInterval == 5 && transport.keepaliveProbes == 3)
  }

  /// Linux lets the user timeout decide when an idle connection has been silent for too long (B7.2).
  @Test(
    "a short keepalive is not outlasted by the user timeout, unless that is given",
    arguments: [
      ("keepalive=1:1:2", 3000), ("keepalive=7", 22_000), ("keepalive=3600", 25_000),
      ("keepalive=off", 25_000),
      ("keepalive=32767:32767:127", 25_000), ("keepalive=1:1:2,user-timeout=9", 9000),
      ("user-timeout=0,keepalive=1:1:2", 0),
    ])
  func silenceOfPeers(words: String, userTimeout: UInt32) throws {
    #expect(try parseExport("1:2,listen=:1," + words).transportOptions.userTimeout == userTimeout)
  }

  @Test func everyLimit() throws {
    let export = try parseExport(
      "1:2,connect=h:1,reconnect=9,name=pedal,interrupt-depth=64,max-transfer=64K,max-requests=7,"
        + "max-request-bytes=1M,hello-timeout=3,keepalive=20:6,user-timeout=7,window-probes=0")
    #expect(export.name == "pedal" && export.interruptDepth == 64 && export.maxTransfer == 65536)
    #expect(export.maxRequests == 7 && export.maxRequestBytes == 1 << 20 && export.helloTimeout == 3)
    let transport = export.transportOptions
    #expect(
      transport.keepaliveIdle == 20 && transport.keepaliveInterval == 6 && transport.keepaliveProbes == 3)
    #expect(transport.userTimeout == 7000 && transport.windowProbes == 0 && export.reconnect == 9)
    #expect(try parseExport("1:2,connect=h:1,reconnect=0").reconnect == nil)
    #expect(try parseExport("1:2,listen=:1,keepalive=off").transportOptions.keepaliveIdle == 0)
    #expect(try parseExport("1:2,listen=:1,takeover").takeover)
    #expect(try !parseExport("1:2,listen=:1,takeover=off").takeover)
    #expect(try parseExport("1:2,listen=:1,max-transfer=128M").maxRequestBytes == 128 << 20)
  }

  @Test(
    "one line that names the export and what to do",
    arguments: [
      ("", "has an empty item; write \\, for a comma in a value"),
      ("1:2,,listen=:1", "has an empty item; write \\, for a comma in a value"),
      ("1:2,name=a\\", "ends in a lone backslash; write \\\\ for one"),
      ("1:2,name=a\\x", "'\\x' is no escape; write \\\\ for a backslash"),
      ("1:2,lisen=:1", "unknown key 'lisen'; did you mean 'listen'?"),
      ("1:2,colour=red", "unknown key 'colour'"),
      ("keyboard,listen=:1", "unknown key 'keyboard'"),
      ("1:2,id=1:3,listen=:1", "'id' is given twice"),
      ("listen=:1", "no device; start with VID:PID, or give id=, port=, address=, fd= or virtual="),
      ("1:2,port=1-2,listen=:1", "'id' and 'port' both choose a device; keep one of them"),
      ("0:2,listen=:1", "id: '0:2' is not VENDOR:PRODUCT in hexadecimal, as in 046d:c31c"),
      ("id=12345:1,listen=:1", "id: '12345:1' is not VENDOR:PRODUCT in hexadecimal, as in 046d:c31c"),
      ("id=+1:1,listen=:1", "id: '+1:1' is not VENDOR:PRODUCT in hexadecimal, as in 046d:c31c"),
      ("1:2,nth=0,listen=:1", "nth: '0' is not a number from 1 to 999"),
      ("port=1,listen=:1", "port: '1' is not BUS-PORT.PORT, as in 1-2.3"),
      ("port=1-2.,listen=:1", "port: '1-2.' is not BUS-PORT.PORT, as in 1-2.3"),
      ("port=1-1.1.1.1.1.1.1.1,listen=:1", "port: '1-1.1.1.1.1.1.1.1' is not BUS-PORT.PORT, as in 1-2.3"),
      ("address=1-128,listen=:1", "address: '1-128' is not BUS-ADDRESS, as in 1-4"),
      ("fd=-1,listen=:1", "fd: '-1' is not a number from 0 to 1048575"),
      ("fd,listen=:1", "'fd' needs a value"),
      (
        "virtual=piano,listen=:1",
        "virtual: 'piano' is none of keyboard, tablet, mouse, disk, echo, source-sink, scripted"
      ),
      (
        "virtual=mouse,events=click;shove,listen=:1",
        "events: unknown command 'shove': use move, press, release, click, double, wheel or wait"
      ),
      (
        "virtual=echo,input=-,listen=:1",
        "'input' goes with virtual=keyboard, tablet, mouse or scripted, not with virtual=echo"
      ),
      (
        "virtual=keyboard,events=click,listen=:1",
        "'events' goes with virtual=tablet and virtual=mouse, not with virtual=keyboard"
      ),
      ("virtual=mouse,text=a,listen=:1", "'text' goes with virtual=keyboard, not with virtual=mouse"),
      (
        "virtual=mouse,answer-first,listen=:1",
        "'answer-first' goes with virtual=echo, not with virtual=mouse"
      ),
      ("virtual=disk,listen=:1", "virtual=disk needs image=PATH, a file or a block device"),
      (
        "virtual=disk,image=a,serial=0123456789a,listen=:1",
        "serial: '0123456789a' is not 12 to 126 digits 0-9 and A-F, which is what a USB disk needs"
      ),
      ("virtual=disk,image=a,ro=yes,listen=:1", "ro: say 'on' or 'off'"),
      (
        "virtual=disk,image=a,input=-,listen=:1",
        "'input' goes with virtual=keyboard, tablet, mouse or scripted, not with virtual=disk"
      ),
      ("virtual=keyboard,image=a,listen=:1", "'image' goes with virtual=disk, not with virtual=keyboard"),
      ("virtual=keyboard,text=a☃,listen=:1", "text: cannot type '☃' (U+2603) on a US layout"),
      ("1:2,text=a,listen=:1", "'text' goes with virtual=keyboard, not with id=0001:0002"),
      (
        "virtual=keyboard,script=a,listen=:1",
        "'script' goes with virtual=scripted, not with virtual=keyboard"
      ),
      (
        "fd=3,input=-,listen=:1",
        "'input' goes with virtual=keyboard, tablet, mouse or scripted, not with fd=3"
      ),
      ("port=1-2,serial=a,listen=:1", "'serial' goes with id= or virtual=disk, not with port=1-2"),
      ("1:2", "nowhere to serve it; add listen=ADDR:PORT, listen=unix:PATH or connect=ADDR:PORT"),
      ("1:2,listen=:1,connect=:2", "'listen' and 'connect' exclude each other; keep one of them"),
      ("1:2,listen=host", "listen: address 'host': the port is missing; write HOST:PORT"),
      ("1:2,listen=:1,reconnect=5", "'reconnect' goes with connect="),
      ("1:2,connect=:1,takeover", "'takeover' goes with listen="),
      ("1:2,listen=:1,takeover=yes", "takeover: say 'on' or 'off'"),
      ("1:2,listen=:1,interrupt-depth=65", "interrupt-depth: '65' is not a number from 1 to 64"),
      (
        "1:2,listen=:1,max-transfer=129M",
        "max-transfer: '129M' is not a size from 4K to 128M (a number of bytes, K or M)"
      ),
      (
        "1:2,listen=:1,max-request-bytes=99999999999999999999M",
        "max-request-bytes: '99999999999999999999M' is not a size from 4K to 1024M (a number of bytes, K or M)"
      ),
      (
        "1:2,listen=:1,max-request-bytes=1M",
        "max-request-bytes is less than one transfer (max-transfer, 8M)"
      ),
      ("1:2,listen=:1,keepalive=1:2:3:4", "keepalive: '1:2:3:4' is not IDLE[:INTERVAL[:COUNT]] or 'off'"),
      ("1:2,listen=:1,keepalive=0", "keepalive: '0' is not a number from 1 to 32767"),
    ])
  func mistakes(text: String, message: String) {
    #expect(throws: OptionsError("export '" + text + "': " + message)) { try parseExport(text) }
  }
}
