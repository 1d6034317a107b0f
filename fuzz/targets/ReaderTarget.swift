// Any bytes for a packet reader in either role, in any pieces. The first four bytes choose the role, the
// capabilities of the peer's hello and our own, and how the bytes are split; bit 1 of the first leaves the hello to
// the input.

func fuzzReader(_ input: FuzzInput) {
  var input = input
  let flags = input.byte()
  let theirs = Capabilities(rawValue: UInt32(input.byte()))
  let ours = Capabilities(rawValue: UInt32(input.byte()))
  let pieces = input.byte()
  let receiver = CheckingReceiver(flags & 1 == 0 ? .usbHost : .usbGuest, ours)
  if flags & 2 == 0 { receiver.feed(helloBytes(theirs), pieces: 0) }
  let bytes = input.rest()
  receiver.feed(bytes, pieces: pieces)
  check(
    receiver.reader.memory <= max(PacketReader.regionCapacity, 2 * bytes.count), "the reader takes memory")
}

/// Checks what a reader hands out, and pauses now and then.
private final class CheckingReceiver: PacketReceiver {
  private(set) var isPaused = false
  let role: Role
  let reader: PacketReader
  private var isBroken = false
  private var packets = 0

  init(_ role: Role, _ capabilities: Capabilities) {
    self.role = role
    reader = PacketReader(role: role, capabilities: capabilities)
  }

  /// - Parameter pieces: 0: all at once; else the bits choose the size of one piece after the other.
  func feed(_ bytes: [UInt8], pieces: UInt8) {
    var rest = bytes[...]
    var turn: UInt8 = 0
    while !rest.isEmpty, !isBroken {
      turn &+= 1
      let size = pieces == 0 ? Int.max : 1 + Int(pieces.rotated(by: turn) & 0x3f)
      unsafe reader.withFree { free in
        let count = min(rest.count, size, free.count)
        unsafe free.copyBytes(from: rest.prefix(count))
        rest = rest.dropFirst(count)
        return count
      }
      reader.drain(self)
      while isPaused {
        isPaused = false
        reader.drain(self)
      }
    }
  }

  func receive(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ data: Span<UInt8>) {
    check(!isBroken && !isPaused, "a packet while there is to be none")
    guard let type = header.type else { return check(false, "a packet without type") }
    check(type.maySend(role.peer), "\(type.description) from the wrong side")
    check(
      reader.capabilities.isSuperset(of: type.requiredCapabilities), "\(type.description) is not agreed on")
    if type == .filterFilter { _ = try? Filter(parsing: data) }
    if type != .hello {
      check(typeHeader.count == type.typeHeaderSize(reader.capabilities), "a type header of another size")
      check(typeHeader.count + data.count == Int(header.length), "a packet of another length")
      check(type.mayCarryData || data.isEmpty, "\(type.description) with data")
    }
    packets += 1
    isPaused = packets % 5 == 0
  }

  func rejected(_ header: PacketHeader, _ typeHeader: Span<UInt8>, _ fault: PacketFault) {
    check(!isBroken && !fault.description.isEmpty, "refused behind the end")
  }

  func broken(_ fault: PacketFault) {
    check(!isBroken && !fault.description.isEmpty, "broken twice")
    isBroken = true
  }
}

extension UInt8 {
  fileprivate func rotated(by count: UInt8) -> UInt8 { self << (count & 7) | self >> (7 - (count & 7)) }
}
