// The command line's entry point: chooses the command and returns the exit status.
// 0: done; 1: something failed, the reason is on standard error; 2: wrong options, nothing was started.
import CPosix

enum Command {
  /// Runs the program; returns its exit status.
  static func main() -> Int32 {
    var words: [String] = []
    for index in 0..<posixArgumentCount() {
      if let word = unsafe posixArgument(index) { words.append(unsafe String(cString: word)) }
    }
    return run(words)
  }

  /// - Parameter words: the arguments, the program's own name first: by the name of `usbredirect` or
  ///   `usbredirserver` it takes their command lines.
  static func run(_ words: [String]) -> Int32 {
    let name = words.first?.split(at: "/").last ?? ""
    if name == "usbredirect" || name == "usbredirserver" {
      return runDropIn(name, Array(words.dropFirst()))
    }
    do throws(OptionsError) {
      return try runCommand(Array(words.dropFirst()))
    } catch {
      printError(error.description)
      return 2
    }
  }

  private static func runCommand(_ words: [String]) throws(OptionsError) -> Int32 {
    guard let command = words.first else {
      throw OptionsError("no command; try 'usbredir-evloop --help'")
    }
    let rest = Array(words.dropFirst())
    switch command {
    case "serve": return try runServe(rest)
    case "list": return try runList(rest)
    case "probe": return try runProbe(rest)
    case "usbredirect", "usbredirserver": return runDropIn(command, rest)
    case "help": return try runHelp(rest)
    case "--help", "-h": return printText(mainHelp)
    case "--version", "-V": return printText(productVersion + "\n")
    default:
      let kind = command.hasPrefix("-") ? "option" : "command"
      throw OptionsError(
        "unknown " + kind + " '" + command + "'" + suggestion(for: command, among: commandNames)
          + "; try 'usbredir-evloop --help'")
    }
  }

  private static func runServe(_ words: [String]) throws(OptionsError) -> Int32 {
    let arguments = try Arguments(words, serveOptions)
    if arguments.has("help") { return printText(serveHelp) }
    return Server.run(try parseServe(arguments))
  }

  private static func runList(_ words: [String]) throws(OptionsError) -> Int32 {
    let arguments = try Arguments(words, [OptionSpec("json", "j"), OptionSpec("help", "h")])
    if arguments.has("help") { return printText(listHelp) }
    if let operand = arguments.operands.first {
      throw OptionsError("list: '" + operand + "' is too much; list takes no names")
    }
    return listDevices(json: arguments.has("json"))
  }

  private static func runHelp(_ words: [String]) throws(OptionsError) -> Int32 {
    guard let command = words.first else { return printText(mainHelp) }
    guard let text = helpText(command) else {
      throw OptionsError("no help on '" + command + "'" + suggestion(for: command, among: commandNames))
    }
    return printText(text)
  }

  /// Both tools answer wrong options with 1.
  private static func runDropIn(_ name: String, _ words: [String]) -> Int32 {
    do throws(OptionsError) {
      switch name == "usbredirect" ? try parseRedirect(words) : try parseRedirectServer(words) {
      case .serve(let options): return Server.run(options)
      case .print(let text): return printText(text)
      }
    } catch {
      printError(error.description + "; try '" + name + " --help'", from: name)
      return 1
    }
  }
}
