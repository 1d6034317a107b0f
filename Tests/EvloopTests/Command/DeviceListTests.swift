// `list` as text: the table's columns and the JSON's escapes.
import Testing

@testable import usbredir_evloop

struct DeviceListTests {
  private let rows = [
    DeviceRow(
      device: USBDeviceInfo(
        bus: 1, address: 1, ports: [], vendor: 0x1d6b, product: 2, classCode: 9, speed: .high,
        productName: "xHCI Host Controller"),
      holders: ["hub"]),
    DeviceRow(
      device: USBDeviceInfo(
        bus: 1, address: 14, ports: [2, 3], vendor: 0x46d, product: 0xc31c, classCode: 0, speed: .low,
        serial: "A\"\\\n\u{1b}[0m",
        interfaces: [
          USBInterfaceInfo(number: 0, classCode: 3), USBInterfaceInfo(number: 1, classCode: 3),
          USBInterfaceInfo(number: 2, classCode: 0xff),
        ]),
      holders: ["usbhid", "app (pid 8)"]),
  ]

  @Test func table() {
    #expect(
      deviceTable(rows) == """
        BUS  ADDRESS  PORT   ID         SPEED  CLASS                SERIAL    PRODUCT               HELD BY
        1    1        usb1   1d6b:0002  high   hub                  -         xHCI Host Controller  hub
        1    14       1-2.3  046d:c31c  low    hid+vendor-specific  A"\\??[0m  -                     usbhid, app (pid 8)

        """)
  }

  @Test("no devices: the head line alone, and an empty array") func empty() {
    #expect(deviceTable([]) == "BUS  ADDRESS  PORT  ID  SPEED  CLASS  SERIAL  PRODUCT  HELD BY\n")
    #expect(deviceJSON([]) == "[]\n")
  }

  @Test func json() {
    #expect(
      deviceJSON(rows) == #"""
        [
          {"bus": 1, "address": 1, "port": "usb1", "id": "1d6b:0002", "speed": "high", "class": ["hub"], "serial": null, "product": "xHCI Host Controller", "held_by": ["hub"]},
          {"bus": 1, "address": 14, "port": "1-2.3", "id": "046d:c31c", "speed": "low", "class": ["hid", "vendor-specific"], "serial": "A\"\\\n\u001b[0m", "product": null, "held_by": ["usbhid", "app (pid 8)"]}
        ]

        """#)
  }

  @Test(
    "RFC 8259, section 7",
    arguments: [
      ("", #""""#), ("a\"b\\c", #""a\"b\\c""#), ("\t\n\r\0", #""\t\n\u000d\u0000""#),
      ("\u{7f}\u{9b}", #""\u007f\u009b""#), ("Ünïcode 😀", "\"Ünïcode 😀\""),
    ])
  func strings(text: String, json: String) {
    #expect(jsonString(text) == json)
  }
}
