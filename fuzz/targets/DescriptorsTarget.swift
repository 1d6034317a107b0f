// Descriptors of a hostile device: what the server makes of them and announces, and what a probe shows of them.

func fuzzDescriptors(_ input: FuzzInput) {
  var input = input
  let speeds: [Speed] = [.low, .full, .high, .super, .unknown]
  let speed = input.choose(speeds)
  let configuration = input.byte()
  let split = Int(input.byte())
  let bytes = input.rest()
  let model = DescriptorParser.model(descriptors: bytes.span, configuration: configuration, speed: speed)
  verify(model)
  // A device may stop anywhere.
  for count in 0..<min(bytes.count, 256) {
    let part = bytes.span.extracting(0..<count)
    _ = DescriptorParser.model(descriptors: part, configuration: configuration, speed: speed)
  }
  let head = Array(bytes.prefix(split))
  let tail = Array(bytes.dropFirst(split))
  verify(DescriptorParser.model(deviceDescriptor: head.span, configuration: tail.span, speed: speed))
  show(bytes)
  announce(model)
}

private func verify(_ model: DeviceModel) {
  let table = EndpointTable(model)
  var used: UInt32 = 0
  for interface in model.interfaces {
    let slots = table.slots(ofInterface: interface.number)
    check(slots & used == 0, "an endpoint of two interfaces")
    used |= slots
    let settings = interface.alternateSettings.map { $0.number }
    check(Set(settings).count == settings.count, "a setting twice")
    check(interface.currentSetting != nil, "no setting in force")
  }
  check(used & ~EndpointTable.allButControl == 0, "endpoint 0 of an interface")
  for slot in table.slots where slot.type == .interrupt || slot.type == .isochronous {
    check(slot.interval > 0, "a guest refuses interval 0")
  }
}

/// As `probe --descriptors` shows them.
private func show(_ bytes: [UInt8]) {
  for descriptor in Descriptor.all(bytes) {
    let event = ProbeEvent.result(descriptor.result(depth: descriptor.depth ?? 1))
    check(!ProbeText.lines(event).isEmpty && !ProbeJSON.line(event).isEmpty, "a descriptor without a line")
  }
  _ = (
    firstLanguage(bytes.span), stringDescriptorText(bytes.span), StringIndices(deviceDescriptor: bytes.span)
  )
}

/// A guest with every capability, and one with none, get to know the device.
private func announce(_ model: DeviceModel) {
  for flags: [UInt8] in [[0], [1, 0]] {
    let turns = FuzzLoop()
    var input = FuzzInput(flags)
    let rig = SessionRig(turns, DescribedDevice(model, turns.loop), endpoints: [0x81], &input)
    turns.settle()
    rig.turn()
    rig.finish()
  }
}

/// A device that is nothing but a model.
private final class DescribedDevice: Device {
  let model: DeviceModel
  let label = "described"
  private unowned(unsafe) var user: (any DeviceOwner)?
  private var work: Work?
  private var closed: (() -> Void)?

  init(_ model: DeviceModel, _ loop: EventLoop) {
    self.model = model
    work = Work(on: loop.reaps) { [device = Unowned(self)] in device.value.finish() }
  }

  deinit {
    work?.cancel()
  }

  var owner: (any DeviceOwner)? {
    get { unsafe user }
    set { unsafe user = newValue }
  }

  func makeTransfer(isoPackets: Int) -> Transfer { Transfer(isoPackets: isoPackets) }
  func submit(_ transfer: Transfer) { check(false, "nobody asked for a transfer") }
  func cancel(_ transfer: Transfer) {}
  func perform(_ call: DeviceCall) { check(false, "nobody asked for a call") }

  func close(_ closed: @escaping () -> Void) {
    owner = nil
    self.closed = closed
    work?.schedule()
  }

  private func finish() {
    let closed = closed
    self.closed = nil
    closed?()
  }
}
