// Random bytes for a reader, under libFuzzer. The first three bytes choose the role, the capabilities of the peer's
// hello (none is read when the role's bit 1 is set) and how many bytes come at once.

/// Checks what a reader hands out.
final class Checker: PacketReceiver {
  let isPaused = false
  let role: Role
  let reader: PacketReader
  var isBroken = false

  init(_ role: Role) {
    self.role = role
    reader = PacketReader(role: role, capabilities: .all)
  }

  func receive(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>) {
    precondition(!isBroken)
    guard let type = header.type else { preconditionFailure() }
    precondition(type.maySend(role.peer))
    if type == .filterFilter { _ = try? Filter(parsing: data) }
    if type != .hello {
      precondition(typeHeader.count == type.typeHeaderSize(reader.capabilities))
      precondition(typeHeader.count + data.count == Int(header.length))
    }
  }

  func rejected(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ fault: PacketFault) {
    precondition(!isBroken && !fault.description.isEmpty)
  }

  func broken(_ fault: PacketFault) {
    precondition(!isBroken && !fault.description.isEmpty)
    isBroken = true
  }
}

@c(LLVMFuzzerTestOneInput)
func fuzzReader(_ data: UnsafePointer<UInt8>, _ size: Int) -> Int32 {
  guard size >= 3 else { return 0 }
  let bytes = unsafe [UInt8](UnsafeBufferPointer(start: data, count: size))
  let role: Role = bytes[0] & 1 == 0 ? .usbHost : .usbGuest
  let checker = Checker(role)
  if bytes[0] & 2 == 0 {
    feed(checker, hello(Capabilities(rawValue: UInt32(bytes[1]))), piece: 68)
  }
  feed(checker, Array(bytes[3...]), piece: Int(bytes[2]) + 1)
  precondition(checker.reader.memory <= max(PacketReader.regionCapacity, 2 * size))
  return 0
}

private func feed(_ checker: Checker, _ bytes: [UInt8], piece: Int) {
  var rest = bytes[...]
  while !rest.isEmpty, !checker.isBroken {
    unsafe checker.reader.withFree { free in
      let count = min(rest.count, piece, free.count)
      unsafe free.copyBytes(from: rest.prefix(count))
      rest = rest.dropFirst(count)
      return count
    }
    checker.reader.drain(checker)
  }
}

private func hello(_ capabilities: Capabilities) -> [UInt8] {
  let buffer = BufferPool(capacity: 68, keep: 0).take()
  buffer.finishHello(version: "fuzz", offering: capabilities)
  return buffer.withBytes { span in span.indices.map { span[$0] } }
}
