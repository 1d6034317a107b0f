// What `probe` is asked to do, as plain values.

/// How to reach a usb-host, what to do with its device, what to print and when to stop.
struct ProbeOptions {
  var address: SocketAddress
  /// What to do, in this order; nothing: receive reports.
  var tasks: [ProbeTask] = []
  /// One JSON object per line instead of text for people.
  var json = false
  /// Seconds that reports are watched, or each task goes on; 0: only describe the device, or no limit for tasks;
  /// nil: until `count` is reached or a signal comes.
  var duration: UInt32?
  /// Reports to wait for, exchanges or round trips to make, blocks to read; nil: no limit, or the task's default.
  var count: Int?
  /// Seconds to wait for the connection, the hello and the device's announcement together, and for the answer of
  /// a device.
  var timeout: UInt32 = 10
  /// The file that gets what IN endpoints bring, and the one that OUT endpoints are fed from; `-` for standard
  /// output and input.
  var output: String?
  var input: String?
  /// Bulk reads use buffered bulk receiving.
  var isBuffered = false
  /// Latencies are measured: each exchange is counted and not printed.
  var measuresLatency: Bool { tasks.contains { if case .latency = $0 { true } else { false } } }
}

/// One thing to do with a device.
enum ProbeTask: Equatable {
  case descriptors
  /// With the data of an OUT request.
  case control(SetupPacket, [UInt8])
  case configuration(UInt8)
  case alternateSetting(interface: UInt8, UInt8)
  case reset
  /// All at the same time.
  case bulk([BulkJob])
  case disk
  /// Seconds; nil: until the duration is over or a signal comes.
  case iso(EndpointAddress, seconds: UInt32?)
  case latency
  /// A report for the interrupt OUT endpoint, answered on the interrupt IN endpoint; padded with zeros to a packet
  /// of the endpoint.
  case exchange([UInt8], isPadded: Bool)
}

/// Bulk transfers on one endpoint, one behind the other.
struct BulkJob: Equatable {
  static let defaultSize = 64 << 10
  static let defaultDepth = 8

  var endpoint: EndpointAddress
  /// Bytes in all; nil: until the duration or the input is over, or a signal comes.
  var total: UInt64?
  /// Bytes of a transfer.
  var size = BulkJob.defaultSize
  /// Transfers in flight at a time.
  var depth = BulkJob.defaultDepth
}
