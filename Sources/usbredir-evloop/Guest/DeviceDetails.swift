// What a guest has to ask the device itself for: strings, configurations. One request after the other; what
// is not answered, or is no descriptor, stays unknown. USB 2.0, 9.6.1 and 9.6.7.

/// What a device's descriptors tell beyond its announcement; nil for what is unknown or not there.
struct DeviceDetails: Equatable {
  var manufacturer: String?
  var product: String?
  var serial: String?
  /// bConfigurationValue in force, 0 when the device is unconfigured.
  var configuration: UInt8?
  /// bNumConfigurations.
  var configurations: UInt8?
}

/// Indices of the device's strings, 0 for none.
struct StringIndices: Equatable {
  var manufacturer: UInt8 = 0
  var product: UInt8 = 0
  var serial: UInt8 = 0
  var configurations: UInt8 = 0

  /// nil when `bytes` are no device descriptor.
  init?(deviceDescriptor bytes: Span<UInt8>) {
    guard bytes.count >= 18, bytes[0] >= 18, bytes[1] == 1 else { return nil }
    manufacturer = bytes[14]
    product = bytes[15]
    serial = bytes[16]
    configurations = bytes[17]
  }
}

/// The text of a string descriptor; nil when it is none, or empty.
func stringDescriptorText(_ bytes: Span<UInt8>) -> String? {
  guard bytes.count >= 4, bytes[1] == 3 else { return nil }
  let end = min(Int(bytes[0]), bytes.count)
  var units: [UInt16] = []
  var offset = 2
  while offset + 2 <= end {
    units.append(bytes.u16(at: offset))
    offset += 2
  }
  return units.isEmpty ? nil : String(decoding: units, as: UTF16.self)
}

/// The first language of string descriptor 0.
func firstLanguage(_ bytes: Span<UInt8>) -> UInt16? {
  guard bytes.count >= 4, bytes[0] >= 4, bytes[1] == 3 else { return nil }
  return bytes.u16(at: 2)
}

/// Asks a device for its details. Lives until `done` was called, or the session is over. Loop thread only.
final class DeviceDetailsReader {
  /// What is known so far.
  private(set) var details = DeviceDetails()
  private let session: Unowned<GuestSession>
  private let done: () -> Void
  private var language: UInt16 = 0

  /// - Parameter done: called once when all is asked; not before `start` has returned.
  init(_ session: GuestSession, done: @escaping () -> Void) {
    self.session = Unowned(session)
    self.done = done
  }

  /// The session has a device.
  func start() {
    do throws(GuestError) {
      try session.value.getConfiguration { status, configuration in
        if status == .success { self.details.configuration = configuration }
        self.readDeviceDescriptor()
      }
    } catch {
      // The device went meanwhile, which the session's owner hears from the session.
    }
  }

  private func readDeviceDescriptor() {
    getDescriptor(1, index: 0, language: 0, length: 18) { status, bytes in
      guard status == .success, let indices = StringIndices(deviceDescriptor: bytes) else {
        return self.done()
      }
      self.details.configurations = indices.configurations
      self.readLanguage(indices)
    }
  }

  private func readLanguage(_ indices: StringIndices) {
    guard indices.manufacturer != 0 || indices.product != 0 || indices.serial != 0 else { return done() }
    getDescriptor(3, index: 0, language: 0, length: 255) { status, bytes in
      guard status == .success, let language = firstLanguage(bytes) else { return self.done() }
      self.language = language
      self.readStrings(indices)
    }
  }

  private func readStrings(_ indices: StringIndices) {
    readString(indices.manufacturer) { manufacturer in
      self.details.manufacturer = manufacturer
      self.readString(indices.product) { product in
        self.details.product = product
        self.readString(indices.serial) { serial in
          self.details.serial = serial
          self.done()
        }
      }
    }
  }

  private func readString(_ index: UInt8, then: @escaping (String?) -> Void) {
    guard index != 0 else { return then(nil) }
    getDescriptor(3, index: index, language: language, length: 255) { status, bytes in
      then(status == .success ? stringDescriptorText(bytes) : nil)
    }
  }

  private func getDescriptor(
    _ type: UInt8, index: UInt8, language: UInt16, length: UInt16, then: @escaping ControlCompletion
  ) {
    do throws(GuestError) {
      try session.value.getDescriptor(type, index: index, language: language, length: length, then: then)
    } catch {
      // As in `start`.
    }
  }
}
