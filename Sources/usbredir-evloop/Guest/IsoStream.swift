// An isochronous stream as a guest's driver would run it. IN: counts what comes, what is missing and how evenly it
// arrives. OUT: sends packets at the endpoint's pace, from a source or silence.

final class IsoStream: ProbeActivity {
  /// Microseconds of one URB and of all together: a balance of wake-ups and delay, and enough for a busy machine.
  private static let urbTime: UInt64 = 10_000
  private static let bufferTime: UInt64 = 60_000
  /// Milliseconds between two looks at what is to be sent.
  private static let tick: UInt32 = 4

  private let address: EndpointAddress
  private let seconds: UInt32?
  private let context: ProbeContext
  private var reader: DescriptorReader?
  private var end: Timer?
  private var pace: Timer?
  private var throughput = Throughput()
  private var statuses = [UInt64](repeating: 0, count: Int(Status.babble.rawValue) + 1)
  private var nextID: UInt64 = 0
  private var lost: UInt64 = 0
  private var arrivals = Histogram()
  private var lastArrival: UInt64 = 0
  /// Microseconds of a packet, and packets that the usb-host buffers.
  private var interval: UInt64 = 1000
  private var buffered: UInt64 = 0
  /// Why it is being stopped, when that is a failure.
  private var failure: String?
  private var isStarted = false
  private var isOver = false

  init(_ address: EndpointAddress, seconds: UInt32?, _ context: ProbeContext) {
    self.address = address
    self.seconds = seconds
    self.context = context
    end = Timer(context.loop) { [stream = Unowned(self)] in stream.value.context.stop("the time is over") }
    pace = Timer(context.loop) { [stream = Unowned(self)] in stream.value.sendDue() }
  }

  func start() {
    if context.session.device?[address]?.type == .isochronous { return begin() }
    reader = DescriptorReader(context.session) { [stream = Unowned(self)] in stream.value.select() }
    reader?.start()
  }

  /// The endpoint is in no setting that is in force: the first that has it is.
  private func select() {
    guard !isOver, let reader else { return }
    for configuration in reader.configurations {
      var interface: UInt8 = 0
      var setting: UInt8 = 0
      for descriptor in Descriptor.all(configuration) {
        let bytes = descriptor.bytes
        if descriptor.type == 4, bytes.count >= 9 { (interface, setting) = (bytes[2], bytes[3]) }
        // A setting without bandwidth has packets of no size.
        if descriptor.type == 5, bytes.count >= 7, bytes[2] == address.rawValue, bytes[3] & 3 == 1,
          bytes[4] != 0 || bytes[5] & 7 != 0
        {
          return select(interface, setting)
        }
      }
    }
    finish("no setting of the device has such an endpoint")
  }

  private func select(_ interface: UInt8, _ setting: UInt8) {
    do throws(GuestError) {
      try context.session.setAlternateSetting(interface, setting) { status, inForce in
        var result = ProbeResult("alt", "request", String(interface) + ":" + String(setting))
        result.add("status", text: status.description)
        result.add("in_force", UInt64(inForce))
        self.context.tell(.result(result))
        guard !self.isOver else { return }
        if status == .success { self.begin() } else { self.finish("set_alt_setting: " + status.description) }
      }
    } catch {
      finish(error.description)
    }
  }

  private func begin() {
    guard let device = context.session.device, let endpoint = device[address] else {
      return finish("the device has no such endpoint")
    }
    interval = pollInterval(endpoint.type, endpoint.interval, device.speed) ?? 1000
    let packets = max(1, min(32, IsoStream.urbTime / interval))
    let urbs = max(2, min(16, (IsoStream.bufferTime + interval * packets - 1) / (interval * packets)))
    buffered = packets * urbs
    do throws(GuestError) {
      try context.session.startIsoStream(address, packetsPerURB: Int(packets), urbs: Int(urbs))
    } catch {
      finish(error.description)
    }
  }

