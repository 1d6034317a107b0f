// A device's descriptors as a tree, a line each. The names of the specification say how a field is read: bcd and
// id are numbers of two bytes, w two, dw four, i a string's index, everything else one byte.

final class DescriptorTree: ProbeActivity {
  private let context: ProbeContext
  private var reader: DescriptorReader?
  /// By index.
  private var strings = [String?](repeating: nil, count: 256)
  private var language: UInt16 = 0
  private var isOver = false

  init(_ context: ProbeContext) {
    self.context = context
  }

  func start() {
    reader = DescriptorReader(context.session) { self.readStrings() }
    reader?.start()
  }

  func stop(_ reason: String) {
    finish("descriptors: " + reason)
  }

  private func finish(_ failure: String?) {
    guard !isOver else { return }
    isOver = true
    context.ended("done", failure)
  }

  private func readStrings() {
    guard let reader, !reader.device.isEmpty else {
      return finish("descriptors: the device does not give any")
    }
    var indices: [UInt8] = []
    for descriptor in all {
      for (name, value) in descriptor.values where isStringIndex(name) && value != 0 {
        if !indices.contains(UInt8(value)) { indices.append(UInt8(value)) }
      }
    }
    get(0) { bytes in
      self.language = firstLanguage(bytes) ?? 0
      self.read(indices)
    }
  }

  private func read(_ indices: [UInt8]) {
    guard let index = indices.first else { return tell() }
    get(index) { bytes in
      self.strings[Int(index)] = stringDescriptorText(bytes)
      self.read(Array(indices.dropFirst()))
    }
  }

  private func get(_ index: UInt8, then: @escaping (Span<UInt8>) -> Void) {
    do throws(GuestError) {
      try context.session.getDescriptor(3, index: index, language: language, length: 255) { status, bytes in
        then(status == .success ? bytes : Span())
      }
    } catch {
      finish(error.description)
    }
  }

  private func tell() {
    guard !isOver else { return }
    // What no table knows belongs to the descriptor before it.
    var parent = 0
    for descriptor in all {
      parent = descriptor.depth ?? parent
      let depth = descriptor.depth ?? parent + 1
      var result = ProbeResult("descriptor", "type", descriptor.name, depth: depth)
      for (name, value) in descriptor.values {
        result.add(name, DescriptorTree.value(name, value))
        if isStringIndex(name), let text = strings[Int(value)] { result.add(name.dropFirst(1), text: text) }
      }
      if descriptor.depth == nil { result.add("data", .data(descriptor.bytes)) }
      context.tell(.result(result))
    }
    finish(nil)
  }

  private static func value(_ name: String, _ value: UInt32) -> ProbeValue {
    if name.hasPrefix("bcd") { return .text(bcdText(UInt16(value))) }
    if name.hasPrefix("id") { return .text(Hex.text(value, digits: 4)) }
    if name.hasPrefix("bm") || name == "bEndpointAddress" { return .text("0x" + Hex.text(value, digits: 2)) }
    return .number(UInt64(value))
  }

  private var all: [Descriptor] {
    guard let reader else { return [] }
    var all = Descriptor.all(reader.device)
    for bytes in reader.configurations { all += Descriptor.all(bytes) }
    return all + Descriptor.all(reader.objectStore)
  }
}

private func isStringIndex(_ name: String) -> Bool {
  name.hasPrefix("i") && !name.hasPrefix("id")
}

/// One descriptor of some bytes.
struct Descriptor: Equatable {
  var bytes: [UInt8]

  /// What stands in `bytes`, up to the first descriptor that does not fit.
  static func all(_ bytes: [UInt8]) -> [Descriptor] {
    var all: [Descriptor] = []
    var offset = 0
    while offset + 2 <= bytes.count, bytes[offset] >= 2, offset + Int(bytes[offset]) <= bytes.count {
      let end = offset + Int(bytes[offset])
      all.append(Descriptor(bytes: Array(bytes[offset..<end])))
      offset = end
    }
    return all
  }

  var name: String { layout?.name ?? "descriptor 0x" + Hex.text(UInt32(bytes[1]), digits: 2) }

  /// nil for a descriptor that is shown as its bytes.
  var depth: Int? { layout?.depth }

  /// The fields by their names in the specification; none for a descriptor that no table knows. Those that a
  /// short descriptor has not are left out.
  var values: [(name: String, value: UInt32)] {
    guard let layout else { return [] }
    var values: [(name: String, value: UInt32)] = []
    var offset = 2
    for name in layout.fields.split(at: " ") {
      let size = Descriptor.size(name)
      guard offset + size <= bytes.count else { break }
      var value: UInt32 = 0
      for index in 0..<size { value |= UInt32(bytes[offset + index]) << UInt32(8 * index) }
      values.append((name, value))
      offset += size
    }
    return values
  }

  private static func size(_ name: String) -> Int {
    if name.hasPrefix("dw") { return 4 }
    return name.hasPrefix("w") || name.hasPrefix("bcd") || name.hasPrefix("id") ? 2 : 1
  }

  private var layout: Layout? { layouts.first { $0.type == bytes[1] } }

  fileprivate struct Layout {
    let type: UInt8
    let name: String
    let depth: Int
    let fields: String
  }
}

/// USB 2.0, 9.6; USB 3.2, 9.6.
private let layouts = [
  Descriptor.Layout(
    type: 1, name: "device", depth: 0,
    fields:
      "bcdUSB bDeviceClass bDeviceSubClass bDeviceProtocol bMaxPacketSize0 idVendor idProduct bcdDevice "
      + "iManufacturer iProduct iSerialNumber bNumConfigurations"),
  Descriptor.Layout(
    type: 2, name: "configuration", depth: 1,
    fields: "wTotalLength bNumInterfaces bConfigurationValue iConfiguration bmAttributes bMaxPower"),
  Descriptor.Layout(
    type: 11, name: "association", depth: 2,
    fields: "bFirstInterface bInterfaceCount bFunctionClass bFunctionSubClass bFunctionProtocol iFunction"),
  Descriptor.Layout(
    type: 4, name: "interface", depth: 2,
    fields: "bInterfaceNumber bAlternateSetting bNumEndpoints bInterfaceClass bInterfaceSubClass "
      + "bInterfaceProtocol iInterface"),
  Descriptor.Layout(
    type: 5, name: "endpoint", depth: 3, fields: "bEndpointAddress bmAttributes wMaxPacketSize bInterval"),
  Descriptor.Layout(
    type: 0x30, name: "companion", depth: 4, fields: "bMaxBurst bmAttributes wBytesPerInterval"),
  Descriptor.Layout(
    type: 0x31, name: "isochronous companion", depth: 4, fields: "wReserved dwBytesPerInterval"),
  Descriptor.Layout(type: 15, name: "object store", depth: 1, fields: "wTotalLength bNumDeviceCaps"),
]
