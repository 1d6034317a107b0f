// Every transfer that a device made and that still lives: libusb's part of each must be freed before its
// context is.
import CLibUSB

/// A list through the transfers themselves; keeps none of them alive. Loop thread only.
@safe struct TransferRegister {
  private unowned(unsafe) var first: USBTransfer?

  mutating func add(_ transfer: USBTransfer) {
    unsafe transfer.newer = nil
    unsafe transfer.older = first
    unsafe first?.newer = transfer
    unsafe first = transfer
  }

  mutating func remove(_ transfer: USBTransfer) {
    if let newer = unsafe transfer.newer {
      unsafe newer.older = transfer.older
    } else {
      unsafe first = transfer.older
    }
    unsafe transfer.older?.newer = transfer.newer
    unsafe transfer.newer = nil
    unsafe transfer.older = nil
  }

  /// Those that libusb has and that nobody cancelled yet, of the endpoints in `slots` (bit = slot), youngest
  /// first.
  func posted(on slots: UInt32) -> [USBTransfer] {
    var found: [USBTransfer] = []
    var next = unsafe first
    while let transfer = next {
      let slot = transfer.type == .control ? 0 : transfer.endpoint.slot
      if transfer.isPosted && transfer.state == .submitted && slots & 1 << UInt32(slot) != 0 {
        found.append(transfer)
      }
      next = unsafe transfer.older
    }
    return found.sorted(byKey: { $0.number }).reversed()
  }

  /// Frees libusb's part of all; none is posted.
  mutating func closeAll() {
    while let transfer = unsafe first {
      remove(transfer)
      transfer.close()
    }
  }
}
