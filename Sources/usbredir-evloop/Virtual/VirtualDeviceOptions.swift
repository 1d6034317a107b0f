// What the command line says of a virtual device, as plain values: `virtual=keyboard,text=hello` and
// `virtual=scripted,script=PATH`.

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

/// `virtual=scripted`: a device that does what a script says (`ScriptCommand` has the grammar).
struct ScriptedOptions: Equatable {
  /// `script=`: path of a file of commands, read and checked before anything is served.
  var script: String?
  /// `input=`: where more commands come from while the server runs, as for the keyboard.
  var input: String?
}

/// Which virtual device an export serves.
enum VirtualDeviceOptions: Equatable {
  case keyboard(KeyboardOptions)
  case scripted(ScriptedOptions)
  /// `virtual=source-sink`: endpoints of every kind that have data and take data.
  case sourceSink

  var input: String? {
    switch self {
    case .keyboard(let options): options.input
    case .scripted(let options): options.input
    case .sourceSink: nil
    }
  }
}

/// Why a virtual device cannot be made; one line for the user.
enum VirtualDeviceError: Error, CustomStringConvertible {
  case text(KeyboardTextError)
  case input(SystemError)
  case script(path: String, ScriptError)

  var description: String {
    switch self {
    case .text(let error): "text: \(error.description)"
    case .input(let error): error.description
    case .script(let path, let error): "script \(path), \(error.description)"
    }
  }
}

extension VirtualDeviceOptions {
  /// Makes the device; its input is read from now on. `log` outlives it.
  func make(loop: EventLoop, log: Log) throws(VirtualDeviceError) -> VirtualDevice {
    switch self {
    case .keyboard(let options): return try VirtualKeyboard(options, loop: loop, log: log)
    case .scripted(let options): return try ScriptedDevice(options, loop: loop, log: log)
    case .sourceSink: return SourceSink(loop: loop)
    }
  }
}
