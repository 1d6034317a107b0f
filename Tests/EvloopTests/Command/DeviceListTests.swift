// `list` as text: the table's columns and the JSON's escapes.
import Testing

@testable import usbredir_evloop

struct DeviceListTests {
  private let rows = [
    DeviceRow(
      bus: 1, ports: [], address: 1, vendor: 0x1d6b, product: 2, speed: .high, classCode: 9,
      name: "xHCI Host Controller", holders: ["hub"]),
    DeviceRow(
      bus: 1, ports: [2, 3], address: 14, vendor: 0x46d, product: 0xc31c, speed: .low, classCode: 0,
      interfaceClasses: [3, 3, 0xff], serial: "A\"\\\n\u{1b}[0m", name: nil, holders: ["usbhid", "usbfs"]),
  ]

  @Test func table() {
    #expect(
      deviceTable(rows) == """
        BUS  ADDRESS  PORT   ID         SPEED  CLASS                SERIAL    PRODUCT               HELD BY
        1    1        usb1   1d6b:0002  high   hub                  -         xHCI Host Controller  hub
        1    14       1-2.3  046d:c31c  low    hid+vendor-specific  A"\\??[0m  -                     usbhid+usbfs

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
          {"bus": 1, "address": 14, "port": "1-2.3", "id": "046d:c31c", "speed": "low", "class": ["hid", "vendor-specific"], "serial": "A\"\\\n\u001b[0m", "product": null, "held_by": ["usbhid", "usbfs"]}
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
