// What the operating system refused, in one line a reader can act on.
import CPosix

/// A failed system call: `bind 127.0.0.1:4000: Address already in use; choose another port or …`.
struct SystemError: Error, CustomStringConvertible {
  /// The errno value, or 0 where the failure has none (a name that does not resolve).
  let code: Int32
  /// What failed, and on what: `bind 127.0.0.1:4000`.
  let operation: String
  /// The system's own words for it.
  let reason: String
  /// What to do about it, where that is known.
  let advice: String?

  /// - Parameters:
  ///   - code: errno, taken right behind the call that failed.
  ///   - reason: the words for a failure without errno; the text of `code` otherwise.
  ///   - advice: what to do about it; that about `code` otherwise.
  init(code: Int32, _ operation: String, reason: String? = nil, advice: String? = nil) {
    self.code = code
    self.operation = operation
    self.reason = unsafe reason ?? String(cString: posixErrorText(code))
    self.advice = advice ?? SystemError.advice(about: code)
  }

  /// What to do when there is no thread.
  static let threadAdvice = "raise the limit (ulimit -u)"

  /// What to do about a failure that has the same cause wherever it comes up; nil for all others.
  static func advice(about code: Int32) -> String? {
    code == EMFILE || code == ENFILE ? "raise the limit (ulimit -n)" : nil
  }

  var description: String {
    guard let advice else { return operation + ": " + reason }
    return operation + ": " + reason + "; " + advice
  }
}
