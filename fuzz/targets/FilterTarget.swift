// Any text for a guest's filter: what is read is written so that it reads the same again, and a device that is denied
// is denied by a rule that denies.

func fuzzFilter(_ input: FuzzInput) {
  var input = input
  let text = input.rest()
  guard let filter = try? Filter(parsing: text.span) else { return }
  let written = Array(filter.description.utf8)
  check((try? Filter(parsing: written.span)) == filter, "a filter does not read as it was written")
  let interface = FilteredDevice.Interface(classCode: 3, subclass: 0, protocol: 0)
  let device = FilteredDevice(
    deviceClass: 9, vendor: 1, product: 2, deviceVersion: 3, interfaces: [interface, interface])
  if case .denied(let rule) = filter.verdict(on: device) {
    check(!filter.rules[rule].allow, "an allowing rule denies")
  }
}
