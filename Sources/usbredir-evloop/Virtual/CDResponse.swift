// What a CD answers beyond a disk: its table of contents, with one track of data, and what the drive can do. MMC-6.

extension SCSIResponse {
  /// The capabilities page 2Ah without its header (MMC-3, 5.5.10): reads CD-R, CD-RW and DVD, in sessions and
  /// either form of mode 2; a tray that locks and ejects; 40 times the speed of an audio CD.
  static let cdCapabilities: [UInt8] = [
    0x0b, 0, 0x70, 0, 0x29, 0, 0x1b, 0x90, 0, 0, 0, 0, 0x1b, 0x90,
  ]

  /// True when it was one of a CD's own commands, and the answer is there.
  mutating func answerCD(
    _ command: CommandBlock, _ geometry: DiskGeometry, isLoaded: Bool
  ) throws(SenseData) -> Bool {
    switch command.operation {
    case SCSIOperation.getConfiguration: configure(command, geometry, isLoaded: isLoaded)
    case SCSIOperation.getEventStatusNotification:
      // Only by asking, there is no queue of events to wait for.
      guard command[1] & 1 != 0 else { throw .invalidField }
      notify(command[4], isLoaded: isLoaded)
    case SCSIOperation.readTOC:
      guard isLoaded else { throw .mediumNotPresent }
      try readTOC(command, geometry)
    case SCSIOperation.readDiscInformation:
      guard isLoaded else { throw .mediumNotPresent }
      guard command[1] & 7 == 0 else { throw .invalidField }
      // Complete, with a complete last session; session 1 with track 1 is all there is.
      add([0, 32, 0x0e, 1, 1, 1, 1, 0x20])
      add([UInt8](repeating: 0, count: 26))
    default: return false
    }
    return true
  }

  /// GET EVENT STATUS NOTIFICATION, 6.7: of the media class (4) alone, and nothing new.
  private mutating func notify(_ classes: UInt8, isLoaded: Bool) {
    if classes & 0x10 != 0 {
      add([0, 6, 4, 0x10, 0, isLoaded ? 2 : 0, 0, 0])
    } else {
      add([0, 2, 0x80, 0x10])
    }
  }

  /// GET CONFIGURATION, 6.6: features as 5.3 has them, each with number, version and flags (bit 0 current, bit
  /// 1 persistent), the length of the rest, and the rest.
  private mutating func configure(_ command: CommandBlock, _ geometry: DiskGeometry, isLoaded: Bool) {
    let dvd: UInt8 = 0x10
    let cd: UInt8 = 0x08
    // 80 minutes of 75 blocks a second are the longest CD.
    let isDVD = geometry.blocks > 80 * 60 * 75
    let profile = !isLoaded ? 0 : isDVD ? dvd : cd
    add([0, 0, 0, 0, 0, 0, 0, profile])
    let features: [[UInt8]] = [
      // Profiles: DVD-ROM, CD-ROM.
      [0, 0x00, 3, 8, 0, dvd, profile == dvd ? 1 : 0, 0, 0, cd, profile == cd ? 1 : 0, 0],
      // Core: behind USB.
      [0, 0x01, 0x0b, 8, 0, 0, 0, 8, 1, 0, 0, 0],
      // Removable medium: a tray, which locks and ejects.
      [0, 0x03, 3, 4, 0x29, 0, 0, 0],
      // Random readable: 2048 bytes a block.
      [0, 0x10, isLoaded ? 1 : 0, 8, 0, 0, 8, 0, 0, 1, 0, 0],
      [0, 0x1e, profile == cd ? 9 : 8, 4, 0, 0, 0, 0],
      [0, 0x1f, profile == dvd ? 1 : 0, 0],
    ]
    let first = command.u16(at: 2)
    for feature in features {
      let number = UInt16(feature[1])
      switch command[1] & 3 {
      case 0 where number >= first, 1 where number >= first && feature[2] & 1 != 0, 2 where number == first:
        add(feature)
      default: break
      }
    }
    setLength(at: 0, size: 4)
  }

  /// READ TOC/PMA/ATIP, 6.25: the table of contents, the sessions, or what stands in the lead-in (raw).
  private mutating func readTOC(_ command: CommandBlock, _ geometry: DiskGeometry) throws(SenseData) {
    let usesTime = command[1] & 2 != 0
    // ADR 1 (position), control 4 (a track of data).
    let control: UInt8 = 0x14
    let leadOut: UInt8 = 0xaa
    let end = UInt32(clamping: geometry.blocks)
    // Old hosts ask with the two upper bits of the control byte.
    let format = command[2] & 0x0f != 0 ? command[2] & 0x0f : command[9] >> 6
    add([0, 0, 1, 1])
    switch format {
    case 0:
      guard command[6] <= 1 || command[6] == leadOut else { throw .invalidField }
      if command[6] <= 1 {
        add([0, control, 1, 0])
        add(position(0, usesTime))
      }
      add([0, control, leadOut, 0])
      add(position(end, usesTime))
    case 1:
      add([0, control, 1, 0])
      add(position(0, usesTime))
    case 2:
      // The first track, the last one, the lead-out, and where the track begins.
      for (point, place) in [
        (0xa0 as UInt8, 1 << 16 as UInt32), (0xa1, 1 << 16), (0xa2, time(end)), (1, time(0)),
      ] {
        add([1, control, 0, point, 0, 0, 0])
        add(place)
      }
    default: throw .invalidField
    }
    setLength(at: 0, size: 2)
  }

  private func position(_ block: UInt32, _ usesTime: Bool) -> UInt32 {
    usesTime ? time(block) : block
  }

  /// Minute, second and frame, a byte each behind an empty one; 2 seconds come before block 0. Table 679.
  private func time(_ block: UInt32) -> UInt32 {
    let frames = block > .max - 150 ? .max : block + 150
    return (min(frames / 4500, 255) << 16) | ((frames / 75 % 60) << 8) | (frames % 75)
  }
}
