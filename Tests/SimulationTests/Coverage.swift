// What the lives were made of: how often each kind of event occurred. A kind that never occurs is a part of the
// simulation that tests nothing.

/// Counts over any number of lives.
final class Coverage {
  enum Kind: Int, CaseIterable {
    // Guests.
    case guestValid, guestSlow, guestHostile, guestVanishing, guestSilent, guestConnected, guestRefused
    case guestLeft, guestLeftUnread, guestReadingPaused, guestTookOver, guestEndedByServer
    case guestSettled, serverStopped, serverConnected
    // What guests do.
    case requestControl, requestBulk, requestInterrupt, requestBad, requestCancelled, idReused
    case requestSetConfiguration, requestSetInterface, requestClearHalt, requestSetAddress
    case askGetConfiguration, askSetConfiguration, askGetAlternate, askSetAlternate, askReset
    case askAllocateStreams, askFreeStreams, askFilter, askReject, askAcknowledge, askLate
    case startInterrupt, stopInterrupt, startBulk, stopBulk, startIso, stopIso, isoSent
    case startAgain, startBad, garbage
    // What they get.
    case gotReport, gotBulkReport, gotIso, gotStreamError, gotEnded, gotStreamStatus
    case gotAnswer, gotRefusal, gotCancelled, gotDeviceError, gotIOError
    case gotAnnouncement, gotDisconnect, gotInfos, gotStatus, silentRestart, isoDropped
    // The network.
    case shortReceive, shortSend, refusedReceive, refusedSend, interrupted, pausedLine, resetLine, narrowLine
    // The device.
    case completed, shortTransfer, emptyTransfer, stalled, failedTransfer, timedOut, overflowed
    case outOfOrder, cancelledEmpty, cancelledWithData, cancelledTooLate, refusedSubmit, noMemory
    case callDone, callFailed, callStalled, callChanged, callGone, slowCall, transferDuringCall
    case unplugged, unpluggedDuringCall, plugged, opened, openedLate, openRefused, openAbsent, closed,
      openUnwanted
    // The server's own limits.
    case pausedStream, aboveHighWater, overBudget
  }

  private(set) var counts = [UInt64](repeating: 0, count: Kind.allCases.count)

  func count(_ kind: Kind) {
    counts[kind.rawValue] += 1
  }

  /// The kinds that did not occur.
  var missing: [Kind] {
    Kind.allCases.filter { counts[$0.rawValue] == 0 }
  }

  /// A line for each kind.
  var text: String {
    Kind.allCases.map { "\(counts[$0.rawValue])  \($0)" }.joined(separator: "\n")
  }
}
