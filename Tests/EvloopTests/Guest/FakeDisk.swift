// A disk of a few blocks behind a fake usb-host: Bulk-Only Transport, with the failures that a test asks for.
@testable import usbredir_evloop

final class FakeDisk {
  private static let size = 512
  /// What READ CAPACITY says.
  var blockSize = UInt32(size)
  let blocks: Int
  /// Commands in the order they came, by their first byte.
  private(set) var commands: [UInt8] = []
  /// Commands that fail with sense data (key, code, qualifier), once each.
  var failures: [UInt8: [UInt8]] = [:]
  /// Commands that fail each time.
  var broken: Set<UInt8> = []
  /// The next READ ends in the middle: data and status stall until the halt is cleared.
  var stallsRead = false
  /// The status wrapper of the next command has a wrong tag.
  var spoilsStatus = false
  private(set) var cleared = 0
  private unowned let host: FakeHost
  private var requests: [Asked] = []
  /// What the device has to send, a transfer each; nil for a stall.
  private var responses: [[UInt8]?] = []
  private var isHalted = false
  private var sense: [UInt8] = [0, 0, 0]

  init(_ host: FakeHost, blocks: Int) {
    self.host = host
    self.blocks = blocks
  }

  static func block(_ number: Int) -> [UInt8] {
    (0..<size).map { UInt8(truncatingIfNeeded: number + $0) }
  }

  func take(_ packet: Asked) -> Bool {
    switch packet.type {
    case .controlPacket where packet.header[1] == 1:
      cleared += 1
      isHalted = false
      host.control(packet, .success)
    case .bulkPacket where packet.endpoint == 0x02:
      host.bulk(packet, .success, count: packet.data.count)
      command(packet.data)
      serve()
    case .bulkPacket:
      requests.append(packet)
      serve()
    case .cancelDataPacket:
      requests.removeAll { $0.id == packet.id }
    default: return false
    }
    return true
  }

  private func serve() {
    while let request = requests.first {
      if isHalted {
        host.bulk(request, .stall)
      } else if let response = responses.first {
        responses.removeFirst()
        isHalted = response == nil
        if let response { host.bulk(request, .success, response) } else { host.bulk(request, .stall) }
      } else {
        return
      }
      requests.removeFirst()
    }
  }

  private func command(_ wrapper: [UInt8]) {
    let block = Array(wrapper[15...])
    commands.append(block[0])
    var status: UInt8 = 0
    if let failure = broken.contains(block[0]) ? [4, 0, 0] : failures.removeValue(forKey: block[0]) {
      sense = failure
      status = 1
      if wrapper[8..<12].contains(where: { $0 != 0 }) { responses.append(nil) }
    } else {
      data(block)
    }
    var tag = Array(wrapper[4..<8])
    if spoilsStatus { tag[0] &+= 1 }
    responses.append([0x55, 0x53, 0x42, 0x53] + tag + [0, 0, 0, 0, status])
  }

  private func data(_ block: [UInt8]) {
    switch block[0] {
    case 0x03:
      responses.append([0x70, 0, sense[0], 0, 0, 0, 0, 10, 0, 0, 0, 0, sense[1], sense[2], 0, 0, 0, 0])
    case 0x12: responses.append([0, 0x80, 4, 2, 31, 0, 0, 0] + Array("ACME    Fake Disk       1.0 ".utf8))
    case 0x25:
      responses.append([0, 0, 0, UInt8(blocks - 1)] + [24, 16, 8, 0].map { UInt8(blockSize >> $0 & 0xff) })
    case 0x28 where stallsRead:
      stallsRead = false
      responses.append(nil)
    case 0x28:
      let (first, count) = (Int(block[5]), Int(block[7]) << 8 | Int(block[8]))
      responses.append((first..<first + count).flatMap { FakeDisk.block($0) })
    default: break
    }
  }
}
