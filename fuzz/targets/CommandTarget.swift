// Any command line: what is behind `serve`, `probe`, the drop-ins' names, and single exports and addresses. A line is
// refused with one line of text, or gives options that say what they are.

func fuzzCommand(_ input: FuzzInput) {
  var input = input
  let kind = input.number(7)
  let words = input.rest().split(separator: 10, omittingEmptySubsequences: false).map { text(Array($0)) }
  do throws(OptionsError) {
    try parse(kind, words)
  } catch {
    check(!error.description.isEmpty, "an error without a word")
  }
}

private func text(_ bytes: [UInt8]) -> String { unsafe bytes.withUnsafeBytes { unsafe String(utf8: $0) } }

private func parse(_ kind: Int, _ words: [String]) throws(OptionsError) {
  switch kind {
  case 0: verify(try parseServe(try Arguments(words, serveOptions)))
  case 1: _ = try parseProbe(try Arguments(words, probeOptions))
  case 2: verify(try parseRedirect(words))
  case 3: verify(try parseRedirectServer(words))
  case 4: for word in words { verify(try parseExport(word)) }
  case 5:
    for word in words {
      let address = try parseAddress(word)
      check(try parseAddress(address.description) == address, "an address does not read as it was written")
    }
  default: for word in words { _ = suggestion(for: word, among: exportKeys) }
  }
}

private func verify(_ request: DropInRequest) {
  switch request {
  case .serve(let options): verify(options)
  case .print(let text): check(!text.isEmpty, "help without a word")
  }
}

private func verify(_ options: ServerOptions) {
  for export in options.exports { verify(export) }
}

private func verify(_ export: ExportOptions) {
  check(!export.name.isEmpty && !export.device.description.isEmpty, "an export without a name")
  check(export.maxRequestBytes >= export.maxTransfer, "no room for one transfer")
}
