// A transfer: one piece of work for a device, used again and again. A device makes its own kind
// (`Device.makeTransfer`); whoever needs the work done fills it in, submits it and gets it back.
//
//     idle ──submit──▶ submitted ──completion──▶ idle
//                          │ cancel                ▲
//                          ▼                       │
//                      cancelling ──completion─────┘

/// The eight bytes that open a control transfer. USB 2.0, 9.3.
struct SetupPacket: Equatable {
  var requestType: UInt8
  var request: UInt8
  var value: UInt16
  var index: UInt16
  var length: UInt16

  /// True when the data stage goes from the device to us (bmRequestType bit 7).
  var isIn: Bool { requestType & 0x80 != 0 }
}

/// How a transfer ended. libusb's `LIBUSB_TRANSFER_*`, and what a failed submit amounts to.
enum TransferStatus {
  case completed
  case failed
  case timedOut
  case cancelled
  case stalled
  case deviceGone
  /// The device sent more than was asked for (babble).
  case overflow
  /// The submit was refused for lack of usbfs memory (`LIBUSB_ERROR_NO_MEM`): nothing happened on the bus.
  case noMemory
  /// The submit was refused for any other reason: nothing happened on the bus.
  case refused
}

/// One packet of an isochronous transfer: what it asks for, and what became of it.
struct IsoPacket: Equatable {
  /// Bytes to move. IN packets of a transfer all ask for the same.
  var length: UInt16 = 0
  var actualLength: UInt16 = 0
  var status = TransferStatus.completed

  /// The packet is over, and so much has moved, it is said: never more than there is room for.
  mutating func end(_ status: TransferStatus, moved count: UInt32) {
    self.status = status
    actualLength = UInt16(min(count, UInt32(length)))
  }
}

/// Gets a transfer back. Called by the device, once for each submit, never from within `submit` or `cancel`.
/// Loop thread only.
protocol TransferOwner: AnyObject {
  func completed(_ transfer: Transfer)
}

/// One transfer and what it carries. Subclassed by devices that need more (libusb). Loop thread only.
class Transfer {
  enum State {
    case idle
    case submitted
    case cancelling
  }

  /// Set by the device: `submit` and `cancel` move it on, the completion back to idle.
  final var state = State.idle
  final var type = TransferType.control
  final var endpoint = EndpointAddress.controlOut
  /// Where IN data goes and OUT data comes from. Must be there from submit to completion; a transfer for which there was
  /// no memory completes as `noMemory`.
  final var buffer: PacketBuffer?
  /// Bytes to move; at most the buffer's capacity. For control, the data stage alone; for isochronous, those of
  /// all packets.
  final var length = 0
  /// Milliseconds, 0 for none. usb: a non-zero one costs a system call per transfer.
  final var timeout: UInt32 = 0
  /// The setup packet of a control transfer.
  final var setup = SetupPacket(requestType: 0, request: 0, value: 0, index: 0, length: 0)
  /// Bulk stream id, 0 for none.
  final var streamID: UInt32 = 0

  /// Set by the device before the completion. `actualLength` is true also for a cancelled transfer.
  final var status = TransferStatus.completed
  final var actualLength = 0
  /// Isochronous: its packets, as many as it was made for. They stand one behind the other in the buffer, each in
  /// `length` bytes. The device sets what became of each; that stays until the next completion.
  final var packets: [IsoPacket]

  /// Who gets it back. Set before submit, kept alive until the completion was delivered.
  final var owner: (any TransferOwner)?
  /// For the owner's use; devices ignore it.
  final var tag: UInt64 = 0
  /// The next transfer of the list its owner keeps it in; devices have no use for it while the owner does.
  final var next: Transfer?

  /// - Parameter isoPackets: 0 but for isochronous transfers.
  init(isoPackets: Int = 0) {
    packets = Array(repeating: IsoPacket(), count: isoPackets)
  }
}
