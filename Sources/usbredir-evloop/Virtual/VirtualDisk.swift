// A USB stick, or a CD in its drive, that lives in the process: the Bulk-Only Transport's three phases around the
// logical unit (`SCSIUnit`) and the blocks' way to and from the image (`DiskQueue`).
//
//                 ┌──────────────────────────── CSW taken ──────────────────────────────┐
//                 ▼                                                                      │
//     ready ── CBW ──▶ sending ─── all sent ──▶ working ── nothing left to do ──▶ status ┘
//       │         ├──▶ receiving ─ all taken ─────▲  ▲                             ▲
//       │         ├── no data phase ─────────────────┘                             │
//       │         └── phase error: nothing is carried out ─────────────────────────┘
//       └── no valid CBW ──▶ refusing: both pipes stall ── Bulk-Only Reset, bus reset ──▶ ready

/// A mass storage device, BOT 1.0. Loop thread only.
final class VirtualDisk: VirtualDevice, DiskQueueOwner {
  private enum Phase {
    case ready
    case sending
    case receiving
    case working
    case status
    case refusing
  }

  /// Failures of the image that are told during one guest's stay: it can bring them about as it likes.
  private static let maxComplaints = 100

  private let log: Log
  private let name: String
  private let queue: DiskQueue
  private var unit: SCSIUnit
  private var phase = Phase.ready
  private var csw = StatusWrapper()
  private var data = DataPhase()
  /// What is sent comes from the unit and not from the image: so much of it is on its way.
  private var sentResponse: Int?
  /// The command is done only when what it wrote is on the medium.
  private var wantsSync = false
  private var complaints = 0
  private var isClosing = false

  /// Opens the image, or throws why it cannot be served.
  static func make(
    _ options: DiskOptions, loop: EventLoop, log: Log
  ) throws(VirtualDeviceError) -> VirtualDisk {
    do throws(SystemError) {
      let isReadOnly = options.isReadOnly || options.isCD
      let image = try DiskImage(path: options.image, isReadOnly: isReadOnly)
      var geometry = DiskGeometry(
        blocks: 0, isCD: options.isCD, isReadOnly: isReadOnly,
        serial: options.serial ?? serial(madeFrom: options.image))
      let size = UInt64(geometry.blockSize)
      geometry.blocks = image.size / size
      let name = "image " + options.image
      guard geometry.blocks > 0 else {
        throw SystemError(
          code: 0, name, reason: "has \(image.size) bytes, which is less than a block of \(size)")
      }
      if image.size % size > 0 {
        log.warning("\(name): its last \(image.size % size) bytes are no whole block and are left out")
      }
      return try VirtualDisk(image, geometry, name: name, loop: loop, log: log)
    } catch {
      throw .disk(error)
    }
  }

  /// - Parameter name: what the log calls the store.
  init(
    _ store: any BackingStore, _ geometry: DiskGeometry, name: String, loop: EventLoop, log: Log
  ) throws(SystemError) {
    self.log = log
    self.name = name
    unit = SCSIUnit(geometry)
    queue = try DiskQueue(store, loop: loop)
    super.init(.disk(geometry), loop: loop)
    unsafe queue.owner = self
  }

  var geometry: DiskGeometry { unit.geometry }
  /// The worker has something to do.
  var isWorking: Bool { queue.out > 0 }

  // MARK: command

  private func begin(_ transfer: VirtualTransfer) -> TransferStatus {
    guard let wrapper = transfer.withData({ CommandWrapper($0) }) else { return refuse() }
    let action = unit.execute(wrapper.command)
    data = DataPhase(wrapper, action)
    csw = StatusWrapper(
      tag: wrapper.tag, residue: wrapper.length, status: action == .failed ? .failed : .passed)
    wantsSync = false
    sentResponse = nil
    if data.isPhaseError {
      csw.status = .phaseError
      phase = .status
      halt(data.host)
    } else {
      start(action)
      enterDataPhase()
    }
    return transfer.take()
  }

  private func start(_ action: SCSIAction) {
    switch action {
    case .done, .failed: queue.giveUp()
    case .respond:
      queue.giveUp()
      sentResponse = 0
    case .read(let range): queue.read(range)
    case .verify(let range): queue.read(range, discarding: true)
    case .write(let range, let sync):
      queue.write(range)
      wantsSync = sync
    case .synchronize:
      queue.giveUp()
      wantsSync = true
    }
  }

  private func enterDataPhase() {
    switch data.host {
    case .fromDevice where data.useful > 0: phase = .sending
    case .toDevice: phase = .receiving
    case .fromDevice, .none: endData()
    }
  }

