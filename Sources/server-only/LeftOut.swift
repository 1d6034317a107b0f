// What stands in the place of the folders Guest/ and Virtual/ and of the files that reach into them, in the small build
// that is nothing but a server (`make small PARTS=server`). Nothing here is ever made; both ways in say so.

struct VirtualDeviceOptions {
  let name = "", input: String? = nil

  private init() {}

  func source(loop: EventLoop, log: Log) throws(VirtualDeviceError) -> any DeviceSource {
    throw VirtualDeviceError()
  }
}

struct VirtualDeviceError: Error {
  let description = "this build has no virtual devices"
}

func takeVirtual(_ items: inout ExportItems) throws(OptionsError) -> VirtualDeviceOptions {
  throw OptionsError(VirtualDeviceError().description)
}

extension Command {
  static func runProbe(_ words: [String]) throws(OptionsError) -> Int32 {
    throw OptionsError("this build has no probe")
  }
}
