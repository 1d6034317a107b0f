// One `libusb_transfer` and the transfer it carries out, together for life: filled in and submitted again and
// again.
//
// The buffer is handed to libusb as it is. A control transfer's setup packet stands right in front of its
// data:
//
//     |  headroom …  | setup 8 |  data stage      |
//                    ^ libusb  ^ payload
import CLibUSB
import CPosix

/// A transfer on a `USBDevice`. Loop thread only.
@safe final class USBTransfer: Transfer {
  /// libusb's; nil while there was no memory for it, and when the device was closed.
  private(set) var pointer: UnsafeMutablePointer<libusb_transfer>?
  /// True while libusb has it.
  private(set) var isPosted = false
  /// Grows with every submit of the device: what is to be cancelled is cancelled youngest first.
  var number: UInt64 = 0
  /// The next one in the device's line of what waits.
  var nextWaiting: USBTransfer?
  /// It stands in a line of the device.
  fileprivate var isWaiting = false
  /// Its neighbours in the device's register, by when they were made.
  unowned(unsafe) var newer: USBTransfer?
  unowned(unsafe) var older: USBTransfer?
  /// nil when the device was closed.
  private unowned(unsafe) var device: USBDevice?

  /// - Parameter device: outlives this, or calls `close`.
  init(_ device: USBDevice, isoPackets: Int) {
    unsafe self.device = device
    super.init(isoPackets: isoPackets)
    allocate()
  }

  private func allocate() {
    unsafe pointer = libusb_alloc_transfer(Int32(packets.count))
    guard let pointer = unsafe pointer else { return }
    unsafe pointer.pointee.user_data = context(of: self)
    unsafe pointer.pointee.callback = { completed in
      guard let context = unsafe completed?.pointee.user_data else { return }
      unsafe Unmanaged<USBTransfer>.fromOpaque(context).takeRetainedValue().returned()
    }
  }

  deinit {
    unsafe device?.forget(self)
    unsafe libusb_free_transfer(pointer)
  }

  /// Frees libusb's part: it must not outlive the context.
  func close() {
    unsafe libusb_free_transfer(pointer)
    unsafe pointer = nil
    unsafe device = nil
  }

  /// Hands the transfer to libusb, which holds it until the completion; 0, or a `LIBUSB_ERROR_*` and nothing
  /// happened.
  @unsafe func post(on handle: OpaquePointer) -> Int32 {
    if unsafe pointer == nil && device != nil { allocate() }
    guard let pointer = unsafe pointer, let buffer else { return LIBUSB_ERROR_NO_MEM.rawValue }
    unsafe fill(&pointer.pointee, handle, buffer)
    if type == .bulk { unsafe libusb_transfer_set_stream_id(pointer, streamID) }
    for index in packets.indices {
      unsafe usbIsoPackets(pointer)[index].length = UInt32(packets[index].length)
    }
    let held = unsafe Unmanaged.passRetained(self)
    let code = unsafe libusb_submit_transfer(pointer)
    isPosted = code == 0
    if !isPosted { unsafe held.release() }
    return code
  }

  private func fill(_ fields: inout libusb_transfer, _ handle: OpaquePointer, _ buffer: PacketBuffer) {
    precondition(length >= 0 && length <= buffer.capacity)
    unsafe fields.dev_handle = handle
    unsafe fields.endpoint = endpoint.rawValue
    unsafe fields.type = libusbType
    unsafe fields.timeout = timeout
    unsafe fields.num_iso_packets = Int32(packets.count)
    let payload = unsafe buffer.payloadPointer.assumingMemoryBound(to: UInt8.self)
    if type == .control {
      unsafe fields.endpoint = 0
      unsafe fields.buffer = payload - USBTransfer.setupSize
      unsafe fields.length = Int32(USBTransfer.setupSize + length)
      unsafe writeSetup(payload - USBTransfer.setupSize)
    } else {
      unsafe fields.buffer = payload
      unsafe fields.length = Int32(length)
    }
  }

