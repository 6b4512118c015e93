#!/usr/bin/env bash
# Writes Sources/CastoreProtos: the messages in Swift, and the descriptors that reflection hands out.
#
# Needs protoc (Debian: protobuf-compiler). Builds the Swift plugin once, of the version that
# Package.resolved names, into .build/protoc; or takes the one that PROTOC_GEN_SWIFT names.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v protoc >/dev/null || {
  echo "generate-protos: protoc is missing; install protobuf-compiler" >&2
  exit 1
}
version=$(sed -nE '/"identity" : "swift-protobuf"/,/"version"/s/.*"version" : "([0-9.]+)".*/\1/p' \
  Package.resolved)
plugin=${PROTOC_GEN_SWIFT:-.build/protoc/swift-protobuf-$version/.build/release/protoc-gen-swift}
if [ ! -x "$plugin" ]; then
  [ -z "${PROTOC_GEN_SWIFT:-}" ] || {
    echo "generate-protos: $plugin, which PROTOC_GEN_SWIFT names, cannot be executed" >&2
    exit 1
  }
  mkdir -p .build/protoc
  checkout=.build/protoc/swift-protobuf-$version
  [ -d "$checkout" ] || git -c advice.detachedHead=false clone --quiet --depth 1 \
    --branch "$version" https://github.com/apple/swift-protobuf "$checkout"
  (cd "$checkout" && swift build -c release --product protoc-gen-swift)
fi

protos=$(mktemp -d)
trap 'rm -rf "$protos"' EXIT
scripts/derive-protos.sh "$protos"

# One family of messages is enough: the others are equal on the wire.
out=Sources/CastoreProtos
rm -rf "$out"
mkdir -p "$out"
(cd "$protos" && find castore health reflection/v1 tvix -name '*.proto' | LC_ALL=C sort) |
  xargs protoc -I "$protos" --plugin=protoc-gen-swift="$plugin" --swift_out="$out" \
    --swift_opt=Visibility=Package,UseAccessLevelOnImports=true,FileNaming=DropPath

(cd "$protos" && find . -name '*.proto' -printf '%P\n' | LC_ALL=C sort) |
  xargs protoc -I "$protos" --descriptor_set_out="$protos/all.pb"
{
  echo "// DO NOT EDIT."
  echo "// swift-format-ignore-file"
  echo "//"
  echo "// Written by scripts/generate-protos.sh: a google.protobuf.FileDescriptorSet of all protos."
  echo
  echo "package enum ProtoDescriptors {"
  echo "  package static let fileDescriptorSet: [UInt8] = ["
  od -An -v -tu1 -w24 "$protos/all.pb" | sed -E 's/^ +//; s/ +/,/g; s/$/,/; s/^/    /'
  echo "  ]"
  echo "}"
} >"$out/ProtoDescriptors.swift"
