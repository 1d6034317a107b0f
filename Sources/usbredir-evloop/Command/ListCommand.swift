// `list`: asks the USB system once and prints what it sees.
import CPosix

/// Prints the devices; the exit status. To see none is an answer, told on standard error.
func listDevices(json: Bool) -> Int32 {
  let rows: [DeviceRow]
  do throws(ServerError) {
    rows = try pluggedInDevices().map { DeviceRow(device: $0, holders: DeviceHolder.names($0)) }
  } catch {
    printError(error.description)
    return 1
  }
  if rows.isEmpty { printError(reasonForNone()) }
  return printText(json ? deviceJSON(rows) : deviceTable(rows))
}

private func pluggedInDevices() throws(ServerError) -> [USBDeviceInfo] {
  // The system's own remarks are meant for a server that goes on.
  let log = Log(level: .error)
  let loop: EventLoop
  let calls: BlockingCalls
  do throws(SystemError) {
    loop = try EventLoop()
    calls = try BlockingCalls(loop)
  } catch {
    throw .system(error)
  }
  do throws(USBError) {
    return try USBSystem(loop: loop, log: log, calls: calls).devices()
  } catch {
    throw .usb(error)
  }
}

private func reasonForNone() -> String {
  guard unsafe access("/dev/bus/usb", F_OK) == 0 else {
    return "no USB devices: there is no usbfs here, /dev/bus/usb does not exist"
  }
  return "no USB devices are plugged in"
}
