// Little-endian numbers in bytes: how every usbredir and USB structure is read and written.
// Reading goes through `Span<UInt8>`, writing through `MutableRawSpan`; both compile to single loads and stores.

extension Span where Element == UInt8 {
  /// The little-endian number at `offset`; traps when it does not fit, so check the length once before.
  func u16(at offset: Int) -> UInt16 {
    UInt16(self[offset]) | UInt16(self[offset + 1]) << 8
  }

  /// As `u16(at:)`, 32 bits.
  func u32(at offset: Int) -> UInt32 {
    UInt32(self[offset]) | UInt32(self[offset + 1]) << 8
      | UInt32(self[offset + 2]) << 16 | UInt32(self[offset + 3]) << 24
  }

  /// As `u16(at:)`, 64 bits.
  func u64(at offset: Int) -> UInt64 {
    UInt64(u32(at: offset)) | UInt64(u32(at: offset + 4)) << 32
  }
}

extension MutableRawSpan {
  /// Stores one byte at `offset`; traps when it does not fit.
  mutating func put(_ value: UInt8, at offset: Int) {
    storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
  }

  /// Stores `value` little-endian at `offset`; traps when it does not fit.
  mutating func put(_ value: UInt16, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt16.self)
  }

  /// Stores `value` little-endian at `offset`; traps when it does not fit.
  mutating func put(_ value: UInt32, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt32.self)
  }

  /// Stores `value` little-endian at `offset`; traps when it does not fit.
  mutating func put(_ value: UInt64, at offset: Int) {
    storeBytes(of: value.littleEndian, toByteOffset: offset, as: UInt64.self)
  }
}
