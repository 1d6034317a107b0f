// One guest of the fake usb-host: hello, a device with an interrupt and a bulk endpoint pair, and an answer
// to whatever comes.
import CLoad
import Glibc

/// Serves one connection. Its own thread.
final class FakeHostSession {
  static let interruptIn: UInt8 = 0x81
  static let interruptOut: UInt8 = 0x01
  static let bulkIn: UInt8 = 0x82
  static let bulkOut: UInt8 = 0x02

  private let descriptor: Int32
  private let plan: FakeHostPlan
  private var capabilities: Capabilities
  private var output: [UInt8] = []
  private var bulkAnswers: UInt64 = 0
  private var isOver = false

  init(_ descriptor: Int32, _ plan: FakeHostPlan) {
    self.descriptor = descriptor
    self.plan = plan
    capabilities = Capabilities(rawValue: plan.capabilities)
  }

  func run() {
    loadNoDelay(descriptor)
    output = Hello.packet(capabilities)
    flush()
    greet()
    var left = plan.hangsUpAfter
    while !isOver && left > 0 {
      guard let header = read(capabilities.headerSize) else { break }
      let (type, length) = header.withUnsafeBytes { ($0.u32(0), Int($0.u32(4))) }
      let id = header.withUnsafeBytes { capabilities.contains(.ids64) ? $0.u64(8) : UInt64($0.u32(8)) }
      guard let body = read(length) else { break }
      answer(type, id, body)
      flush()
      left -= 1
    }
  }

  private func greet() {
    guard let header = read(12), let body = read(Int(header.withUnsafeBytes { $0.u32(4) })) else {
      isOver = true
      return
    }
    let theirs = body.withUnsafeBytes { bytes in
      bytes.baseAddress.flatMap { Hello.capabilities(in: $0, count: bytes.count) }
    }
    capabilities.formIntersection(theirs ?? [])
    announce()
    flush()
  }

  private func announce() {
    var types = [UInt8](repeating: 255, count: 32)
    for (address, type) in [
      (FakeHostSession.interruptIn, EndpointType.interrupt), (FakeHostSession.interruptOut, .interrupt),
      (FakeHostSession.bulkIn, .bulk), (FakeHostSession.bulkOut, .bulk),
    ] {
      types[Int(address & 15) + (address & 0x80 != 0 ? 16 : 0)] = type.rawValue
    }
    types[0] = 0
    types[16] = 0
    var info = types + [UInt8](repeating: 1, count: 32) + [UInt8](repeating: 0, count: 32)
    if capabilities.contains(.endpointInfoMaxPacketSize) {
      for _ in 0..<32 { info += bytes(of: UInt16(64)) }
    }
    packet(PacketType.endpointInfo, 0, info)
    packet(PacketType.interfaceInfo, 0, bytes(of: UInt32(0)) + [UInt8](repeating: 0, count: 32 * 4))
    packet(
      PacketType.deviceConnect, 0,
      [UInt8](repeating: 2, count: capabilities.contains(.connectDeviceVersion) ? 10 : 8))
  }

  private func answer(_ type: UInt32, _ id: UInt64, _ body: [UInt8]) {
    switch type {
    case PacketType.startInterruptReceiving:
      packet(PacketType.interruptReceivingStatus, id, [plan.startStatus, body[0]])
      if plan.startStatus == Status.success { sendReports(body[0]) }
    case PacketType.stopInterruptReceiving:
      packet(PacketType.interruptReceivingStatus, id, [Status.success, body[0]])
    case PacketType.interrupt: packet(type, id, [body[0], plan.answerStatus, body[2], body[3]])
    case PacketType.bulk: answerBulk(id, body)
    default: isOver = true
    }
  }

  private func answerBulk(_ id: UInt64, _ body: [UInt8]) {
    let isIn = body[0] & 0x80 != 0
    let headerSize = capabilities.bulkHeaderSize
    var length = body.withUnsafeBytes { bytes in
      Int(bytes.u16(2)) | (headerSize == 10 ? Int(bytes.u16(8)) << 16 : 0)
    }
    if isIn { length -= plan.shortBy }
    var header =
      [body[0], plan.answerStatus] + bytes(of: UInt16(truncatingIfNeeded: length)) + bytes(of: UInt32(0))
    if headerSize == 10 { header += bytes(of: UInt16(length >> 16)) }
    let stamp = isIn ? stamped(bulkAnswers, length) : []
    if isIn { bulkAnswers += 1 }
    packet(PacketType.bulk, id, header + stamp)
  }

  private func sendReports(_ endpoint: UInt8) {
    var inBatch = 0
    for (id, number) in plan.reports.enumerated() {
      packet(
        PacketType.interrupt, UInt64(id),
        [endpoint, Status.success] + bytes(of: UInt16(plan.reportSize)) + stamped(number, plan.reportSize))
      inBatch += 1
      if inBatch == plan.batch {
        inBatch = 0
        flush()
      }
    }
  }

  private func stamped(_ sequence: UInt64, _ length: Int) -> [UInt8] {
    var data = [UInt8](repeating: 0, count: length)
    data.withUnsafeMutableBytes { Stamp(sequence: sequence, time: monotonic()).write(to: $0) }
    return data
  }

  // MARK: bytes

  private func packet(_ type: UInt32, _ id: UInt64, _ body: [UInt8]) {
    output += bytes(of: type) + bytes(of: UInt32(body.count))
    output += capabilities.contains(.ids64) ? bytes(of: id) : bytes(of: UInt32(truncatingIfNeeded: id))
    output += body
  }

  private func flush() {
    var sent = 0
    while sent < output.count && !isOver {
      let count = output.withUnsafeBytes {
        send(descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count <= 0 { isOver = true } else { sent += count }
    }
    output.removeAll(keepingCapacity: true)
  }

  private func read(_ count: Int) -> [UInt8]? {
    var data = [UInt8](repeating: 0, count: count)
    let received = data.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, count, Int32(MSG_WAITALL)) }
    return received == count ? data : nil
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func u16(_ offset: Int) -> UInt16 {
    UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
  fileprivate func u32(_ offset: Int) -> UInt32 {
    UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
  fileprivate func u64(_ offset: Int) -> UInt64 {
    UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }
}
