// Everything that can be done with a device, as scripts that tests repeat with something going wrong at each step.
import Testing

@testable import usbredir_evloop

/// One operation, from its first packet to its last answer.
struct DeviceOperation: CustomTestStringConvertible, Sendable {
  let name: String
  let script: @Sendable (DeviceLife) -> Void

  var testDescription: String { name }

  init(_ name: String, _ script: @escaping @Sendable (DeviceLife) -> Void) {
    self.name = name
    self.script = script
  }

  static let all = streams + requests + calls + together

  static let streams = [
    DeviceOperation("interrupt receiving") { life in
      life.send(life.guest.start(1))
      life.settle()
      for value in 1...3 { life.scripted.report(.interruptIn, [UInt8(value)]) }
      life.settle()
      life.send(life.guest.stop(2) + life.guest.start(3))
      life.settle()
      life.scripted.report(.interruptIn, [4])
      life.settle()
      life.send(life.guest.stop(4))
    },
    DeviceOperation("interrupt stall, cleared") { life in
      life.send(life.guest.start(1))
      life.settle()
      for value in 1...2 {
        life.scripted.report(.interruptIn, [UInt8(value)])
        life.scripted.stall(.interruptIn)
      }
      life.settle()
      life.scripted.report(.interruptIn, [3])
    },
    DeviceOperation("interrupt errors") { life in
      life.send(life.guest.start(1))
      life.settle()
      life.scripted.fail(.interruptIn, .failed)
      life.scripted.fail(.interruptIn, .overflow)
      life.scripted.report(.interruptIn, [1])
      life.settle()
    },
    DeviceOperation("buffered bulk receiving") { life in
      life.send(life.guest.startBulk(1, transfers: 3))
      life.settle()
      for value in 1...4 { life.scripted.report(.bulkIn, [UInt8(value)]) }
      life.settle()
      life.scripted.stall(.bulkIn)
      life.settle()
      life.scripted.report(.bulkIn, [5])
      life.settle()
      life.send(life.guest.stopBulk(2))
    },
    DeviceOperation("iso in") { life in
      life.ask("alt_setting") { life.guest.setAlt($0, 1, 1) }
      life.scripted.hold(.isoIn)
      life.send(life.guest.startIso(1))
      life.settle()
      for value in 1...4 { life.scripted.report(.isoIn, [UInt8(value)]) }
      life.scripted.release(.isoIn)
      for _ in 0..<2 { life.guest.turn() }
      life.scripted.hold(.isoIn)
      life.settle()
      life.send(life.guest.stopIso(2))
      life.settle()
      life.ask("alt_setting") { life.guest.setAlt($0, 1, 0) }
    },
    DeviceOperation("iso out") { life in
      life.ask("alt_setting") { life.guest.setAlt($0, 1, 1) }
      life.send(life.guest.startIso(1, on: 0x03, packets: 2, urbs: 3))
      life.settle()
      for value in 1...9 { life.send(life.guest.isoOut(UInt64(value), [UInt8(value)])) }
      life.settle()
      life.send(life.guest.stopIso(2, on: 0x03))
    },
  ]

  static let requests = [
    DeviceOperation("control in flight") { life in
      life.scripted.hold(.controlOut)
      for _ in 0..<3 { life.ask("00") { life.guest.controlIn($0, 6, value: 0x100, length: 18) } }
      life.ask("00") { life.guest.controlOut($0, type: 0x21, 9, value: 0x200, [1]) }
      life.settle()
      life.scripted.release(.controlOut)
    },
    DeviceOperation("bulk in flight") { life in
      life.scripted.hold(.bulkOut)
      for _ in 0..<4 {
        life.ask("02") { life.guest.bulkOut($0, [1, 2]) }
        life.ask("82") { life.guest.bulkIn($0) }
      }
      life.settle()
      for value in 1...4 { life.scripted.report(.bulkIn, [UInt8(value)]) }
      life.settle()
      life.scripted.release(.bulkOut)
    },
    DeviceOperation("interrupt out in flight") { life in
      life.scripted.hold(.interruptOut)
      for _ in 0..<3 { life.ask("01") { life.guest.interruptOut($0, [1]) } }
      life.settle()
      life.scripted.release(.interruptOut)
    },
    DeviceOperation("cancel") { life in
      life.scripted.hold(.bulkOut)
      let ids = (0..<6).map { _ in life.ask("02") { life.guest.bulkOut($0, [1]) } }
      life.settle()
      life.send(life.guest.cancel(ids[1]) + life.guest.cancel(ids[4]) + life.guest.cancel(ids[0]))
      life.settle()
      life.scripted.release(.bulkOut)
      life.settle()
      life.send(life.guest.cancel(ids[2]))
    },
  ]

