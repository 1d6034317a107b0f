// Reads our sources for what the compiler does not hold: which folder imports which C module, which layer names
// which, how a file opens, words that have no place in the product, and the names of tests that start programs.
import Foundation
import Testing

private let sources = URL(filePath: #filePath).deletingLastPathComponent()
  .appending(path: "../../Sources/usbredir-evloop").standardized
private let tests = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "..").standardized

private struct SourceFile {
  let folder: String
  let name: String
  let text: String
  /// The text without comments and string literals.
  let code: String

  init(_ path: String, in root: URL) throws {
    let parts = path.split(separator: "/")
    folder = parts.count > 1 ? String(parts[0]) : ""
    name = path
    text = try String(contentsOf: root.appending(path: path), encoding: .utf8)
    code = text.replacing(/(?s)""".*?"""/, with: "").replacing(/"(\\.|[^"\\\n])*"/, with: "")
      .replacing(/\/\/[^\n]*/, with: "")
  }

  static func all(in root: URL = sources) throws -> [SourceFile] {
    let paths = try FileManager.default.subpathsOfDirectory(atPath: root.path)
    return try paths.filter { $0.hasSuffix(".swift") }.sorted().map { try SourceFile($0, in: root) }
  }
}

struct TidyTests {
  /// Bottom to top; a folder names its own row's folders not at all, and the rows below it freely.
  private let layers = [
    ["Buffers"], ["Protocol"], ["Device"], ["Event"], ["USB"], ["Session", "Guest", "Virtual"], ["Server"],
    ["Command"],
  ]

  @Test func fencesAroundC() throws {
    let homes = ["CEvent": ["Event"], "CLibUSB": ["USB"]]
    let pure = ["Buffers", "Protocol", "Device"]
    // What memory a peer asks for may be refused, and only malloc(3) says so.
    let exception = "Buffers/Memory.swift"
    for file in try SourceFile.all() {
      for match in file.code.matches(of: /(?m)^\s*(?:@\w+\s+)?(?:\w+\s+)?import\s+(\w+)/) {
        let module = String(match.output.1)
        let isAllowed =
          homes[module]?.contains(file.folder)
          ?? (module == "CPosix" && (!pure.contains(file.folder) || file.name == exception))
        #expect(isAllowed, "\(file.name) imports \(module)")
      }
    }
  }

  @Test func arrowsPointDown() throws {
    let files = try SourceFile.all()
    var homes: [String: String] = [:]
    // A nested type of a folder's own may have the name of a stranger.
    var nested: [String: Set<String>] = [:]
    let declaration =
      /(?m)^( *)(?:@\w+ )?(?:private |fileprivate )?(?:final )?(?:class|struct|enum|protocol|typealias) (\w+)/
    for file in files {
      for match in file.code.matches(of: declaration) {
        let name = String(match.output.2)
        if match.output.1.isEmpty {
          homes[name] = file.folder
        } else {
          nested[file.folder, default: []].insert(name)
        }
      }
    }
    #expect(homes.count > 20)
    for file in files where !file.folder.isEmpty {
      let row = try #require(
        layers.firstIndex { $0.contains(file.folder) }, "\(file.name): an unknown folder")
      let reachable = layers[..<row].flatMap { $0 } + [file.folder]
      let names = Set(file.code.matches(of: /(?:^|[^\w.])([A-Z]\w*)/).map { String($0.output.1) })
      let strangers = names.subtracting(nested[file.folder] ?? []).filter { name in
        homes[name].map { !reachable.contains($0) } ?? false
      }
      #expect(strangers.isEmpty, "\(file.name) names \(strangers.sorted()) from above")
    }
  }

  @Test func filesOpenWithTheirRole() throws {
    for file in try SourceFile.all() {
      #expect(file.text.hasPrefix("// "), "\(file.name) does not say what it is for")
    }
  }

  @Test func wordsWithoutAPlace() throws {
    let banned = /\b(try!|as!|fatalError|async|await|actor|weak|Foundation|Dispatch)(?!\w)|#if os\(/
    for file in try SourceFile.all() {
      for match in file.code.matches(of: banned) { Issue.record("\(file.name): \(match.output.0)") }
      #expect(!file.text.contains(/TODO|FIXME|XXX/), "\(file.name) has unfinished work")
    }
  }

  /// Until its exec(2) a program that is started has a copy of every descriptor: what tests beside it close stays open.
  /// `make test` runs suites of this name by themselves, one test after the other.
  @Test func suitesThatStartProgramsAreNamedSo() throws {
    let starts = /\b(Process\s*[.(]|processExitsWith\s*:|(posix_spawnp?|v?fork|popen|system)\()/
    let files = try SourceFile.all(in: tests).filter { $0.code.contains(starts) }
    #expect(!files.isEmpty)
    for file in files {
      let suites = file.code.matches(of: /\b(?:struct|class|enum|extension) (\w+Tests)\b/).map { $0.output.1 }
      #expect(
        !suites.isEmpty && suites.allSatisfy { $0.hasSuffix("ProgramTests") },
        "\(file.name) starts programs: its suites are named …ProgramTests, not \(suites)")
    }
  }
}
