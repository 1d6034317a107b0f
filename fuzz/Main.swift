// The entry that libFuzzer calls. All targets are in one program, so that everything is compiled once; the
// environment variable FUZZ_TARGET chooses.
import CPosix

/// A target: what is done with one input. Whatever traps, or what the address sanitizer finds, is a finding.
enum FuzzTarget: String, CaseIterable {
  case reader, filter, session, virtual, guest, descriptors, text, scsi, command

  static let chosen: FuzzTarget = {
    let name = unsafe getenv("FUZZ_TARGET").map { unsafe String(cString: $0) } ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
      preconditionFailure("FUZZ_TARGET is none of the targets")
    }
    return target
  }()

  func run(_ input: FuzzInput) {
    switch self {
    case .reader: fuzzReader(input)
    case .filter: fuzzFilter(input)
    case .session: fuzzSession(input)
    case .virtual: fuzzVirtual(input)
    case .guest: fuzzGuest(input)
    case .descriptors: fuzzDescriptors(input)
    case .text: fuzzText(input)
    case .scsi: fuzzSCSI(input)
    case .command: fuzzCommand(input)
    }
  }
}

@c(LLVMFuzzerTestOneInput)
func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  let bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: size))
  FuzzTarget.chosen.run(FuzzInput(bytes))
  return 0
}

/// What a target must be able to rely on. Unlike `assert` it is there in every build, and its text is printed.
func check(_ condition: Bool, _ text: @autoclosure () -> String) {
  guard !condition else { return }
  say(text())
  preconditionFailure()
}

func say(_ text: String) {
  let bytes = Array(("fuzz: " + text + "\n").utf8)
  _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
}
