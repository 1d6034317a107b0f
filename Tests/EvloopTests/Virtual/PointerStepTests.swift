// The grammar of what a pointer is told, line by line.
import Testing

@testable import usbredir_evloop

struct PointerStepTests {
  @Test(
    arguments: [
      ("move 0 32767", .tablet, [.place(x: 0, y: 32767)]),
      ("move 50% 100%", .tablet, [.place(x: 16384, y: 32767)]),
      ("move 0% 33.3%", .tablet, [.place(x: 0, y: 10911)]),
      ("move 0.01% 99.99%", .tablet, [.place(x: 3, y: 32764)]),
      ("move 12.50% 100.00%", .tablet, [.place(x: 4096, y: 32767)]),
      ("move 10 -20", .mouse, [.shift(x: 10, y: -20, wheel: 0)]),
      ("move -32767 +32767", .mouse, [.shift(x: -32767, y: 32767, wheel: 0)]),
      ("\tmove  0\t0 # nowhere", .mouse, [.shift(x: 0, y: 0, wheel: 0)]),
      ("press left", .mouse, [.press(1)]),
      ("press right", .tablet, [.press(2)]),
      ("press middle\r", .mouse, [.press(4)]),
      ("release", .mouse, [.release(1)]),
      ("release right", .mouse, [.release(2)]),
      ("wheel -3", .tablet, [.shift(x: 0, y: 0, wheel: -3)]),
      ("wheel 300", .mouse, [.shift(x: 0, y: 0, wheel: 300)]),
      ("wait 4294967295", .mouse, [.wait(.max)]),
      ("click right", .tablet, [.press(2), .wait(40), .release(2), .wait(40)]),
      (
        "double", .mouse,
        [
          .press(1), .wait(40), .release(1), .wait(40), .press(1), .wait(40), .release(1), .wait(40),
        ]
      ),
      ("", .mouse, []),
      ("  # press", .tablet, []),
    ] as [(String, PointerKind, [PointerStep])])
  func each(_ line: String, _ kind: PointerKind, _ steps: [PointerStep]) throws {
    #expect(try PointerStep.parse(line, number: 1, for: kind) == steps)
  }

  @Test(
    arguments: [
      (
        "jump", .mouse, "unknown command 'jump': use move, press, release, click, double, wheel or wait"
      ),
      ("move", .mouse, "X is missing"),
      ("move 1", .tablet, "Y is missing"),
      ("move 1 2 3", .mouse, "nothing may follow, but '3' does"),
      ("move 50% 1", .mouse, "'50%' is no X: use -32767 to 32767"),
      ("move 0 32768", .mouse, "'32768' is no Y: use -32767 to 32767"),
      ("move - 0", .mouse, "'-' is no X: use -32767 to 32767"),
      ("move --1 0", .mouse, "'--1' is no X: use -32767 to 32767"),
      ("move 32768 0", .tablet, "'32768' is no X: use 0 to 32767, or 0% to 100%"),
      ("move -1 0", .tablet, "'-1' is no X: use 0 to 32767, or 0% to 100%"),
      ("move 0 100.01%", .tablet, "'100.01%' is no Y: use 0 to 32767, or 0% to 100%"),
      ("move 101% 0", .tablet, "'101%' is no X: use 0 to 32767, or 0% to 100%"),
      ("move 1.% 0", .tablet, "'1.%' is no X: use 0 to 32767, or 0% to 100%"),
      ("move 1.234% 0", .tablet, "'1.234%' is no X: use 0 to 32767, or 0% to 100%"),
      ("move 1.2.3% 0", .tablet, "'1.2.3%' is no X: use 0 to 32767, or 0% to 100%"),
      ("move % 0", .tablet, "'%' is no X: use 0 to 32767, or 0% to 100%"),
      ("press middel", .mouse, "'middel' is no button: use left, right or middle"),
      ("click left right", .mouse, "nothing may follow, but 'right' does"),
      ("wheel", .tablet, "number of notches is missing"),
      ("wheel up", .tablet, "'up' is no number of notches: use -32767 to 32767"),
      ("wait", .mouse, "time in milliseconds is missing"),
      ("wait 1s", .mouse, "'1s' is no time in milliseconds"),
    ] as [(String, PointerKind, String)])
  func faults(_ line: String, _ kind: PointerKind, _ reason: String) {
    #expect(throws: ScriptError(line: 7, reason: reason)) {
      try PointerStep.parse(line, number: 7, for: kind)
    }
  }

  @Test func severalCommands() throws {
    let steps = try PointerStep.parse(commands: "move 1 2; press\nwheel 1;;", for: .mouse)
    #expect(steps == [.shift(x: 1, y: 2, wheel: 0), .press(1), .shift(x: 0, y: 0, wheel: 1)])
    #expect(throws: ScriptError.self) { try PointerStep.parse(commands: "press;push", for: .mouse) }
  }
}
