// What one export is: a device, how guests reach it, and its limits. Plain values, written by the command
// line, read by the server.

/// Which device an export serves. Selectors of a plugged-in device name it again after a re-plug (B2.7).
enum DeviceSelector: CustomStringConvertible {
  /// By idVendor and idProduct. Of several such devices the one with `serial` (iSerialNumber), or number
  /// `nth` (from 1, in order of bus and port path), or the first that no other export holds.
  case id(vendor: UInt16, product: UInt16, serial: String?, nth: Int?)
  /// By where it is plugged in: bus and the chain of port numbers, as sysfs writes it (`1-2.3`).
  case port(bus: UInt8, ports: [UInt8])
  /// By bus and device address (`lsusb`'s "Bus 001 Device 004"). The address changes with every plug.
  case address(bus: UInt8, address: UInt8)
  /// An open descriptor of a usbfs node, inherited from whoever started us; it is ours to close.
  case descriptor(Int32)
  /// A device that lives in this process.
  case virtual(VirtualDeviceOptions)

  /// As it stands on the command line: `id=046d:c31c`, `port=1-2.3`, `virtual=keyboard`.
  var description: String {
    switch self {
    case .id(let vendor, let product, let serial, let nth):
      return "id=" + deviceID(vendor, product) + (serial.map { ",serial=" + $0 } ?? "")
        + (nth.map { ",nth=" + String($0) } ?? "")
    case .port(let bus, let ports): return "port=" + portPath(bus, ports)
    case .address(let bus, let address): return "address=" + String(bus) + "-" + String(address)
    case .descriptor(let descriptor): return "fd=" + String(descriptor)
    case .virtual(let options): return "virtual=" + options.name
    }
  }
}

/// One export and its limits. The defaults are those of B1.5, B1.8 and B7.2.
struct ExportOptions {
  /// How a guest and the export meet. B7.1.
  enum Transport {
    /// Guests connect to us, one at a time, again and again.
    case listen(SocketAddress)
    /// We connect to the guest.
    case connect(SocketAddress)
  }

  var device: DeviceSelector
  var transport: Transport
  /// What the log calls it; `device.description` unless the user gave a name.
  var name: String

  /// Transfers posted per interrupt IN endpoint, 1…64; nil: chosen from the endpoint's interval. B4.2.
  var interruptDepth: Int?
  /// The longest single transfer, bytes. B1.8.
  var maxTransfer = 8 << 20
  /// Requests held per session. B1.8.
  var maxRequests = 1024
  /// Bytes of the requests held per session. B1.8.
  var maxRequestBytes = 64 << 20

  /// A new guest takes the device from the one that has it, instead of being refused. B2.9.
  var takeover = false
  /// Seconds a silent connection owns the device when another one comes. B1.5.
  var helloTimeout: UInt32 = 10
  /// Keepalive, user timeout and window probes of its connections. B7.2.
  var transportOptions = TransportOptions()
  /// With `.connect`: seconds until we connect again after the connection ended or could not be made. nil:
  /// the export ends with its first connection.
  var reconnect: UInt32? = 5
}
