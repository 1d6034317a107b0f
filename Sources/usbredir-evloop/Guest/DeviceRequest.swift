// One request that changes the device or asks it something: control, configuration, alternate setting, reset.

final class DeviceRequest: ProbeActivity {
  private let task: ProbeTask
  private let context: ProbeContext
  /// A device that does not answer: its server has a timeout of its own, which is shorter.
  private var timer: Timer?
  private var isOver = false

  init(_ task: ProbeTask, _ context: ProbeContext) {
    self.task = task
    self.context = context
    timer = Timer(context.loop) { [request = Unowned(self)] in request.value.stop("no answer") }
  }

  func start() {
    timer?.start(milliseconds: context.options.timeout * 1000)
    do throws(GuestError) {
      try send()
    } catch {
      end(error.description)
    }
  }

  func stop(_ reason: String) {
    end(label + ": " + reason)
  }

  private func send() throws(GuestError) {
    let session = context.session
    switch task {
    case .control(let setup, let data):
      try session.control(setup, data.span) { status, bytes in
        let bytes = bytes.indices.map { bytes[$0] }
        self.answered(
          "control", status,
          [("length", .number(UInt64(setup.isIn ? bytes.count : data.count))), ("data", .data(bytes))])
      }
    case .configuration(let value):
      try session.setConfiguration(value) { status, inForce in
        self.answered("configuration", status, [("in_force", .number(UInt64(inForce)))])
      }
    case .alternateSetting(let interface, let setting):
      try session.setAlternateSetting(interface, setting) { status, inForce in
        self.answered("alt", status, [("in_force", .number(UInt64(inForce)))])
      }
    case .reset:
      try session.reset()
      // A reset has no answer; this one comes behind it.
      try session.getConfiguration { status, inForce in
        self.answered("reset", status, [("configuration", .number(UInt64(inForce)))])
      }
    case .descriptors, .bulk, .disk, .iso, .latency, .exchange: break
    }
  }

  /// Of what: the setup packet as it was given, the number of a configuration, interface and setting.
  private var subject: String {
    switch task {
    case .control(let setup, _):
      Hex.text(UInt32(setup.requestType), digits: 2) + "," + Hex.text(UInt32(setup.request), digits: 2) + ","
        + Hex.text(UInt32(setup.value), digits: 4) + "," + Hex.text(UInt32(setup.index), digits: 4) + ","
        + Hex.text(UInt32(setup.length), digits: 4)
    case .configuration(let value): String(value)
    case .alternateSetting(let interface, let setting): String(interface) + ":" + String(setting)
    case .reset: "device"
    case .descriptors, .bulk, .disk, .iso, .latency, .exchange: ""
    }
  }

  private var label: String {
    switch task {
    case .control: "control " + subject
    case .configuration: "configuration " + subject
    case .alternateSetting: "alt " + subject
    default: "reset"
    }
  }

  private func answered(_ event: String, _ status: Status, _ fields: [ProbeResult.Field]) {
    guard !isOver else { return }
    context.tell(event, [("request", .text(subject)), ("status", .text(status.description))] + fields)
    end(status == .success ? nil : label + ": " + status.description)
  }

  private func end(_ failure: String?) {
    guard !isOver else { return }
    isOver = true
    timer?.stop()
    context.ended("done", failure)
  }
}
