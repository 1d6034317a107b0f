// How large a packet may be. Every limit of the reader stands here, with its reason.

/// The limits one reader applies (B1.8).
struct PacketLimits {
  /// Bytes of one transfer, and so of the data of one packet. The option `max-transfer`.
  var maxTransfer: UInt32 = 8 << 20

  /// Bytes of one transfer as the C parser takes them: nothing larger may leave us (B1.9).
  static let parserTransfer: UInt32 = 128 << 20

  /// A packet whose header announces more than this is no packet (B1.7): the C parser's limit, its largest
  /// transfer with 1 KiB for the type header.
  static let packet: UInt32 = parserTransfer + 1024

  /// Capability words of a hello, in bytes: 64 words. usbredir has needed one in fifteen years.
  static let helloWords: UInt32 = 256

  /// Text of a filter: at least 580 rules. A rule is written in 28 bytes at most.
  static let filterText: UInt32 = 16 << 10

  /// The largest type header, that of ep_info with everything in force.
  static let typeHeader = 288
}
