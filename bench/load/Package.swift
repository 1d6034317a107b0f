// swift-tools-version: 6.0
// The load generator in the usb-guest role. A package of its own: what it depends on stays out of the product.
import PackageDescription

let package = Package(
  name: "usb-guests",
  dependencies: [
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
  ],
  targets: [
    .target(name: "CLoad"),
    .executableTarget(
      name: "usb-guests",
      dependencies: [
        "CLoad",
        .product(name: "Histogram", package: "hdrhistogram-swift"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .testTarget(name: "LoadTests", dependencies: ["usb-guests", "CLoad"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu17
)
