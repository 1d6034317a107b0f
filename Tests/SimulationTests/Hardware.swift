// A device on its bus: what it is, how well it behaves, and whether it is plugged in. It is opened for one session after
// the other, as an `OpenedDevice`.
@testable import usbredir_evloop

/// How a device behaves. Chances are times in a thousand, times are nanoseconds.
struct Mood {
  var stall = 0
  var fail = 0
  var short = 100
  var empty = 20
  var outOfOrder = 0
  var refuse = 0
  var noMemory = 0
  /// A cancelled transfer had data, or was over already.
  var cancelRaces = 100
  var callFails = 0
  var callIsSlow = 0
  var resetChanges = 0
  var openFails = 0
  var unplugs = 0
  /// The longest a transfer takes, most of the time.
  var delay = 100_000

  init() {}

  init(_ random: inout Random) {
    delay = random.pick([1_000, 100_000, 2_000_000])
    if random.chance(250) { return }
    stall = random.pick([0, 0, 10, 200, 700])
    fail = random.pick([0, 0, 10, 200, 900])
    short = random.pick([0, 100, 900])
    outOfOrder = random.pick([0, 0, 200])
    refuse = random.pick([0, 0, 0, 10, 200])
    noMemory = random.pick([0, 0, 0, 30, 300])
    cancelRaces = random.pick([0, 100, 800])
    callFails = random.pick([0, 0, 50, 500])
    callIsSlow = random.pick([0, 100, 500])
    resetChanges = random.pick([0, 0, 200])
    openFails = random.pick([0, 0, 300])
    unplugs = random.pick([0, 0, 15])
  }
}

/// The device as it is plugged in, and where an export gets it from. Loop thread only.
final class Hardware: DeviceSource {
  let world: World
  var mood: Mood
  var changed: (() -> Void)?
  private(set) var isPlugged = true
  /// Nothing comes from it by itself, and it makes no trouble any more.
  private(set) var isQuiet = false
  /// Opened and not closed yet.
  private(set) var open: [OpenedDevice] = []
  /// Told when somebody uses an opened device.
  var attached: ((OpenedDevice) -> Void)?
  private let speed: Speed
  private let packetSize: UInt16
  private var serial: UInt32 = 0

  init(_ world: World, _ mood: Mood) {
    self.world = world
    self.mood = mood
    speed = world.random.pick([.full, .high, .super])
    packetSize = world.random.pick([8, 16, 64])
  }

  /// Data as no other transfer has it.
  func data(_ count: Int) -> [UInt8] {
    serial += 1
    var bytes = [UInt8](repeating: 0, count: count)
    for index in 0..<min(count, 256) {
      bytes[index] = UInt8(
        truncatingIfNeeded: index < 4 ? Int(serial >> UInt32(8 * index)) : Int(serial) &+ index)
    }
    return bytes
  }

  // MARK: plugging

  func unplug() {
    guard isPlugged else { return }
    isPlugged = false
    let calling = open.contains { $0.isCalling }
    world.saw(calling ? .unpluggedDuringCall : .unplugged)
    for device in open { device.unplug() }
    let pause = UInt64(world.random.pick([1_000, 5_000_000, 3_000_000_000]))
    world.after(pause) { [self] in plug() }
  }

  func plug() {
    guard !isPlugged else { return }
    isPlugged = true
    world.saw(.plugged)
    changed?()
  }

  /// The device is there and does what it should: a life comes to its end.
  func calmDown() {
    isQuiet = true
    mood = Mood()
    mood.delay = 10_000
    mood.short = 0
    mood.empty = 0
    mood.cancelRaces = 0
    plug()
    for device in open { device.hurry() }
  }

  /// It may be as it likes again.
  func goOn() {
    isQuiet = false
    for device in open { device.hurry() }
  }

  // MARK: DeviceSource

  var absence: DeviceUnavailable? { isPlugged ? nil : .absent("the device is unplugged") }

  func open(then: @escaping (Result<OpenDevice, DeviceUnavailable>) -> Void) {
    if world.random.chance(300) { return then(opened()) }
    let delay = world.random.pick([10_000, 1_000_000, 400_000_000])
    world.saw(.openedLate)
    world.after(UInt64(delay)) { [self] in then(opened()) }
  }

  private func opened() -> Result<OpenDevice, DeviceUnavailable> {
    guard isPlugged else {
      world.saw(.openAbsent)
      return .failure(.absent("the device is unplugged"))
    }
    if world.random.chance(mood.openFails) {
      world.saw(.openRefused)
      return .failure(.refused("the device is busy", mayPass: world.random.chance(700)))
    }
    let device = OpenedDevice(self, model(configuration: 1))
    open.append(device)
    world.saw(.opened)
    return .success(OpenDevice(device: device))
  }

  func closed(_ device: OpenedDevice) {
    open.removeAll { $0 === device }
    world.saw(.closed)
    changed?()
  }

  // MARK: what it is

  /// Two configurations; in the first an interface with interrupt endpoints, and one whose settings differ.
  func model(configuration: UInt8) -> DeviceModel {
    var model = DeviceModel()
    model.speed = speed
    model.vendor = 0x1209
    model.product = 0x0002
    model.usbVersion = speed == .super ? 0x0300 : 0x0200
    model.maxPacketSize0 = speed == .super ? 9 : 64
    model.configuration = configuration
    let interrupts = pair(1, .interrupt, packetSize, interval: speed == .full ? 10 : 6)
    switch configuration {
    case 1:
      let wide = pair(1, .interrupt, 64, interval: 4)
      let bulk = pair(2, .bulk, speed == .super ? 1024 : 64, interval: 0)
      let iso = pair(3, .isochronous, 96, interval: 1)
      model.interfaces = [
        InterfaceModel(number: 0, alternateSettings: [setting(0, interrupts), setting(1, wide)]),
        InterfaceModel(
          number: 1, alternateSettings: [setting(0, bulk), setting(1, bulk + iso), setting(3, [])]),
      ]
    case 2:
      model.interfaces = [InterfaceModel(number: 0, alternateSettings: [setting(0, [interrupts[0]])])]
    default: break
    }
    return model
  }

  private func setting(_ number: UInt8, _ endpoints: [EndpointModel]) -> AlternateSetting {
    AlternateSetting(number: number, classCode: 0xff, subclass: 0, protocol: 0, endpoints: endpoints)
  }

  private func pair(
    _ number: UInt8, _ type: TransferType, _ size: UInt16, interval: UInt8
  ) -> [EndpointModel] {
    [number | 0x80, number].map { address in
      EndpointModel(
        address: EndpointAddress(rawValue: address), type: type, rawMaxPacketSize: size, interval: interval,
        companionAttributes: type == .bulk ? 4 : 0, bytesPerInterval: type == .isochronous ? size : 0)
    }
  }
}
