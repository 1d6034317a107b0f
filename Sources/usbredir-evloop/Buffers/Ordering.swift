// Sorting by a number. Every kind of element would bring a sort of its own into the Embedded build; here one
// sort of positions serves all.

extension Array {
  /// The elements from the lowest key to the highest; those with equal keys stay in their order.
  func sorted(byKey key: (Element) -> UInt64) -> [Element] {
    positions(inOrderOf: map(key)).map { self[$0] }
  }
}

/// By insertion: what is sorted here are the transfers of an endpoint or the devices of a machine, and the standard
/// library's own sort is several times as large.
@inline(never) private func positions(inOrderOf keys: [UInt64]) -> [Int] {
  var sorted: [Int] = []
  for position in keys.indices {
    var place = sorted.count
    while place > 0 && keys[sorted[place - 1]] > keys[position] { place -= 1 }
    sorted.insert(position, at: place)
  }
  return sorted
}
