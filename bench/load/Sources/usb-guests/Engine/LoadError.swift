// What goes wrong, as one line: what failed, where, and why.
import CLoad

/// An error that ends a run.
struct LoadError: Error, Equatable, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }

  /// A system call that failed just now.
  static func system(_ what: String, _ code: Int32 = loadErrno()) -> LoadError {
    LoadError("\(what): \(String(cString: loadErrorText(code)))")
  }
}
