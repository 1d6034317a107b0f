// A whole session on the real libusb, from opening the device to giving it back, and the plug pulled at each request to
// usbfs on the way.
import CMockedUsbfs
import CPosix
import Testing

@testable import usbredir_evloop

/// One guest and one mocked device, and what the guest still waits for.
private final class MockedLife {
  let mocked = MockedDevice()
  private(set) var faults: [String] = []
  private let bus = unsafe MockedBus.shared
  private var guest: GuestHarness?
  private var open: [String: UInt64] = [:]
  private var lastBulk: [String: UInt64] = [:]
  private var nextID: UInt64 = 100
  private var isAnnounced = true
  private var disconnects = 0

  /// Opens the device and does with it what can be done.
  func play() throws {
    switch DeviceUser.tryOpen(mocked) {
    case .failure(let error):
      if !mocked.isGone { faults.append("not opened: " + error.description) }
      return mocked.unplug()
    case .success(let device):
      let guest = try GuestHarness(device, loop: bus.loop)
      self.guest = guest
      drive(guest)
      finish(guest)
    }
  }

  private func drive(_ guest: GuestHarness) {
    ask(guest, "alt_setting") { guest.setAlt($0, 1, 1) }
    guest.send(guest.start(1))
    for value in 1...3 { mocked.answer(0x81, [UInt8(value)]) }
    ask(guest, "control") {
      mocked.answer(0, [18, 1])
      return guest.controlIn($0, 6, value: 0x100, length: 2)
    }
    for step in 1...6 {
      queue(guest, "bulk 02") { guest.bulkOut($0, [UInt8(step)]) }
      queue(guest, "bulk 82") { guest.bulkIn($0, length: 512) }
    }
    // Everything in flight is cancelled by it, off the loop.
    ask(guest, "alt_setting") { guest.setAlt($0, 1, 1) }
    ask(guest, "bulk_streams") {
      guest.encode(AllocBulkStreamsHeader(endpoints: 1 << 18, streams: 2), id: $0)
    }
    ask(guest, "bulk_streams") { guest.encode(FreeBulkStreamsHeader(endpoints: 1 << 18), id: $0) }
    queue(guest, "bulk 02") { guest.bulkOut($0, [7]) }
    ask(guest, "control") { guest.clearHalt($0, 0x02) }
    guest.send(guest.startBulk(2, bytes: 512, transfers: 2))
    mocked.finish(0x81, status: -EPIPE)
    guest.send(guest.reset())
    ask(guest, "configuration") { guest.setConfiguration($0, 2) }
    ask(guest, "configuration") { guest.setConfiguration($0, 1) }
    guest.send(guest.start(3) + guest.stop(4) + guest.start(5))
    ask(guest, "control") {
      mocked.answer(0, [18, 1])
      return guest.controlIn($0, 6, value: 0x100, length: 2)
    }
  }

  /// Sends what wants an answer of this kind.
  private func queue(_ guest: GuestHarness, _ kind: String, _ packet: (UInt64) -> [UInt8]) {
    nextID += 1
    open["\(kind) #\(nextID)"] = nextID
    guest.send(packet(nextID))
  }

  /// The same, and waits until everything is answered.
  private func ask(_ guest: GuestHarness, _ kind: String, _ packet: (UInt64) -> [UInt8]) {
    queue(guest, kind, packet)
    settle(guest) { open.isEmpty }
    if !open.isEmpty { faults.append("no answer to \(open.keys.sorted())") }
    open = [:]
  }

  private func settle(_ guest: GuestHarness, until condition: () -> Bool) {
    bus.run {
      guest.turn()
      for word in guest.take() { check(word) }
      return condition()
    }
  }

  private func check(_ word: String) {
    let parts = word.split(separator: " ").map(String.init)
    if word.hasPrefix("REFUSED") || word.hasPrefix("BROKEN") { faults.append(word) }
    if word == "device_disconnect" {
      disconnects += 1
      isAnnounced = false
    }
    let key = parts.prefix(parts[0] == "bulk" ? 3 : 2).joined(separator: " ")
    if let id = open.removeValue(forKey: key) {
      let isCancelled = word.contains(" cancelled ")
      if isAnnounced ? word.contains(" ioerror ") : !isCancelled && !word.contains(" ioerror ") {
        faults.append((isAnnounced ? "before device_disconnect: " : "behind device_disconnect: ") + word)
      }
      if parts[0] == "bulk" && !isCancelled {
        if id < lastBulk[parts[1], default: 0] { faults.append("out of turn: " + word) }
        lastBulk[parts[1]] = id
      }
    } else if ["control", "bulk", "alt_setting", "configuration", "bulk_streams"].contains(parts[0]) {
      faults.append("an answer that nobody waits for: " + word)
    } else if !isAnnounced && word.contains(" success ") && !word.hasPrefix("buffered_bulk") {
      faults.append("of a device that is gone: " + word)
    }
  }

  /// The same session takes the next device; then the guest leaves.
  private func finish(_ guest: GuestHarness) {
    let buffers = guest.session?.buffers
    if mocked.isGone {
      settle(guest) { !isAnnounced && guest.session?.leaving.isEmpty == true }
      if disconnects != 1 { faults.append("\(disconnects) times device_disconnect") }
      if guest.session == nil { faults.append("the session ended") }
      if buffers?.inUse != 0 { faults.append("\(buffers?.inUse ?? -1) buffers are out") }
      guest.hasDevice = false
      guest.send(guest.acknowledge())
      settle(guest) { guest.wants == 2 }
      if guest.wants != 2 { faults.append("no other device is wanted") }
    }
    guest.leave()
    bus.run { guest.ends.count == 1 }
    if guest.ends.count != 1 || mocked.posted > 0 { faults.append("the device is not given back") }
    mocked.unplug()
  }
}

extension MockedUsbfsTests {
  struct EveryRequest {
    @Test("B2.6: unplugged at any request to usbfs, from opening to giving back")
    func unplugged() throws {
      let whole = MockedLife()
      try whole.play()
      #expect(whole.faults == [], "undisturbed")
      let steps = whole.mocked.steps
      #expect(steps > 80)
      for step in 0..<steps {
        let life = MockedLife()
        life.mocked.unplug(at: step)
        try life.play()
        #expect(life.faults == [], "at request \(step) of \(steps)")
      }
    }

    @Test("B2.6: unplugged at any request of opening, when sysfs knows no configuration of it any more")
    func unpluggedWithoutConfiguration() throws {
      let unconfigured = MockedDevice()
      defer { unconfigured.unplug() }
      unconfigured.loseConfiguration()
      let user = DeviceUser(try DeviceUser.tryOpen(unconfigured).get())
      #expect(user.device.model.configuration == 0)
      let steps = unconfigured.steps
      user.close()
      #expect(steps > 3)
      for step in 0..<steps {
        let mocked = MockedDevice()
        defer { mocked.unplug() }
        mocked.loseConfiguration()
        mocked.unplug(at: step)
        if case .success(let device) = DeviceUser.tryOpen(mocked) {
          Issue.record("opened, at request \(step) of \(steps)")
          DeviceUser(device).close()
        }
        #expect(mocked.isGone, "request \(step) of \(steps) was made")
      }
    }
  }
}
