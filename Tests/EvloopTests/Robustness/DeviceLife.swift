// A guest's whole dealings with a device that something happens to, and what has to be true whatever that is: one answer
// for each request, in its turn; nothing of a device that is gone; nothing left at the end.
import Testing

@testable import usbredir_evloop

/// One session on a stepping device. Its faults are collected, so that a run says all that is wrong with it.
final class DeviceLife {
  /// What is done with the device, one thing behind the other; `DeviceLife.operations` has them all.
  typealias Script = (DeviceLife) -> Void
  /// What happens, and at which step of which kind (nil: of any); once.
  typealias Fault = (step: Int, kind: SteppingDevice.Step?, happens: (DeviceLife) -> SteppingDevice.Fault)

  /// Nanoseconds between errors and the next attempt, at most.
  private static let longestPause: UInt64 = 100_000_000

  let guest: GuestHarness
  let device: SteppingDevice
  private(set) var faults: [String] = []
  /// Steps of that kind so far.
  private(set) var steps = 0
  /// Times that the guest was told that the device is gone.
  private(set) var disconnects = 0
  private var open: [UInt64: String] = [:]
  private var lastAnswer: [String: UInt64] = [:]
  private var nextID: UInt64 = 100
  private var isAnnounced = true
  private let clock = ManualClock()
  private let fault: Fault
  private let mayFail: Bool

  /// - Parameter mayFail: requests may fail though the device is there.
  init(transfersTellFirst: Bool = false, mayFail: Bool = false, fault: Fault) throws {
    self.mayFail = mayFail
    let loop = try EventLoop(clock: clock)
    self.fault = fault
    device = SteppingDevice(loop: loop, transfersTellFirst: transfersTellFirst)
    var limits = SessionLimits()
    limits.interruptDepth = 2
    limits.maxBadPackets = .max
    guest = try GuestHarness(device, loop: loop, limits: limits, greets: false)
    device.atStep = { [life = Unowned(self)] in life.value.stepped($0) }
  }

  var scripted: ScriptedDevice { device.inner }

  private func stepped(_ step: SteppingDevice.Step) -> SteppingDevice.Fault {
    guard fault.kind == nil || step == fault.kind else { return .none }
    steps += 1
    return steps - 1 == fault.step ? fault.happens(self) : .none
  }

  /// Greets, and does what the script says.
  func play(_ script: Script) {
    guest.send(hello(.all))
    settle()
    script(self)
    settle()
  }

  // MARK: what the guest does

  func send(_ bytes: [UInt8]) {
    guest.send(bytes)
  }

  /// A request, or whatever else wants one answer: on an endpoint, or of a kind that `text` in its answer names.
  @discardableResult func ask(_ line: String, _ packet: (UInt64) -> [UInt8]) -> UInt64 {
    nextID += 1
    open[nextID] = line
    guest.send(packet(nextID))
    return nextID
  }

  /// Turns until nothing happens any more, pauses that errors make included: how many steps there are is no matter of time.
  private func rest() {
    guest.settle()
    while guest.loop.timers.nextDeadline.map({ $0 <= clock.now + DeviceLife.longestPause }) == true {
      clock.advance(nanoseconds: DeviceLife.longestPause)
      guest.loop.timers.fireDue()
      guest.settle()
    }
  }

  func settle() {
    rest()
    check()
  }

  // MARK: what has to be true

  private func check() {
    for word in guest.take() {
      let parts = word.split(separator: " ").map(String.init)
      switch parts[0] {
      case "REFUSED", "BROKEN": faults.append(word)
      case "device_disconnect": disconnected()
      case "device_connect": isAnnounced = true
      case "control": answered(parts[1], "00", word)
      case "bulk": answered(parts[2], parts[1], word)
      case "interrupt" where parts[1] == "01": answered(parts[2], "01", word)
      case "configuration", "alt_setting", "bulk_streams": answered(parts[1], parts[0], word)
      case "interrupt", "buffered_bulk", "iso":
        let isEnd = parts[0] == "buffered_bulk" ? parts[4] == "0" : parts[3] == "stall"
        if !isAnnounced && !isEnd { faults.append("of a device that is gone: " + word) }
      default: break
      }
    }
  }

