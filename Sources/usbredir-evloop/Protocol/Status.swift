// How the usb-host says a request or a stream ended.

/// The status byte of answers and data packets. `usbredirproto.h`, `usb_redir_success` and following.
enum Status: UInt8, CustomStringConvertible {
  case success
  case cancelled
  /// The request itself was wrong: packet, length, endpoint.
  case inval
  case ioerror
  case stall
  case timeout
  /// The device sent more than was asked for.
  case babble

  /// The status behind a byte of the peer's. A number of a later version is some failure, so it reads as
  /// `ioerror`.
  init(wire: UInt8) {
    self = Status(rawValue: wire) ?? .ioerror
  }

  /// The name in the protocol's text.
  var description: String {
    switch self {
    case .success: "success"
    case .cancelled: "cancelled"
    case .inval: "inval"
    case .ioerror: "ioerror"
    case .stall: "stall"
    case .timeout: "timeout"
    case .babble: "babble"
    }
  }
}
