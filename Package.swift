// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .strictMemorySafety(),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("ExistentialAny"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "usbredir-evloop",
  targets: [
    .systemLibrary(
      name: "CEvent", pkgConfig: "libevent_core", providers: [.apt(["libevent-dev"])]),
    .systemLibrary(
      name: "CLibUSB", pkgConfig: "libusb-1.0", providers: [.apt(["libusb-1.0-0-dev"])]),
    .target(name: "CPosix"),
    .executableTarget(
      name: "usbredir-evloop", dependencies: ["CEvent", "CLibUSB", "CPosix"],
      swiftSettings: settings),

    // What follows is for `swift test` alone: real peers to hold our bytes and calls against.
    .systemLibrary(
      name: "CUsbredirParser", path: "Tests/CUsbredirParser", pkgConfig: "libusbredirparser-0.5",
      providers: [.apt(["libusbredirparser-dev"])]),
    .systemLibrary(
      name: "CMockedUsbfs", path: "Tests/CMockedUsbfs", pkgConfig: "umockdev-1.0",
      providers: [.apt(["libumockdev-dev"])]),
    .target(name: "CAllocationCount", path: "Tests/CAllocationCount"),
    .target(name: "CSimulatedSocket", path: "Tests/CSimulatedSocket"),
    .testTarget(
      name: "EvloopTests", dependencies: ["usbredir-evloop", "CPosix", "CAllocationCount"],
      swiftSettings: settings),
    .testTarget(
      name: "EmbeddedTests", dependencies: ["usbredir-evloop"], exclude: ["Runner"], swiftSettings: settings),
    .testTarget(
      name: "SimulationTests", dependencies: ["usbredir-evloop", "CPosix", "CSimulatedSocket"],
      exclude: ["Runner", "mutations"], swiftSettings: settings),
    .testTarget(
      name: "InteropTests", dependencies: ["usbredir-evloop", "CUsbredirParser", "CPosix"],
      swiftSettings: settings),
    .testTarget(
      name: "MockedUsbfsTests", dependencies: ["usbredir-evloop", "CMockedUsbfs", "CPosix"],
      swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu17
)
