// One usb-guest: connects, says hello, learns what the device is, and then hands its packets to the workload.
//
//     connecting ──▶ greeting ──hello──▶ waiting ──device_connect──▶ attached ──▶ ended
import CLoad
import Glibc

/// A connection in the usb-guest role.
final class Guest {
  enum State {
    case connecting, greeting, waiting, attached, ended
  }

  let address: Address
  let slot: Int
  private(set) var descriptor: Int32
  private(set) var state = State.connecting
  /// In force once both hellos were said; offered before.
  private(set) var capabilities: Capabilities
  private(set) var endpoints: [Endpoint] = []
  /// At its end: it had a device.
  private(set) var hadDevice = false
  /// When connect(2) was called.
  let born = loadClock()
  /// For the workload: its index of this guest.
  var number = 0

  unowned let engine: Engine
  private let inbox = Inbox()
  private let outbox = Outbox()
  private var isScheduled = false
  private var waitsForWritability = true
  private(set) var isPaused = false
  /// Bytes that one recv(2) may bring.
  var receiveLimit = Int.max
  /// No packet is longer: 128 MiB and 1 KiB, as in the C parser.
  private static let longest = 128 << 20 + 1024

  init(_ engine: Engine, slot: Int, address: Address, descriptor: Int32, _ capabilities: Capabilities) {
    self.engine = engine
    self.slot = slot
    self.address = address
    self.descriptor = descriptor
    self.capabilities = capabilities
  }

  deinit {
    if descriptor >= 0 { close(descriptor) }
  }

  /// The first endpoint of a type and direction.
  func endpoint(_ type: EndpointType, isIn: Bool) -> Endpoint? {
    endpoints.first { $0.type == type.rawValue && ($0.address & 0x80 != 0) == isIn }
  }

  // MARK: the connection's life

  /// Closes in good order, or with a reset. The workload hears nothing of it.
  func leave(withReset: Bool = false) {
    guard state != .ended else { return }
    state = .ended
    if withReset { loadResetOnClose(descriptor) }
    engine.forget(self)
    close(descriptor)
    descriptor = -1
  }

  private func end(_ reason: String) {
    guard state != .ended else { return }
    hadDevice = state == .attached
    leave()
    engine.workload.ended(self, reason, at: loadClock())
  }

  func watch(isNew: Bool = false) {
    let isWatched = engine.watch(
      self, reads: !isPaused && state != .connecting, writes: waitsForWritability, isNew: isNew)
    if !isWatched { end(LoadError.system("epoll_ctl").description) }
  }

  /// Stops to wait for data, or goes on. `receive` may be called meanwhile.
  func pause(_ isPaused: Bool) {
    guard state != .ended, isPaused != self.isPaused else { return }
    self.isPaused = isPaused
    watch()
  }

  /// SO_RCVBUF.
  func setReceiveBuffer(_ bytes: Int) {
    _ = loadSetReceiveBuffer(descriptor, Int32(clamping: bytes))
  }

  func becameWritable() {
    if state == .connecting {
      let error = loadConnectResult(descriptor)
      guard error == 0 else { return end(LoadError.system("connect", error).description) }
      state = .greeting
      let hello = Hello.packet(capabilities)
      outbox.append(hello.count).copyMemory(from: hello, byteCount: hello.count)
    }
    flush()
  }

  // MARK: receiving

  /// One recv(2), and the packets that are whole.
  func receive() {
    guard state != .ended, state != .connecting else { return }
    let count = inbox.receive(from: descriptor, atMost: receiveLimit)
    let now = loadClock()
    engine.receives += 1
    if count == 0 { return end("the usb-host closed the connection") }
    guard count > 0 else {
      let code = loadErrno()
      if code != EAGAIN && code != EINTR { end(LoadError.system("receive", code).description) }
      return
    }
    takePackets(at: now)
  }

  private func takePackets(at now: UInt64) {
    var missing = 0
    while state != .ended {
      let headerSize = state == .greeting ? 12 : capabilities.headerSize
      guard inbox.count >= headerSize else { break }
      let bytes = inbox.bytes
      let length = Int(bytes.u32(4))
      guard length <= Guest.longest else { return end("a packet of \(length) bytes") }
      guard inbox.count >= headerSize + length else {
        missing = headerSize + length
        break
      }
      let id = headerSize == 16 ? bytes.u64(8) : UInt64(bytes.u32(8))
      inbox.take(headerSize + length)
      take(bytes.u32(0), id, bytes + headerSize, length, at: now)
    }
    inbox.makeRoom(for: missing)
  }

