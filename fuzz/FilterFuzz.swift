// Random texts for the filter, under libFuzzer: what it reads it writes so that it reads the same again.

@c(LLVMFuzzerTestOneInput)
func fuzzFilter(_ data: UnsafePointer<UInt8>, _ size: Int) -> Int32 {
  let bytes = unsafe Span(_unsafeStart: data, count: size)
  guard let filter = try? Filter(parsing: bytes) else { return 0 }
  let text = Array(filter.description.utf8)
  precondition((try? Filter(parsing: text.span)) == filter)
  let interface = FilteredDevice.Interface(classCode: 3, subclass: 0, protocol: 0)
  let device = FilteredDevice(
    deviceClass: 9, vendor: 1, product: 2, deviceVersion: 3, interfaces: [interface, interface])
  if case .denied(let rule) = filter.verdict(on: device) {
    precondition(!filter.rules[rule].allow)
  }
  return 0
}
