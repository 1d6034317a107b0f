// `probe`: options in, the exit status out; what it finds goes to standard output as it comes.

extension Command {
  static func runProbe(_ words: [String]) throws(OptionsError) -> Int32 {
    let arguments = try Arguments(words, probeOptions)
    if arguments.has("help") { return printText(probeHelp) }
    let options = try parseProbe(arguments)
    // Data has standard output for itself.
    let descriptor: Int32 = (options.output ?? "") == "-" ? 2 : 1
    let output = ProbeOutput(
      print: { printText($0, to: descriptor) == 0 }, complain: { printError($0) })
    return Probe.run(options, output: output)
  }
}