  private func take(_ type: UInt32, _ id: UInt64, _ body: UnsafeRawPointer, _ count: Int, at now: UInt64) {
    switch (type, state) {
    case (PacketType.interrupt, .attached):
      guard let packet = InterruptPacket(id: id, body: body, count: count) else {
        return end("a short packet")
      }
      engine.workload.interrupt(self, packet, at: now)
    case (PacketType.bulk, .attached):
      guard let packet = BulkPacket(id: id, body: body, count: count, capabilities) else {
        return end("a short packet")
      }
      engine.workload.bulk(self, packet, at: now)
    case (PacketType.interruptReceivingStatus, .attached):
      guard count >= 2 else { return end("a short packet") }
      engine.workload.receivingStatus(self, endpoint: body.u8(1), status: body.u8(0), at: now)
    case (PacketType.hello, .greeting):
      guard let theirs = Hello.capabilities(in: body, count: count) else {
        return end("a hello that is none")
      }
      capabilities.formIntersection(theirs)
      state = .waiting
    case (PacketType.endpointInfo, .waiting), (PacketType.endpointInfo, .attached):
      guard let list = usb_guests.endpoints(in: body, count: count, capabilities) else {
        return end("an ep_info of \(count) bytes")
      }
      endpoints = list
    case (PacketType.interfaceInfo, .waiting), (PacketType.interfaceInfo, .attached): break
    case (PacketType.deviceConnect, .waiting):
      state = .attached
      engine.workload.deviceConnected(self, at: now)
    case (PacketType.deviceDisconnect, _): end("the device is gone")
    default: end("packet type \(type) is not expected while \(state)")
    }
  }

  // MARK: sending

  /// Bytes that are no packet, in the next write.
  func queueRaw(_ bytes: [UInt8]) {
    guard state != .ended else { return }
    outbox.append(bytes.count).copyMemory(from: bytes, byteCount: bytes.count)
    scheduleFlush()
  }

  /// A packet, in the next write: its type header is to be filled by `fill`, its data as well.
  @inline(__always)
  func queue(_ type: UInt32, id: UInt64, _ length: Int, _ fill: (UnsafeMutableRawPointer) -> Void) {
    guard state != .ended else { return }
    let size = capabilities.headerSize
    let memory = outbox.append(size + length)
    memory.put(type, 0)
    memory.put(UInt32(length), 4)
    if size == 16 { memory.put(id, 8) } else { memory.put(UInt32(truncatingIfNeeded: id), 8) }
    fill(memory + size)
    scheduleFlush()
  }

  @inline(__always)
  private func scheduleFlush() {
    guard !isScheduled else { return }
    isScheduled = true
    engine.schedule(self)
  }

  func startReceiving(_ endpoint: UInt8) {
    queue(PacketType.startInterruptReceiving, id: 0, 1) { $0.put(endpoint, 0) }
  }

  func stopReceiving(_ endpoint: UInt8) {
    queue(PacketType.stopInterruptReceiving, id: 0, 1) { $0.put(endpoint, 0) }
  }

  /// A report for an OUT endpoint, stamped.
  func sendReport(_ endpoint: UInt8, id: UInt64, length: Int, _ stamp: Stamp) {
    queue(PacketType.interrupt, id: id, InterruptPacket.headerSize + length) { body in
      body.put(endpoint, 0)
      body.put(UInt8(0), 1)
      body.put(UInt16(length), 2)
      Guest.fill(body + InterruptPacket.headerSize, length, stamp)
    }
  }

  /// A bulk request: for an IN endpoint without data, for an OUT endpoint with stamped data.
  func requestBulk(_ endpoint: UInt8, id: UInt64, length: Int, _ stamp: Stamp) {
    let header = capabilities.bulkHeaderSize
    let data = endpoint & 0x80 != 0 ? 0 : length
    queue(PacketType.bulk, id: id, header + data) { body in
      body.put(endpoint, 0)
      body.put(UInt8(0), 1)
      body.put(UInt16(truncatingIfNeeded: length), 2)
      body.put(UInt32(0), 4)
      if header == 10 { body.put(UInt16(truncatingIfNeeded: length >> 16), 8) }
      Guest.fill(body + header, data, stamp)
    }
  }

  private static func fill(_ memory: UnsafeMutableRawPointer, _ length: Int, _ stamp: Stamp) {
    let data = UnsafeMutableRawBufferPointer(start: memory, count: length)
    data.initializeMemory(as: UInt8.self, repeating: 0)
    stamp.write(to: data)
  }

  /// Writes what was queued; what the kernel refuses waits for writability.
  func flush() {
    isScheduled = false
    guard state != .ended, state != .connecting else { return }
    if !outbox.isEmpty {
      engine.sends += 1
      guard outbox.send(to: descriptor) else { return end(LoadError.system("send").description) }
    }
    if waitsForWritability == outbox.isEmpty {
      waitsForWritability = !outbox.isEmpty
      watch()
    }
  }
}