  /// Not a CBW (6.6.1): only a reset recovery helps.
  private func refuse() -> TransferStatus {
    phase = .refusing
    queue.giveUp()
    halt(.fromDevice)
    halt(.toDevice)
    return .stalled
  }

  private func halt(_ direction: DataPhase.Direction) {
    switch direction {
    case .fromDevice: endpoint(VirtualDisk.bulkIn)?.isHalted = true
    case .toDevice: endpoint(VirtualDisk.bulkOut)?.isHalted = true
    case .none: break
    }
  }

  // MARK: data

  /// A transfer ends when it is full, or with what there is: its last packet is then a short one.
  private func send(_ transfer: VirtualTransfer) -> TransferStatus? {
    while transfer.progress < transfer.length, data.useful > 0, queue.fault == nil {
      let room = Int(min(UInt32(clamping: transfer.length - transfer.progress), data.useful))
      let count = fill(transfer, room)
      transfer.progress += count
      transfer.buffer?.setPayload(count: transfer.progress)
      data.useful -= UInt32(count)
      data.left -= UInt32(count)
      if count == 0 && queue.fault == nil { return nil }
    }
    csw.residue = data.left
    transfer.actualLength = transfer.progress
    if data.useful == 0 || queue.fault != nil { endData() }
    return transfer.progress == 0 && transfer.length > 0 ? .stalled : .completed
  }

  /// Copies what can be had at the moment.
  private func fill(_ transfer: VirtualTransfer, _ room: Int) -> Int {
    guard let memory = unsafe transfer.buffer?.payloadPointer else { return 0 }
    let place = unsafe memory + transfer.progress
    guard let sent = sentResponse else { return unsafe queue.take(into: place, room) }
    let response = unit.response.bytes
    unsafe response.span.withUnsafeBytes { bytes in
      guard let first = bytes.baseAddress else { return }
      unsafe place.copyMemory(from: first + sent, byteCount: room)
    }
    sentResponse = sent + room
    return room
  }

  /// What is not used is taken all the same, as 6.7.3 recommends.
  private func receive(_ transfer: VirtualTransfer) -> TransferStatus? {
    // Behind the last byte of the data only a CBW may come.
    guard transfer.length - transfer.progress <= data.left else { return refuse() }
    while transfer.progress < transfer.length {
      let rest = transfer.length - transfer.progress
      let count =
        data.useful > 0 && queue.fault == nil ? store(transfer, min(rest, Int(clamping: data.useful))) : rest
      guard count > 0 else { return nil }
      transfer.progress += count
      data.useful -= min(data.useful, UInt32(count))
      data.left -= UInt32(count)
    }
    // A short packet is the last one: the host changed its mind.
    if data.left == 0 || transfer.length % Int(VirtualDisk.packetSize) != 0 || transfer.length == 0 {
      queue.endWriting(blockSize: Int(geometry.blockSize))
      endData()
    }
    return transfer.take()
  }

  private func store(_ transfer: VirtualTransfer, _ count: Int) -> Int {
    guard let memory = unsafe transfer.buffer?.payloadPointer else { return 0 }
    return unsafe queue.put(memory + transfer.progress, count)
  }

  private func endData() {
    // 6.7.2: less than the host expects ends with a stall.
    if data.host == .fromDevice && data.left > 0 { halt(.fromDevice) }
    phase = .working
    work()
  }

  // MARK: status

  func diskQueueMoved() {
    if phase == .working { work() }
    if isClosing { finishWriting() }
    serveSoon()
  }

  /// On to the status as soon as nothing is left to do.
  private func work() {
    guard queue.isIdle else { return }
    if wantsSync && queue.fault == nil {
      wantsSync = false
      return queue.synchronize()
    }
    if data.host == .toDevice { csw.residue -= UInt32(clamping: queue.written) }
    if let fault = queue.fault { failed(fault) }
    phase = .status
  }

  private func failed(_ fault: DiskQueue.Fault) {
    let block = fault.offset / UInt64(geometry.blockSize)
    csw.status = .failed
    switch fault.kind {
    case .read: unit.fail(.unrecoveredRead(block))
    case .write: unit.fail(.writeError(block))
    case .synchronize: unit.fail(.writeError(nil))
    }
    complain(fault)
  }

  private func complain(_ fault: DiskQueue.Fault) {
    complaints += 1
    guard complaints <= VirtualDisk.maxComplaints else { return }
    let operation: String
    switch fault.kind {
    case .read: operation = "read at \(fault.offset)"
    case .write: operation = "write at \(fault.offset)"
    case .synchronize: operation = "fdatasync"
    }
    log.error("\(name): \(SystemError(code: fault.error, operation).description)")
    if complaints == VirtualDisk.maxComplaints { log.error("\(name): no more of this for this guest") }
  }

