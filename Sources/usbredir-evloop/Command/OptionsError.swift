// What is wrong with a command line, in one line, and the guess at what was meant.

/// Wrong options: nothing was started. The description says what is wrong and what to do.
struct OptionsError: Error, Equatable, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// `; did you mean 'listen'?` for the candidate that is at most two edits away from `word`, else nothing.
func suggestion(for word: String, among candidates: [String]) -> String {
  var best: (candidate: String, distance: Int)?
  for candidate in candidates {
    let distance = editDistance(Array(word.utf8), Array(candidate.utf8))
    guard distance <= 2, distance < candidate.utf8.count else { continue }
    if let best, best.distance <= distance { continue }
    best = (candidate, distance)
  }
  guard let best else { return "" }
  return "; did you mean '" + best.candidate + "'?"
}

/// Levenshtein's distance: bytes to insert, delete or replace.
private func editDistance(_ from: [UInt8], _ to: [UInt8]) -> Int {
  var row = Array(0...to.count)
  for (line, byte) in from.enumerated() {
    var diagonal = row[0]
    row[0] = line + 1
    for (column, other) in to.enumerated() {
      let replaced = diagonal + (byte == other ? 0 : 1)
      diagonal = row[column + 1]
      row[column + 1] = min(replaced, min(diagonal, row[column]) + 1)
    }
  }
  return row[to.count]
}
