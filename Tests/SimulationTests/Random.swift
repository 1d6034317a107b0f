// Chance, all of it from one seed.

/// SplitMix64: small, fast, and the same on every machine.
struct Random {
  private var state: UInt64

  init(seed: UInt64) {
    state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 0x1234_5678_9abc_def1
  }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
    return value ^ (value >> 31)
  }

  /// 0 to `bound` - 1.
  mutating func below(_ bound: Int) -> Int {
    Int(next() % UInt64(max(1, bound)))
  }

  mutating func within(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.upperBound - range.lowerBound + 1)
  }

  /// True so many times in a thousand.
  mutating func chance(_ perMille: Int) -> Bool {
    below(1000) < perMille
  }

  mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[below(choices.count)]
  }

  /// Small numbers often and large ones at times: each power of two up to `bound` is as likely as any other.
  mutating func skewed(_ bound: Int) -> Int {
    let bits = Int.bitWidth - max(1, bound).leadingZeroBitCount
    return min(bound, below(1 << within(0...bits)))
  }
}
