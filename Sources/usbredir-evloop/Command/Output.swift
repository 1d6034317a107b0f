// Text to standard output and standard error, without stdio: C's streams are globals that Swift cannot name.
import CPosix

/// Writes all of `text` to standard output, or to another descriptor; the exit status that this leaves, 1 when nobody reads it.
func printText(_ text: String, to descriptor: Int32 = 1) -> Int32 {
  writeAll(descriptor, text) ? 0 : 1
}

/// One line on standard error, behind the name we were called by.
func printError(_ text: String, from program: String = "usbredir-evloop") {
  _ = writeAll(2, program + ": " + text + "\n")
}

private func writeAll(_ descriptor: Int32, _ text: String) -> Bool {
  var text = text
  return text.withUTF8 { bytes in
    var written = 0
    while written < bytes.count {
      let count = unsafe write(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written)
      if count < 0, posixErrno() == EINTR { continue }
      guard count > 0 else { return false }
      written += count
    }
    return true
  }
}
