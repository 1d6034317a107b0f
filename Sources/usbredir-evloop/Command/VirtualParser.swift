// What an export of the command line says of a virtual device → `VirtualDeviceOptions`.

/// Reads the kind of a virtual device and the keys that go with it.
func takeVirtual(_ items: inout ExportItems) throws(OptionsError) -> VirtualDeviceOptions {
  let kind = try items.take("virtual")
  switch kind {
  case "keyboard":
    let text = try items.take("text", parseTypedText)
    let delay = try takeNumber(&items, "delay", 0...3_600_000)
    return .keyboard(
      KeyboardOptions(
        text: text, input: try items.take("input"), delay: delay.map { UInt32($0) } ?? HIDDevice.settling))
  case "tablet": return .pointer(try takePointer(&items, .tablet))
  case "mouse": return .pointer(try takePointer(&items, .mouse))
  case "echo": return .echo(EchoOptions(answersFirst: try items.takeSwitch("answer-first")))
  case "disk": return .disk(try takeDisk(&items))
  case "scripted":
    return .scripted(ScriptedOptions(script: try items.take("script"), input: try items.take("input")))
  case "source-sink": return .sourceSink
  default:
    throw OptionsError(
      "virtual: '" + (kind ?? "") + "' is none of keyboard, tablet, mouse, disk, echo, source-sink, scripted")
  }
}

private func takePointer(
  _ items: inout ExportItems, _ kind: PointerKind
) throws(OptionsError) -> PointerOptions {
  let events = try items.take("events") { text throws(OptionsError) in
    do throws(ScriptError) {
      return try PointerStep.parse(commands: text, for: kind)
    } catch {
      throw OptionsError(error.reason)
    }
  }
  return PointerOptions(kind: kind, events: events ?? [], input: try items.take("input"))
}

private func takeDisk(_ items: inout ExportItems) throws(OptionsError) -> DiskOptions {
  guard let image = try items.take("image") else {
    throw OptionsError("virtual=disk needs image=PATH, a file or a block device")
  }
  return DiskOptions(
    image: image, isReadOnly: try items.takeSwitch("ro"), isCD: try items.takeSwitch("cdrom"),
    serial: try items.take("serial", parseDiskSerial))
}

/// BOT 4.1.1 wants 12 digits or more, and no others than these; a string descriptor holds 126.
private func parseDiskSerial(_ text: String) throws(OptionsError) -> String {
  let isValid = text.utf8.allSatisfy { Hex.digit($0) != nil && $0 < UInt8(ascii: "a") }
  if isValid && 12...126 ~= text.utf8.count { return text }
  throw OptionsError("'" + text + "' is not 12 to 126 digits 0-9 and A-F, which is what a USB disk needs")
}

/// Text that the keyboard has keys for.
private func parseTypedText(_ text: String) throws(OptionsError) -> String {
  do throws(KeyboardTextError) {
    try KeyboardLayout.check(text)
    return text
  } catch {
    throw OptionsError(error.description)
  }
}
