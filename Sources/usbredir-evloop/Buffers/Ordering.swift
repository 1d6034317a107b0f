// Sorting by a number. Every kind of element would bring a sort of its own into the Embedded build; here one
// sort of positions serves all.

extension Array {
  /// The elements from the lowest key to the highest; those with equal keys stay in their order.
  func sorted(byKey key: (Element) -> UInt64) -> [Element] {
    positions(inOrderOf: map(key)).map { self[$0] }
  }
}

@inline(never) private func positions(inOrderOf keys: [UInt64]) -> [Int] {
  Array(keys.indices).sorted { keys[$0] < keys[$1] }
}