  func changed(_ change: ReceivingChange, on endpoint: EndpointAddress) {
    switch change {
    case .started:
      isStarted = true
      throughput.begin = monotonicNanoseconds()
      if let seconds { end?.start(milliseconds: seconds * 1000) }
      if !address.isIn { sendDue() }
    case .stopped: finish(nil)
    case .ended(let status):
      finish((isStarted ? "the stream ended: " : "start_iso_stream: ") + status.description)
    }
  }

  func stop(_ reason: String) {
    guard !isOver, context.session.receiving.isOn(address) else { return finish(nil) }
    pace?.stop()
    do throws(GuestError) {
      try context.session.stopIsoStream(address)
    } catch {
      finish(error.description)
    }
  }

  func cut(_ reason: String) -> String? {
    tell()
    return "iso " + address.description + ": " + reason
  }

  // MARK: IN

  func received(_ data: Span<UInt8>, from endpoint: EndpointAddress, _ status: Status, sequence: UInt64) {
    let now = context.session.receivedAt
    throughput.add(data.count, at: now)
    statuses[Int(status.rawValue)] += 1
    if status != .success { throughput.errors += 1 }
    // A stream that recovered from a stall begins at 0 again.
    if sequence > nextID { lost &+= sequence - nextID }
    nextID = sequence &+ 1
    // Packets that came together are one arrival.
    if lastArrival > 0, now > lastArrival { arrivals.add(now - lastArrival) }
    lastArrival = now
    context.sink?.write(data)
    guard failure == nil, let error = context.sink?.failure else { return }
    failure = error.description
    context.stop(error.description)
  }

  // MARK: OUT

  /// Keeps three quarters of the usb-host's buffer filled: half lets it start, all of it overruns.
  private func sendDue() {
    guard !isOver, let size = context.session.device?[address]?.maxPacketSize else { return }
    let now = monotonicNanoseconds()
    let due = (now - throughput.begin) / 1000 / interval + buffered * 3 / 4
    // A usb-host that does not read, or a pause of this program: what is over is not sent any more.
    if context.session.isBehind { skip(to: due) }
    if due > nextID + buffered { skip(to: due - buffered) }
    while nextID < due {
      let buffer = context.session.buffers.take(Int(size))
      guard fill(buffer, Int(size)) else {
        buffer.release()
        break
      }
      throughput.add(buffer.count, at: now)
      context.session.isoOut(address, buffer, sequence: nextID)
      nextID += 1
    }
    if context.source?.hasEnded == true { return context.stop("the input is over") }
    pace?.start(milliseconds: IsoStream.tick)
  }

  private func skip(to id: UInt64) {
    guard id > nextID else { return }
    lost += id - nextID
    nextID = id
  }

  private func fill(_ buffer: PacketBuffer, _ size: Int) -> Bool {
    guard let source = context.source else {
      buffer.fill(size) { span in for offset in 0..<size { span.put(UInt8(0), at: offset) } }
      return true
    }
    guard case .bytes = source.fill(buffer, length: size) else { return false }
    return true
  }

  // MARK: the end

  private func finish(_ reason: String?) {
    guard !isOver else { return }
    let failure = failure ?? reason
    if throughput.begin > 0 { tell() }
    isOver = true
    context.ended("done", failure.map { "iso " + address.description + ": " + $0 })
  }

  private func tell() {
    guard !isOver else { return }
    isOver = true
    end?.stop()
    pace?.stop()
    var result = ProbeResult("iso", "endpoint", address.description)
    throughput.add(to: &result, "packets")
    if address.isIn || lost > 0 { result.add("lost", lost) }
    for number in 1..<statuses.count where statuses[number] > 0 {
      result.add(Status(wire: UInt8(number)).description, statuses[number])
    }
    if arrivals.count > 0 { arrivals.add(to: &result, "arrival_") }
    context.tell(.result(result))
  }
}
