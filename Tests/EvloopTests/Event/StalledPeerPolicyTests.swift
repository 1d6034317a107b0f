// B7.2: the user timeout ends a dead guest and spares a paused one.
import Testing

@testable import usbredir_evloop

struct StalledPeerPolicyTests {
  struct Look {
    let waiting: Bool
    let unacked: UInt32
    let probes: UInt32
    let action: StalledPeerPolicy.Action

    init(_ waiting: Bool, _ unacked: UInt32, _ probes: UInt32, _ action: StalledPeerPolicy.Action) {
      (self.waiting, self.unacked, self.probes, self.action) = (waiting, unacked, probes, action)
    }
  }

  static let lift = StalledPeerPolicy.Action.setUserTimeout(0)
  static let restore = StalledPeerPolicy.Action.setUserTimeout(25_000)

  @Test(arguments: [
    ("nothing on its way", [Look(false, 0, 0, .none)]),
    ("on its way", [Look(true, 3, 0, .none), Look(false, 3, 0, .none), Look(false, 0, 0, .none)]),
    ("paused, then read", [Look(true, 0, 0, lift), Look(true, 0, 1, .none), Look(true, 2, 0, restore)]),
    ("paused, then taken", [Look(true, 0, 0, lift), Look(false, 0, 0, restore), Look(false, 0, 0, .none)]),
    ("paused twice", [Look(true, 0, 0, lift), Look(true, 1, 0, restore), Look(true, 0, 0, lift)]),
    ("paused, then dead", [Look(true, 0, 0, lift), Look(true, 0, 4, .none), Look(true, 0, 5, .giveUp)]),
    ("dead at the first look", [Look(true, 0, 9, .giveUp)]),
    ("probes of another kind", [Look(true, 1, 9, .none), Look(false, 0, 9, .none)]),
  ])
  func decides(_ name: String, _ looks: [Look]) {
    var policy = StalledPeerPolicy(userTimeout: 25_000, windowProbes: 5)
    for (index, look) in looks.enumerated() {
      let action = policy.observe(waiting: look.waiting, unacked: look.unacked, probes: look.probes)
      #expect(action == look.action, "\(name), look \(index)")
    }
  }

  @Test func withoutUserTimeoutOnlyProbesCount() {
    var policy = StalledPeerPolicy(userTimeout: 0, windowProbes: 5)
    #expect(policy.observe(waiting: true, unacked: 0, probes: 0) == .none)
    #expect(policy.observe(waiting: true, unacked: 0, probes: 5) == .giveUp)
  }

  @Test func withoutProbesAPausedGuestIsKept() {
    var policy = StalledPeerPolicy(userTimeout: 25_000, windowProbes: 0)
    #expect(policy.observe(waiting: true, unacked: 0, probes: 99) == .setUserTimeout(0))
  }
}
