// Who we are, in the hello and in `--version`.

enum Version {
  static let number = "0.1.0"
  static let text = "usbredir-evloop " + number
}
