// swift-tools-version: 6.2

import PackageDescription

// What every Swift target is compiled with; applied in one place at the end.
let settings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .enableExperimentalFeature("Lifetimes"),
]

let argumentParser = Target.Dependency.product(
  name: "ArgumentParser",
  package: "swift-argument-parser"
)
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let grpcCore = Target.Dependency.product(name: "GRPCCore", package: "grpc-swift-2")
let grpcTransport = Target.Dependency.product(
  name: "GRPCNIOTransportHTTP2Posix",
  package: "grpc-swift-nio-transport"
)
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioHTTP2 = Target.Dependency.product(name: "NIOHTTP2", package: "swift-nio-http2")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let toml = Target.Dependency.product(name: "TOMLKit", package: "TOMLKit")

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")

let package = Package(
  name: "swift-castore",
  products: [
    .executable(name: "castore", targets: ["castore"]),
    .library(name: "BLAKE3", targets: ["BLAKE3"]),
    .library(name: "FUSE", targets: ["FUSE"]),
    .library(name: "NixCompat", targets: ["NixCompat"]),
    .library(name: "VirtioFS", targets: ["VirtioFS"]),
    .library(name: "Castore", targets: ["Castore"]),
    .library(name: "CastoreStorage", targets: ["CastoreStorage"]),
    .library(name: "CastoreFileSystem", targets: ["CastoreFileSystem"]),
    .library(name: "CastoreComposition", targets: ["CastoreComposition"]),
    .library(name: "FileTree", targets: ["FileTree"]),
    .library(name: "NixStore", targets: ["NixStore"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
    .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
    .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
    .package(url: "https://github.com/LebJe/TOMLKit", .upToNextMinor(from: "0.6.0")),
  ],
  targets: [
    // C: kernels, kernel interfaces the importer cannot see, and libraries of the system.
    .target(name: "CBLAKE3"),
    .target(name: "CLinux"),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CXXHash", pkgConfig: "libxxhash", providers: [.apt(["libxxhash-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
    .systemLibrary(
      name: "CLibArchive",
      pkgConfig: "libarchive",
      providers: [.apt(["libarchive-dev"])]
    ),

    // Leaves: no Foundation, no NIO, no packages but swift-crypto for NixCompat's hashes and keys, and
    // swift-system.
    .target(name: "Platform", dependencies: ["CLinux"]),
    .target(name: "BLAKE3", dependencies: ["CBLAKE3", "Platform"]),
    .target(name: "Chunking"),
    .target(name: "Zstandard", dependencies: ["CZstd"]),
    .target(name: "FUSE", dependencies: ["CLinux", "Platform"]),
    .target(name: "NixCompat", dependencies: [crypto]),
    .target(name: "Packs", dependencies: ["CLinux", "CXXHash", "Platform", system]),
    .target(name: "VirtioFS", dependencies: ["CLinux", "FUSE", "Platform"]),
    .target(name: "Castore", dependencies: ["BLAKE3", "Platform"]),

    // The store, trees on disk, and the file system over both.
    .target(
      name: "CastoreStorage",
      dependencies: [
        "BLAKE3", "Castore", "CastoreNames", "CLinux", "Packs", "Platform", system,
      ]
    ),
    .target(name: "CastoreNames", dependencies: ["BLAKE3", "Castore", "CSQLite", "Platform"]),
    .target(name: "FileTree", dependencies: ["BLAKE3", "Castore", "CLinux", "Platform"]),
    .target(
      name: "CastoreFileSystem",
      dependencies: ["BLAKE3", "CLinux", "Castore", "FUSE", "Platform", logging]
    ),

    // Stores made of stores, and their addresses: no network.
    .target(
      name: "CastoreComposition",
      dependencies: ["BLAKE3", "Castore", "NixCompat", "NixStore", "Platform", toml]
    ),

    // The network. Nothing else depends on gRPC.
    .target(name: "CastoreProtos", dependencies: [protobuf]),
    .target(
      name: "CastoreRPC",
      dependencies: [
        "BLAKE3", "Castore", "CastoreComposition", "CastoreProtos", "CLinux", "NixCompat",
        "NixStore", "Platform", grpcCore, grpcTransport, logging, nio, nioHTTP2, protobuf,
      ]
    ),
    .target(
      name: "NixStore",
      dependencies: ["Castore", "CLibArchive", "NixCompat", "Platform"]
    ),
    .executableTarget(
      name: "castore",
      dependencies: [
        "BLAKE3", "CLinux", "Castore", "CastoreComposition", "CastoreFileSystem", "CastoreRPC",
        "CastoreStorage", "FileTree", "FUSE", "NixCompat", "NixStore", "Platform", "VirtioFS",
        argumentParser, logging,
      ]
    ),

    // These measure; they are not shipped.
    .executableTarget(
      name: "castore-bench",
      dependencies: [argumentParser],
      path: "Benchmarks/castore-bench"
    ),
    .executableTarget(
      name: "b3bench",
      dependencies: ["BLAKE3", "Platform"],
      path: "Benchmarks/b3bench"
    ),
    .executableTarget(
      name: "packs-bench",
      dependencies: ["Packs", "Platform"],
      path: "Benchmarks/packs-bench"
    ),

    // Shared by test targets: conformance suites and fixtures.
    .target(
      name: "CastoreTestSupport",
      dependencies: ["BLAKE3", "Castore", "Platform"],
      path: "Tests/CastoreTestSupport"
    ),
    .target(
      name: "NixTestSupport",
      dependencies: ["Castore", "CastoreTestSupport", "NixCompat", "NixStore"],
      path: "Tests/NixTestSupport"
    ),
    .testTarget(name: "PlatformTests", dependencies: ["CLinux", "Platform"]),
    .testTarget(name: "BLAKE3Tests", dependencies: ["BLAKE3", "CBLAKE3", "Platform"]),
    .testTarget(
      name: "ChunkingTests",
      dependencies: ["BLAKE3", "CastoreTestSupport", "Chunking"]
    ),
    .testTarget(name: "ZstandardTests", dependencies: ["CastoreTestSupport", "Zstandard"]),
    // The program of docs/fuse-library.md.
    .executableTarget(name: "hello-fs", dependencies: ["FUSE"], path: "Tests/Helpers/hello-fs"),
    .testTarget(name: "FUSETests", dependencies: ["CLinux", "FUSE", "Platform", "hello-fs"]),
    .testTarget(
      name: "NixCompatTests",
      dependencies: ["NixCompat"],
      resources: [.copy("Fixtures")]
    ),
    .testTarget(name: "PacksTests", dependencies: ["Packs", "Platform", system]),
    .testTarget(name: "VirtioFSTests", dependencies: ["CLinux", "FUSE", "Platform", "VirtioFS"]),
    .testTarget(name: "CastoreTests", dependencies: ["BLAKE3", "Castore", "CastoreTestSupport"]),
    // A process that the tests of names kill and run as another user.
    .executableTarget(
      name: "names-torture",
      dependencies: ["Castore", "CastoreNames"],
      path: "Tests/Helpers/names-torture"
    ),
    .testTarget(
      name: "CastoreNamesTests",
      dependencies: ["Castore", "CastoreNames", "CastoreTestSupport", "names-torture"]
    ),
    // A process that the storage tests kill, starve and run as another user.
    .executableTarget(
      name: "store-torture",
      dependencies: ["Castore", "CastoreStorage", "FileTree"],
      path: "Tests/Helpers/store-torture"
    ),
    .testTarget(
      name: "CastoreStorageTests",
      dependencies: [
        "BLAKE3", "Castore", "CastoreStorage", "CastoreTestSupport", "FileTree", "Platform",
        "store-torture",
      ]
    ),
    .testTarget(
      name: "CastoreCompositionTests",
      dependencies: [
        "Castore", "CastoreComposition", "CastoreTestSupport", "NixCompat", "NixStore",
        "NixTestSupport", "Platform",
      ]
    ),
    .testTarget(
      name: "CastoreRPCTests",
      dependencies: [
        "Castore", "CastoreComposition", "CastoreRPC", "CastoreTestSupport", "CLinux", "NixCompat",
        "NixStore", "NixTestSupport", "Platform", grpcCore, grpcTransport,
      ]
    ),
    .testTarget(
      name: "NixStoreTests",
      dependencies: [
        "Castore", "CastoreFileSystem", "CastoreStorage", "CastoreTestSupport", "FUSE", "FileTree",
        "NixCompat", "NixStore", "NixTestSupport", "Platform", "castore", logging,
      ]
    ),
    .testTarget(
      name: "FileTreeTests",
      dependencies: [
        "Castore", "CastoreStorage", "CastoreTestSupport", "FileTree", "Platform",
        "store-torture",
      ]
    ),
    // A process that uses a mount, and may die of it.
    .executableTarget(name: "fs-client", dependencies: ["CLinux"], path: "Tests/Helpers/fs-client"),
    .testTarget(
      name: "CastoreFileSystemTests",
      dependencies: [
        "CLinux", "Castore", "CastoreFileSystem", "CastoreStorage", "CastoreTestSupport", "FUSE",
        "FileTree", "NixCompat", "NixStore", "Platform", "castore", "fs-client", logging,
      ]
    ),
    // What is shown about protocols, apart from the code: run by spin.
    .testTarget(name: "ModelTests", dependencies: ["CastoreTestSupport"]),
    // Starts a program where something is limited or forbidden.
    .executableTarget(
      name: "start-limited",
      dependencies: ["CLinux"],
      path: "Tests/Helpers/start-limited"
    ),
    // The binary itself, run as its users run it.
    .testTarget(
      name: "IntegrationTests",
      dependencies: ["CLinux", "CastoreTestSupport", "Platform", "castore", "start-limited"]
    ),
  ]
)

for target in package.targets where target.type != .system {
  let isC = ["CBLAKE3", "CLinux"].contains(target.name)
  if !isC { target.swiftSettings = (target.swiftSettings ?? []) + settings }
}
