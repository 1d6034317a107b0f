// Seeds whose lives once failed, for as long as they still mean what they meant: a change of the simulation gives a seed
// another life.

enum RegressionSeeds {
  static let all: [UInt64] = [8, 93, 16021]
}
