// A device's descriptors as a tree, a line each. The names of the specification say how a field is read: bcd and
// id are numbers of two bytes, w two, dw four, i a string's index, everything else one byte.

final class DescriptorTree: ProbeActivity {
  private let context: ProbeContext
  private var reader: DescriptorReader?
  /// By index.
  private var strings = [String?](repeating: nil, count: 256)
  private var language: UInt16 = 0
  private var lines: [ProbeResult] = []
  private var isOver = false

  init(_ context: ProbeContext) {
    self.context = context
  }

  func start() {
    reader = DescriptorReader(context.session) { [tree = Unowned(self)] in tree.value.readStrings() }
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
    collect()
    var indices: [UInt8] = []
    for line in lines {
      for field in line.fields {
        guard case .number(let index) = field.value, isStringIndex(field.key), index != 0 else { continue }
        if !indices.contains(UInt8(index)) { indices.append(UInt8(index)) }
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
    for line in lines {
      var result = line
      for field in line.fields {
        guard case .number(let index) = field.value, isStringIndex(field.key) else { continue }
        if let text = strings[Int(index)] { result.add(field.key.dropFirst(1), text: text) }
      }
      context.tell(.result(result))
    }
    finish(nil)
  }

  /// What there is, without the strings.
  private func collect() {
    guard let reader else { return }
    // What no table knows belongs to the descriptor before it.
    var parent = 0
    for bytes in [reader.device] + reader.configurations + [reader.objectStore] {
      for descriptor in Descriptor.all(bytes) {
        parent = descriptor.depth ?? parent
        lines.append(descriptor.result(depth: descriptor.depth ?? parent + 1))
      }
    }
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

  var type: UInt8 { bytes[1] }

  var name: String { layout.map { $0[0] } ?? "descriptor 0x" + Hex.text(UInt32(type), digits: 2) }

  /// nil for a descriptor that is shown as its bytes.
  var depth: Int? { layout.flatMap { $0[1].number() }.map { Int($0) } }

  /// The fields by their names in the specification, all bytes where no table knows them. Fields that a short
  /// descriptor has not are left out.
  func result(depth: Int) -> ProbeResult {
    var result = ProbeResult("descriptor", "type", name, depth: depth)
    guard let layout else {
      result.add("data", .data(bytes))
      return result
    }
    var offset = 2
    for name in layout.dropFirst(2) {
      let size = Descriptor.size(name)
      guard offset + size <= bytes.count else { break }
      var value: UInt32 = 0
      for index in 0..<size { value |= UInt32(bytes[offset + index]) << UInt32(8 * index) }
      result.add(name, Descriptor.value(name, value))
      offset += size
    }
    return result
  }

  private static func value(_ name: String, _ value: UInt32) -> ProbeValue {
    if name.hasPrefix("bcd") { return .text(bcdText(UInt16(value))) }
    if name.hasPrefix("id") { return .text(Hex.text(value, digits: 4)) }
    let isHex = name.hasPrefix("bm") || name == "bEndpointAddress"
    return isHex ? .text("0x" + Hex.text(value, digits: 2)) : .number(UInt64(value))
  }

  private static func size(_ name: String) -> Int {
    if name.hasPrefix("dw") { return 4 }
    return name.hasPrefix("w") || name.hasPrefix("bcd") || name.hasPrefix("id") ? 2 : 1
  }

  /// Name, depth in the tree, fields. USB 2.0, 9.6; USB 3.2, 9.6.
  private var layout: [String]? {
    let text =
      switch type {
      case 1:
        "device 0 bcdUSB bDeviceClass bDeviceSubClass bDeviceProtocol bMaxPacketSize0 idVendor idProduct "
          + "bcdDevice iManufacturer iProduct iSerialNumber bNumConfigurations"
      case 2:
        "configuration 1 wTotalLength bNumInterfaces bConfigurationValue iConfiguration bmAttributes bMaxPower"
      case 4:
        "interface 2 bInterfaceNumber bAlternateSetting bNumEndpoints bInterfaceClass bInterfaceSubClass "
          + "bInterfaceProtocol iInterface"
      case 5: "endpoint 3 bEndpointAddress bmAttributes wMaxPacketSize bInterval"
      case 11:
        "association 2 bFirstInterface bInterfaceCount bFunctionClass bFunctionSubClass bFunctionProtocol "
          + "iFunction"
      case 15: "object-store 1 wTotalLength bNumDeviceCaps"
      case 0x30: "companion 4 bMaxBurst bmAttributes wBytesPerInterval"
      case 0x31: "isochronous-companion 4 wReserved dwBytesPerInterval"
      default: ""
      }
    return text.isEmpty ? nil : text.split(at: " ")
  }
}
