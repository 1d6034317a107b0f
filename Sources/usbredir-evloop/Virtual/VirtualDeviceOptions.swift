// What the command line says of a virtual device, as plain values: `virtual=keyboard,text=hello`,
// `virtual=mouse,input=PATH` and the like.

/// `virtual=keyboard`: a HID boot keyboard that types.
struct KeyboardOptions: Equatable {
  /// `text=`: typed once, when the guest first polls the keyboard. Checked before anything is served.
  var text: String?
  /// `input=`: where more text comes from while the server runs: `-` (standard input), `unix:PATH` (a socket
  /// to listen on), or the path of a FIFO or file.
  var input: String?
  /// `delay=`: milliseconds from the guest's first poll to the first key.
  var delay: UInt32 = 0
}

/// `virtual=tablet` and `virtual=mouse`: pointers that a script moves (`PointerStep` has the grammar).
struct PointerOptions: Equatable {
  var kind: PointerKind
  /// `events=`: done once, when the guest first polls the device.
  var events: [PointerStep] = []
  /// `input=`: where more commands come from while the server runs, as for the keyboard.
  var input: String?
}

/// `virtual=echo`: a HID device that sends back what it gets.
struct EchoOptions: Equatable {
  /// `answer-first`: the answer comes before the report that it answers is acknowledged.
  var answersFirst = false
}

/// `virtual=scripted`: a device that does what a script says (`ScriptCommand` has the grammar).
struct ScriptedOptions: Equatable {
  /// `script=`: path of a file of commands, read and checked before anything is served.
  var script: String?
  /// `input=`: where more commands come from while the server runs, as for the keyboard.
  var input: String?
}

/// `virtual=disk`: a USB mass storage device, a stick or a CD.
struct DiskOptions: Equatable {
  /// `image=`: path of a file or a block device.
  var image: String
  /// `ro`: the guest cannot write, and we open it for reading alone.
  var isReadOnly = false
  /// `cdrom`: a CD in its drive, which nobody writes.
  var isCD = false
  /// `serial=`: 12 hexadecimal digits or more; made from the path unless it is given.
  var serial: String?
}

/// Which virtual device an export serves.
enum VirtualDeviceOptions: Equatable {
  case keyboard(KeyboardOptions)
  case pointer(PointerOptions)
  case echo(EchoOptions)
  case disk(DiskOptions)
  case scripted(ScriptedOptions)
  /// `virtual=source-sink`: endpoints of every kind that have data and take data.
  case sourceSink

  /// As on the command line, behind `virtual=`.
  var name: String {
    switch self {
    case .keyboard: "keyboard"
    case .pointer(let options): options.kind.name
    case .echo: "echo"
    case .disk: "disk"
    case .scripted: "scripted"
    case .sourceSink: "source-sink"
    }
  }

  var input: String? {
    switch self {
    case .keyboard(let options): options.input
    case .pointer(let options): options.input
    case .echo: nil
    case .disk: nil
    case .scripted(let options): options.input
    case .sourceSink: nil
    }
  }
}

/// Why a virtual device cannot be made; one line for the user.
enum VirtualDeviceError: Error, CustomStringConvertible {
  case text(KeyboardTextError)
  case input(SystemError)
  case disk(SystemError)
  case script(path: String, ScriptError)

  var description: String {
    switch self {
    case .text(let error): "text: \(error.description)"
    case .input(let error), .disk(let error): error.description
    case .script(let path, let error): "script \(path), \(error.description)"
    }
  }
}

extension VirtualDeviceOptions {
  /// Makes the device; its input is read from now on. `log` outlives it.
  func make(loop: EventLoop, log: Log) throws(VirtualDeviceError) -> VirtualDevice {
    switch self {
    case .keyboard(let options): return try VirtualKeyboard(options, loop: loop, log: log)
    case .pointer(let options): return try VirtualPointer(options, loop: loop, log: log)
    case .echo(let options): return VirtualEcho(options, loop: loop)
    case .disk(let options): return try VirtualDisk.make(options, loop: loop, log: log)
    case .scripted(let options): return try ScriptedDevice(options, loop: loop, log: log)
    case .sourceSink: return SourceSink(loop: loop)
    }
  }
}
