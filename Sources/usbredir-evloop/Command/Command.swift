// The command line's entry point: chooses the command and returns the exit status.

enum Command {
  /// Runs the program; returns its exit status.
  static func main() -> Int32 {
    let loop = WorkList()
    loop.run()
    return 0
  }
}