  private func disconnected() {
    disconnects += 1
    if !isAnnounced { faults.append("told twice that the device is gone") }
    isAnnounced = false
  }

  private func answered(_ number: String, _ line: String, _ word: String) {
    guard let id = UInt64(number.dropFirst()), open.removeValue(forKey: id) == line else {
      return faults.append("an answer that nobody waits for: " + word)
    }
    // An operation may have cancelled it by then, and one that was asked for earlier held its answer up.
    let isCancelled = word.contains(" cancelled ")
    if !isAnnounced && !isCancelled && !word.contains(" ioerror ") { faults.append("not ioerror: " + word) }
    if isAnnounced && !mayFail && word.contains(" ioerror ") {
      faults.append("not told before that the device is gone: " + word)
    }
    // Cancelled requests step out of the line.
    if isCancelled { return }
    if id < lastAnswer[line] ?? 0 { faults.append("out of turn: " + word) }
    lastAnswer[line] = id
  }

  /// Lets everything go on that the script held up.
  private func release() {
    scripted.releaseCalls()
    for address in [EndpointAddress.controlOut, .interruptOut, .bulkOut, .isoOut, .bulkIn] {
      scripted.release(address)
    }
    for id in open.keys.sorted() where ["01", "02", "82", "00"].contains(open[id]) { send(guest.cancel(id)) }
    settle()
  }

  /// Whatever happened: what was asked is answered, and the same session works.
  func finish(isGone: Bool) {
    release()
    if !open.isEmpty { faults.append("without an answer: \(open.keys.sorted())") }
    if isGone {
      if disconnects != 1 { faults.append("told \(disconnects) times that the device is gone") }
      if device.out > 0 { faults.append("\(device.out) transfers are out") }
      if device.owner != nil { faults.append("the device is not closed") }
      if guest.session?.leaving.isEmpty != true { faults.append("the device is not given back") }
      if guest.session?.buffers.inUse != 0 {
        faults.append("\(guest.session?.buffers.inUse ?? -1) buffers are out")
      }
    }
    if !isAnnounced { comeBack() }
    useAgain()
    leave()
  }

  /// B2.7: on the same connection.
  private func comeBack() {
    scripted.onPlug = { [life = Unowned(self)] in life.value.guest.session?.wantDevice() }
    scripted.plug()
    settle()
    if isAnnounced { faults.append("announced before the ack") }
    send(guest.acknowledge())
    settle()
    if !isAnnounced { faults.append("not announced again") }
  }

  /// Both kinds of endpoints do what they did at first.
  private func useAgain() {
    send(guest.setConfiguration(1, 2))
    send(guest.setConfiguration(2, 1))
    send(guest.stop(3) + guest.start(4))
    rest()
    if scripted.pending(.interruptIn) > 0 { faults.append("the device's reports are not taken afterwards") }
    _ = guest.take()
    scripted.report(.interruptIn, [7])
    send(guest.bulkOut(5, [1, 2]))
    rest()
    let words = guest.take()
    if !words.contains(where: { $0.hasPrefix("interrupt 81 #") && $0.hasSuffix(" success 1 07") }) {
      faults.append("no report afterwards, but \(words)")
    }
    if !words.contains("bulk 02 #5 success 2") { faults.append("no bulk transfer afterwards, but \(words)") }
  }

  /// The guest leaves, if it has not; nothing of the session is left.
  func leave() {
    let buffers = guest.session?.buffers
    weak let session = guest.session
    guest.leave()
    release()
    if guest.ends.count != 1 { faults.append("ended \(guest.ends.count) times") }
    if buffers.map({ $0.inUse != 0 }) == true { faults.append("buffers are out at the end") }
    if session != nil { faults.append("the session is not freed") }
    if device.owner != nil || device.out > 0 { faults.append("the device is not given back at the end") }
  }
}
