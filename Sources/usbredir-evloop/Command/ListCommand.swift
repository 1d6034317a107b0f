// `list`: asks for the devices and prints them.

/// Prints the devices; the exit status.
func listDevices(json: Bool) -> Int32 {
  let rows: [DeviceRow] = []
  return printText(json ? deviceJSON(rows) : deviceTable(rows))
}