  private static let setupSize = MemoryLayout<libusb_control_setup>.size

  @unsafe private func writeSetup(_ start: UnsafeMutablePointer<UInt8>) {
    var span = unsafe MutableRawSpan(_unsafeStart: start, byteCount: USBTransfer.setupSize)
    span.put(setup.requestType, at: 0)
    span.put(setup.request, at: 1)
    span.put(setup.value, at: 2)
    span.put(setup.index, at: 4)
    span.put(setup.length, at: 6)
  }

  private var libusbType: UInt8 {
    switch type {
    case .control: UInt8(LIBUSB_TRANSFER_TYPE_CONTROL.rawValue)
    case .isochronous: UInt8(LIBUSB_TRANSFER_TYPE_ISOCHRONOUS.rawValue)
    case .bulk where streamID != 0: UInt8(LIBUSB_TRANSFER_TYPE_BULK_STREAM.rawValue)
    case .bulk: UInt8(LIBUSB_TRANSFER_TYPE_BULK.rawValue)
    case .interrupt: UInt8(LIBUSB_TRANSFER_TYPE_INTERRUPT.rawValue)
    }
  }

  /// libusb's completion. Its actual_length is true for a cancelled transfer as well (B4.8).
  private func returned() {
    guard let pointer = unsafe pointer else { return }
    state = .idle
    isPosted = false
    actualLength = unsafe Int(pointer.pointee.actual_length)
    status = unsafe TransferStatus(pointer.pointee.status)
    if !packets.isEmpty { unsafe packetsReturned(usbIsoPackets(pointer)) }
    if status == .deviceGone { unsafe device?.transferFoundDeviceGone() }
    owner?.completed(self)
  }

  /// libusb counts the bytes of an isochronous transfer in its packets alone, and a stall shows nowhere else. With
  /// usbip the numbers come from another machine, and the kernel holds only their sum against the buffer.
  @unsafe private func packetsReturned(_ packets: UnsafeMutablePointer<libusb_iso_packet_descriptor>) {
    actualLength = 0
    for index in self.packets.indices {
      let packet = unsafe packets[index]
      let packetStatus = TransferStatus(packet.status)
      self.packets[index].end(packetStatus, moved: packet.actual_length)
      actualLength += Int(self.packets[index].actualLength)
      if packetStatus == .stalled && status == .completed { status = .stalled }
    }
  }
}

extension TransferStatus {
  fileprivate init(_ status: libusb_transfer_status) {
    switch status {
    case LIBUSB_TRANSFER_COMPLETED: self = .completed
    case LIBUSB_TRANSFER_TIMED_OUT: self = .timedOut
    case LIBUSB_TRANSFER_CANCELLED: self = .cancelled
    case LIBUSB_TRANSFER_STALL: self = .stalled
    case LIBUSB_TRANSFER_NO_DEVICE: self = .deviceGone
    case LIBUSB_TRANSFER_OVERFLOW: self = .overflow
    default: self = .failed
    }
  }

  /// What a submit that failed with `code`, a `LIBUSB_ERROR_*`, amounts to.
  init(refusal code: Int32) {
    switch code {
    case LIBUSB_ERROR_NO_MEM.rawValue: self = .noMemory
    case LIBUSB_ERROR_NO_DEVICE.rawValue: self = .deviceGone
    default: self = .refused
    }
  }
}

/// Transfers that wait inside the device, first in first out.
struct WaitingTransfers {
  private var first: USBTransfer?
  private var last: USBTransfer?

  var isEmpty: Bool { first == nil }

  mutating func append(_ transfer: USBTransfer) {
    guard !transfer.isWaiting else { return }
    transfer.isWaiting = true
    if let last { last.nextWaiting = transfer } else { first = transfer }
    last = transfer
  }

  mutating func take() -> USBTransfer? {
    guard let transfer = first else { return nil }
    first = transfer.nextWaiting
    transfer.nextWaiting = nil
    transfer.isWaiting = false
    if first == nil { last = nil }
    return transfer
  }
}