  private func sendStatus(_ transfer: VirtualTransfer) -> TransferStatus {
    // Babble: the status stays to be fetched.
    guard transfer.length >= StatusWrapper.size else { return .overflow }
    transfer.buffer?.fill(StatusWrapper.size) { csw.encode(into: &$0) }
    transfer.actualLength = StatusWrapper.size
    phase = .ready
    // The next command may be there already, and its pipe has had its turn.
    if isPolled(VirtualDisk.bulkOut) { serveSoon() }
    return .completed
  }

  // MARK: VirtualDevice

  override func isReady(_ endpoint: EndpointAddress) -> Bool { true }

  override func answer(_ transfer: VirtualTransfer) -> TransferStatus? {
    switch (phase, transfer.endpoint.isIn) {
    case (.refusing, _): return .stalled
    case (.ready, false): return begin(transfer)
    case (.receiving, false): return receive(transfer)
    case (.sending, true): return send(transfer)
    case (.status, true): return sendStatus(transfer)
    default: return nil
    }
  }

  override func answerControl(_ transfer: Transfer) -> TransferStatus {
    let setup = transfer.setup
    guard setup.index == 0, setup.value == 0, model.configuration != 0 else {
      return super.answerControl(transfer)
    }
    switch (setup.requestType, setup.request) {
    case (0xa1, BulkOnly.getMaxLUN): return transfer.give([0])
    case (0x21, BulkOnly.reset):
      // 3.1: the pipes stay halted until the host clears them.
      startAfresh()
      return transfer.take()
    default: return super.answerControl(transfer)
    }
  }

  override func wasConfigured() {
    startAfresh()
  }

  override func wasReset() {
    startAfresh()
    unit.reset()
  }

  private func startAfresh() {
    phase = .ready
    queue.giveUp()
  }

  // MARK: the end of a guest

  override var holdsClosing: Bool { isClosing }

  override func close(_ closed: @escaping () -> Void) {
    isClosing = true
    startAfresh()
    super.close(closed)
    finishWriting()
  }

  /// What the guest wrote is on the medium before it is told that the device is closed.
  private func finishWriting() {
    guard !isWorking else { return }
    if let fault = queue.fault { complain(fault) }
    if queue.isDirty && queue.fault == nil { return queue.synchronize() }
    queue.giveUp()
    complaints = 0
    isClosing = false
    serveSoon()
  }
}

extension DataPhase {
  /// What the command wants of the transport.
  init(_ wrapper: CommandWrapper, _ action: SCSIAction) {
    switch action {
    case .done, .failed, .verify, .synchronize: self.init(wrapper, device: .none, amount: 0)
    case .respond(let count): self.init(wrapper, device: .fromDevice, amount: UInt64(count))
    case .read(let range): self.init(wrapper, device: .fromDevice, amount: range.count)
    case .write(let range, _): self.init(wrapper, device: .toDevice, amount: range.count)
    }
  }
}

extension VirtualDisk {
  static let bulkIn = EndpointAddress(rawValue: 0x81)
  static let bulkOut = EndpointAddress(rawValue: 0x02)
  /// wMaxPacketSize of a high-speed bulk endpoint. USB 2.0, 5.8.3.
  static let packetSize: UInt16 = 512

  /// Sixteen digits that stay the same for a path and differ between paths (FNV-1a).
  static func serial(madeFrom path: String) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in path.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    return Hex.text(UInt32(hash >> 32), digits: 8, uppercase: true)
      + Hex.text(UInt32(truncatingIfNeeded: hash), digits: 8, uppercase: true)
  }
}

extension DeviceDescription {
  /// Mass storage (8), SCSI transparent command set (6), Bulk-Only (50h). BOT 4.3. 1209:0008 is one of those that
  /// pid.codes keeps for tests.
  static func disk(_ geometry: DiskGeometry) -> DeviceDescription {
    let endpoints = [VirtualDisk.bulkIn, VirtualDisk.bulkOut].map {
      EndpointModel(address: $0, type: .bulk, rawMaxPacketSize: VirtualDisk.packetSize, interval: 0)
    }
    let setting = AlternateSetting(number: 0, classCode: 8, subclass: 6, protocol: 0x50, endpoints: endpoints)
    return DeviceDescription(
      speed: .high, usbVersion: 0x0200, vendor: 0x1209, product: 0x0008,
      manufacturerName: "usbredir-evloop", productName: geometry.isCD ? "Virtual CD-ROM" : "Virtual Disk",
      serialNumber: geometry.serial,
      configurations: [
        ConfigurationDescription(
          value: 1, attributes: ConfigurationDescription.selfPowered,
          interfaces: [InterfaceDescription(number: 0, settings: [SettingDescription(setting: setting)])])
      ])
  }
}
