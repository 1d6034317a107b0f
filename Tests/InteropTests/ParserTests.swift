import CUsbredirParser
import Testing

@testable import usbredir_evloop

@Test func parserIsThere() { #expect(unsafe usbredirparser_create() != nil) }
