// The ends of a transfer in the protocol's words, and back.

extension Status {
  /// What a guest is told of a transfer's end.
  init(_ status: TransferStatus) {
    self =
      switch status {
      case .completed: .success
      case .cancelled: .cancelled
      case .stalled: .stall
      case .timedOut: .timeout
      case .overflow: .babble
      case .failed, .deviceGone, .noMemory, .refused: .ioerror
      }
  }
}

extension TransferStatus {
  /// What a guest was told, as a transfer's end.
  init(_ status: Status) {
    self =
      switch status {
      case .success: .completed
      case .cancelled: .cancelled
      case .inval: .refused
      case .ioerror: .failed
      case .stall: .stalled
      case .timeout: .timedOut
      case .babble: .overflow
      }
  }
}
