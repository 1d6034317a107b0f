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
    timer = Timer(context.loop) { [request = Unowned(self)] in request.value.timePassed() }
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
    end(reason)
  }

  private func timePassed() {
    end("no answer within " + String(context.options.timeout) + " s")
  }

  private func send() throws(GuestError) {
    let session = context.session
    switch task {
    case .control(let setup, let data):
      try session.control(setup, data.span) { status, bytes in
        let count = setup.isIn ? bytes.count : data.count
        self.answered("length", UInt64(count), status, setup.isIn ? bytes.indices.map { bytes[$0] } : nil)
      }
    case .configuration(let value):
      try session.setConfiguration(value) { status, inForce in
        self.answered("in_force", UInt64(inForce), status)
      }
    case .alternateSetting(let interface, let setting):
      try session.setAlternateSetting(interface, setting) { status, inForce in
        self.answered("in_force", UInt64(inForce), status)
      }
    case .reset:
      try session.reset()
      // A reset has no answer; this one comes behind it.
      try session.getConfiguration { status, inForce in
        self.answered("configuration", UInt64(inForce), status)
      }
    case .descriptors, .bulk, .disk, .iso, .latency, .exchange: break
    }
  }

  /// What is asked for, and of what: the setup packet as it was given, a configuration, interface and setting.
  private var name: (event: String, subject: String) {
    switch task {
    case .control(let setup, _):
      var text = ""
      for (index, number) in [
        UInt16(setup.requestType), UInt16(setup.request), setup.value, setup.index, setup.length,
      ].enumerated() {
        text += (index == 0 ? "" : ",") + Hex.text(UInt32(number), digits: index < 2 ? 2 : 4)
      }
      return ("control", text)
    case .configuration(let value): return ("configuration", String(value))
    case .alternateSetting(let interface, let setting):
      return ("alt", String(interface) + ":" + String(setting))
    case .reset, .descriptors, .bulk, .disk, .iso, .latency, .exchange: return ("reset", "device")
    }
  }

  private func answered(_ key: String, _ value: UInt64, _ status: Status, _ data: [UInt8]? = nil) {
    guard !isOver else { return }
    let (event, subject) = name
    var result = ProbeResult(event, "request", subject)
    result.add("status", text: status.description)
    result.add(key, value)
    if let data { result.add("data", .data(data)) }
    context.tell(.result(result))
    end(status == .success ? nil : status.description)
  }

  private func end(_ failure: String?) {
    guard !isOver else { return }
    isOver = true
    timer?.stop()
    let (event, subject) = name
    context.ended("done", failure.map { event + " " + subject + ": " + $0 })
  }
}
