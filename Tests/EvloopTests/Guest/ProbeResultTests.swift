// Results as text and as JSON.
import Testing

@testable import usbredir_evloop

struct ProbeResultTests {
  private func result(_ build: (inout ProbeResult) -> Void) -> ProbeResult {
    var result = ProbeResult("read", "endpoint", "0x82")
    build(&result)
    return result
  }

  @Test func everyKindOfValue() {
    let result = result {
      $0.add("status", text: "success")
      $0.add("serial", text: nil)
      $0.add("block_size", 512)
      $0.add("duration", seconds: 1_234_567_899)
      $0.add("max", microseconds: 12_345)
      $0.add("product", text: "A\u{1b}\"")
      $0.add("data", .data([0, 0xff]))
    }
    #expect(
      ProbeText.lines(.result(result))
        == "read 0x82: success, block size 512, duration 1.234567 s, max 12.345 µs, product A?\", data 00 ff\n"
    )
    #expect(
      ProbeJSON.line(.result(result))
        == #"{"event": "read", "endpoint": "0x82", "status": "success", "serial": null, "block_size": 512, "#
        + #""duration": 1.234567, "max": 12.345, "product": "A\u001b\"", "data": "00ff"}"# + "\n")
  }

  @Test func manyBytesAreRows() {
    let result = result { $0.add("data", .data((0..<20).map { UInt8($0) })) }
    #expect(
      result.text == """
        read 0x82: data
          0000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f
          0010  10 11 12 13

        """)
  }

  @Test func trees() {
    var result = ProbeResult("descriptor", "type", "endpoint", depth: 2)
    result.add("bInterval", 4)
    #expect(result.text == "    endpoint: bInterval 4\n")
  }

  @Test func numbers() {
    #expect(
      [(0, 2), (5, 2), (12345, 2)].map { fixedText(UInt64($0.0), $0.1) } == [
        "0.00", "0.05", "123.45",
      ])
    #expect(perSecond(1000, 500_000_000) == 2000)
    #expect(perSecond(5, 0) == 5_000_000)
    #expect(perSecond(1 << 43, 1000) == (1 << 43) * 1_000_000)
    // Twenty terabytes in five hours.
    #expect(perSecond(20_000_000_000_000, 20_000_000_000_000) == 1_000_000_000)
  }

  @Test func throughput() {
    var throughput = Throughput(begin: 1_000_000_000)
    throughput.add(65536, at: 1_500_000_000)
    throughput.add(65536, at: 2_000_000_000)
    let result = result { throughput.add(to: &$0, "transfers") }
    #expect(
      result.text
        == "read 0x82: bytes 131072, duration 1.000000 s, throughput 0.13 MB/s, transfers 2, rate 2.0 /s, errors 0\n"
    )
  }
}
