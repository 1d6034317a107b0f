// The interrupt engine on an isochronous IN endpoint (B6.2): transfers of several packets.
import Testing

@testable import usbredir_evloop

struct IsoReceivingTests {
  private func started(packets: Int = 2, depth: Int = 3) -> PipeUser {
    let user = PipeUser(depth: depth, length: 8 * packets, isoPackets: packets)
    user.pipe.start()
    return user
  }

  @Test("depth transfers are posted, and each again before its packets are handed out")
  func keepsDepthPosted() {
    let user = started()
    #expect(user.device.posted.count == 3)
    #expect(user.device.posted.allSatisfy { $0.packets.map { $0.length } == [8, 8] && $0.length == 16 })
    var postedAtReport = 0
    user.onEvent = { [user = Unowned(user)] _ in postedAtReport = user.value.device.posted.count }
    user.device.complete(0, packets: [(.completed, [1, 2]), (.completed, [])])
    #expect(user.take() == ["#0 [0102,]"])
    #expect(postedAtReport == 3)
    user.device.complete(0, packets: [(.failed, []), (.completed, [3, 4, 5, 6, 7, 8, 9, 10])])
    #expect(user.take() == ["#1 [failed,030405060708090a]"])
  }

  @Test("a transfer that fails as a whole is told, and the next one goes on with its number")
  func failedTransfer() {
    let user = started()
    user.device.complete(0, .failed)
    user.device.complete(0, packets: [(.completed, [1]), (.completed, [2])])
    #expect(user.take() == ["#0 failed", "#1 [01,02]"])
  }

  @Test("a stall: cancel, clear halt, restart from 0")
  func stall() {
    let user = started()
    user.device.complete(0, packets: [(.completed, [1]), (.completed, [2])])
    user.device.complete(0, .stalled)
    user.device.completeCancelled()
    #expect(user.take() == ["#0 [01,02]", "cancel", "clear halt"])
    user.pipe.haltCleared(true)
    #expect(user.device.posted.count == 3)
    user.device.complete(0, packets: [(.completed, [3]), (.completed, [4])])
    #expect(user.take() == ["#0 [03,04]"])
  }

  @Test("stop: what was cancelled half-way is not handed out")
  func stop() {
    let user = started()
    user.pipe.stop()
    #expect(user.take() == ["cancel"])
    user.device.complete(2, .cancelled, [1, 2, 3])
    user.device.completeCancelled()
    #expect(user.take() == ["ended stopped"])
  }
}