  static let calls = [
    DeviceOperation("set configuration") { life in
      inFlight(life)
      life.ask("configuration") { life.guest.setConfiguration($0, 2) }
      life.settle()
      life.ask("configuration") { life.guest.setConfiguration($0, 1) }
      life.settle()
      life.ask("00") { life.guest.controlOut($0, type: 0, StandardRequest.setConfiguration, value: 2) }
    },
    DeviceOperation("set alternate setting") { life in
      inFlight(life)
      life.scripted.holdCalls()
      life.ask("alt_setting") { life.guest.setAlt($0, 1, 1) }
      life.settle()
      life.scripted.releaseCalls()
      life.settle()
      life.ask("00") { life.guest.controlOut($0, type: 1, StandardRequest.setInterface, value: 1, index: 0) }
      life.settle()
      life.ask("configuration") { life.guest.setConfiguration($0, 1) }
    },
    DeviceOperation("reset") { life in
      inFlight(life)
      life.send(life.guest.reset())
      life.ask("00") { life.guest.controlIn($0, 6, value: 0x100, length: 18) }
      life.settle()
      life.scripted.report(.interruptIn, [1])
      life.settle()
      life.send(life.guest.reset())
    },
    DeviceOperation("clear halt") { life in
      inFlight(life)
      life.ask("00") { life.guest.clearHalt($0, 0x02) }
      life.settle()
      life.ask("00") { life.guest.clearHalt($0, 0x81) }
      life.settle()
      life.scripted.report(.interruptIn, [1])
    },
    DeviceOperation("bulk streams") { life in
      life.ask("82") { life.guest.bulkIn($0) }
      life.ask("bulk_streams") {
        life.guest.encode(AllocBulkStreamsHeader(endpoints: 1 << 18, streams: 2), id: $0)
      }
      life.settle()
      life.ask("82") { life.guest.bulkIn($0, stream: 1) }
      life.settle()
      life.scripted.report(.bulkIn, [1])
      life.settle()
      life.ask("82") { life.guest.bulkIn($0, stream: 2) }
      life.ask("bulk_streams") { life.guest.encode(FreeBulkStreamsHeader(endpoints: 1 << 18), id: $0) }
    },
  ]

  static let together = [
    DeviceOperation("everything at once") { life in
      life.send(life.guest.start(1))
      life.scripted.hold(.interruptOut)
      inFlight(life)
      for _ in 0..<3 {
        life.ask("01") { life.guest.interruptOut($0, [1]) }
        life.scripted.report(.interruptIn, [1])
      }
      life.settle()
      life.scripted.stall(.interruptIn)
      life.ask("00") { life.guest.controlIn($0, 6, value: 0x100, length: 18) }
      life.ask("alt_setting") { life.guest.setAlt($0, 1, 1) }
      life.settle()
      life.send(life.guest.startBulk(2) + life.guest.startIso(3, on: 0x03))
      life.settle()
      life.send(life.guest.reset())
    }
  ]

  /// What every call has to take back first: a stream, and more requests than are cancelled on the loop.
  private static func inFlight(_ life: DeviceLife) {
    life.send(life.guest.start(1))
    life.scripted.hold(.bulkOut)
    for _ in 0..<3 {
      life.ask("02") { life.guest.bulkOut($0, [1, 2]) }
      life.ask("82") { life.guest.bulkIn($0) }
    }
    life.settle()
  }
}
