// Any commands for the logical unit of a virtual disk, in any order, and what the transport makes of them: nothing is
// read or written beside the medium, no response is longer than it is, no data phase promises more than the host
// expects.

func fuzzSCSI(_ input: FuzzInput) {
  var input = input
  let flags = input.byte()
  let blocks = input.choose([1, 8, 2048, 0x1_0000_0000, 0x10_0000_0000_0000] as [UInt64])
  let geometry = DiskGeometry(
    blocks: blocks, isCD: flags & 1 != 0, isReadOnly: flags & 3 != 0, serial: "0123456789AB")
  var unit = SCSIUnit(geometry)
  while !input.isEmpty {
    let kind = input.byte()
    if kind == 0xff { unit.reset() }
    let wrapper = CommandWrapper(wrapperBytes(&input, kind).span)
    guard let wrapper else { continue }
    let action = unit.execute(wrapper.command)
    verify(action, unit)
    let phase = DataPhase(wrapper, action)
    check(phase.useful <= phase.left, "a data phase with more than the host expects")
    if kind & 0x40 != 0 { unit.fail(SenseData.invalidField) }
  }
}

private let operations: [UInt8] = [
  0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b, 0x1e, 0x23, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x43, 0x46, 0x4a, 0x51,
  0x5a,
  0x88, 0x8a, 0x8f, 0x91, 0x9e, 0xa0, 0xa8, 0xaa, 0xaf,
]

/// A wrapper that is valid, unless `kind` says that it is anything.
func wrapperBytes(_ input: inout FuzzInput, _ kind: UInt8) -> [UInt8] {
  if kind & 0x80 != 0 { return input.take(31) }
  let operation = input.byte()
  var command = input.take(15)
  command.insert(operation < 0x80 ? operations[Int(operation) % operations.count] : operation, at: 0)
  let count = UInt8(command.count)
  command += [UInt8](repeating: 0, count: 16 - command.count)
  var bytes: [UInt8] = [0x55, 0x53, 0x42, 0x43, 1, 2, 3, 4]
  bytes.append(word: input.u16())
  bytes.append(word: kind & 0x20 != 0 ? input.u16() : 0)
  bytes += [kind & 1 != 0 ? 0x80 : 0, 0, count]
  return bytes + command
}

private func verify(_ action: SCSIAction, _ unit: SCSIUnit) {
  let size = unit.geometry.blocks * UInt64(unit.geometry.blockSize)
  switch action {
  case .done, .synchronize: break
  case .failed: check(unit.sense != SenseData.none, "a failure without a reason")
  case .respond(let count): check(count <= unit.response.bytes.count, "a response that is not there")
  case .read(let range), .verify(let range), .write(let range, _):
    check(range.offset <= size && range.count <= size - range.offset, "beside the medium")
    if case .write = action { check(!unit.geometry.isReadOnly, "read-only and written") }
  }
}
