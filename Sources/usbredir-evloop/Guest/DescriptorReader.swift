// All descriptors that a device gives away: the device's, each configuration with what is in it, and the binary
// object store. USB 2.0, 9.5; USB 3.2, 9.6.2.

/// Reads them one after the other. What is not answered stays empty. Loop thread only.
final class DescriptorReader {
  /// More configurations than any device has.
  private static let maxConfigurations: UInt8 = 16

  private(set) var device: [UInt8] = []
  private(set) var configurations: [[UInt8]] = []
  private(set) var objectStore: [UInt8] = []
  private let session: Unowned<GuestSession>
  private let done: () -> Void

  /// - Parameter done: called once, when all is asked; not when the device goes first.
  init(_ session: GuestSession, done: @escaping () -> Void) {
    self.session = Unowned(session)
    self.done = done
  }

  func start() {
    get(Kind.device, index: 0, length: 18) { bytes in
      guard bytes.count >= 18 else { return self.done() }
      self.device = bytes
      self.readConfiguration(0)
    }
  }

  private func readConfiguration(_ index: UInt8) {
    guard index < min(device[17], DescriptorReader.maxConfigurations) else { return readObjectStore() }
    readWhole(Kind.configuration, index: index, head: 9) { bytes in
      self.configurations.append(bytes)
      self.readConfiguration(index + 1)
    }
  }

  private func readObjectStore() {
    // bcdUSB 2.01 and later have one.
    guard device.span.u16(at: 2) > 0x0200 else { return done() }
    readWhole(Kind.objectStore, index: 0, head: 5) { bytes in
      self.objectStore = bytes
      self.done()
    }
  }

  /// Descriptors that say in wTotalLength how much belongs to them.
  private func readWhole(_ type: UInt8, index: UInt8, head: UInt16, then: @escaping ([UInt8]) -> Void) {
    get(type, index: index, length: head) { bytes in
      guard bytes.count >= 4 else { return then([]) }
      self.get(type, index: index, length: max(head, bytes.span.u16(at: 2)), then: then)
    }
  }

  private func get(_ type: UInt8, index: UInt8, length: UInt16, then: @escaping ([UInt8]) -> Void) {
    do throws(GuestError) {
      try session.value.getDescriptor(type, index: index, length: length) { status, bytes in
        then(status == .success ? bytes.indices.map { bytes[$0] } : [])
      }
    } catch {
      // The device went meanwhile, which the session's owner hears from the session.
    }
  }

  /// bDescriptorType. USB 3.2, table 9-6.
  private enum Kind {
    static let device: UInt8 = 1
    static let configuration: UInt8 = 2
    static let objectStore: UInt8 = 15
  }
}
