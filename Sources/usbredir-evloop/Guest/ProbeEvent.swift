// What a probe has to tell, as plain values: `ProbeText` writes them for people, `ProbeJSON` for programs.

/// One thing that is told, in the order it happened. Times are nanoseconds since receiving was asked for.
enum ProbeEvent: Equatable {
  case hello(server: String, version: String, Capabilities)
  case device(GuestDevice, DeviceDetails)
  /// `interval` as `pollInterval` has it.
  case interface(InterfaceInfoHeader.Interface)
  case endpoint(GuestEndpoint, interval: UInt64?)
  case report(ProbeReport)
  case status(time: UInt64, EndpointAddress, ProbeStatus)
  case result(ProbeResult)
  case end(ProbeSummary)
}

/// One report of the device.
struct ProbeReport: Equatable {
  var time: UInt64
  var endpoint: EndpointAddress
  /// The packet's id.
  var sequence: UInt64
  var data: [UInt8]
  /// nil when the endpoint is no boot keyboard's.
  var keys: KeyChanges?
}

/// What happened on an endpoint beside reports.
enum ProbeStatus: Equatable {
  /// A packet with an error instead of a report.
  case failed(Status)
  case receiving(ReceivingChange)
}

/// What came of a probe.
struct ProbeSummary: Equatable {
  /// Reports of one endpoint.
  struct Tally: Equatable {
    var endpoint: EndpointAddress
    var reports: UInt64 = 0
  }

  /// Why it is over.
  var reason: String
  /// From the start of receiving, or of the first task, to the end.
  var duration: UInt64
  /// One for each endpoint that was started.
  var tallies: [Tally]
  /// False where no reports were asked for.
  var countsReports = true

  var reports: UInt64 { tallies.reduce(0) { $0 + $1.reports } }
}
