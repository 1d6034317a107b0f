// A stream: receiving or sending that the guest started on an endpoint, and what the guest still has to hear of it.

/// One endpoint's stream. The pipe does the work; this remembers who asked for what.
final class Stream {
  let pipe: any StreamPipe
  /// The pipe, where it brings data.
  let input: InterruptPipe?
  /// The pipe, where it takes isochronous data.
  let output: IsoOutPipe?
  /// The pipe's pause after an error (B4.7) runs on this timer.
  let retry: Timer?
  /// Isochronous IN: the packets on their way to the guest. They may be as many as the stream itself buffers; what
  /// the guest does not read in that time is dropped (B6.4).
  let packets: BufferPool?
  /// The guest's stop, and what it asked behind that: answered when the pipe has ended.
  var unanswered: [UInt64] = []
  /// Stopped for an operation on the device; starts again from id 0 without notice (B3.2, B3.5).
  var isSuspended = false
  /// When the current pause began, in nanoseconds of the loop's clock.
  var pausedSince: UInt64?
  /// The log has said that packets are dropped since the guest started it.
  var hasToldDrops = false

  /// - Parameter loop: outlives the stream.
  init(receiving pipe: InterruptPipe, _ loop: EventLoop) {
    self.pipe = pipe
    input = pipe
    output = nil
    retry = Timer(loop) { [pipe = Unowned(pipe)] in pipe.value.delayPassed() }
    let parameters = pipe.parameters
    let isIso = parameters.type == .isochronous
    packets =
      isIso
      ? BufferPool(capacity: parameters.packetLength, keep: parameters.isoPackets * parameters.depth) : nil
  }

  init(sending pipe: IsoOutPipe) {
    self.pipe = pipe
    input = nil
    output = pipe
    retry = nil
    packets = nil
  }

  /// True while the guest has not read what came in the time that the stream buffers.
  var isBehind: Bool {
    guard let packets else { return false }
    return packets.inUse >= pipe.parameters.isoPackets * pipe.parameters.depth
  }
}
