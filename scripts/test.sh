#!/usr/bin/env bash
# Runs every test. What a test needs and does not find fails it; nothing is skipped.
# With arguments, only the named test targets: scripts/test.sh FUSETests CastoreTests
set -euo pipefail
cd "$(dirname "$0")/.."

[ -c /dev/fuse ] || { echo "test: /dev/fuse is missing; the mount tests need it" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || { echo "test: run as root; the mount tests need it" >&2; exit 1; }

# Those that only compute run side by side. Those that count requests, descriptors or memory, fill disks
# or drop the machine's caches run one after another, each target in a process of its own.
parallel=(
  PlatformTests BLAKE3Tests CastoreTests CastoreCompositionTests NixCompatTests ChunkingTests ZstandardTests
)
serial=(
  PacksTests CastoreNamesTests ModelTests FUSETests VirtioFSTests CastoreStorageTests FileTreeTests CastoreFileSystemTests NixStoreTests
  CastoreRPCTests IntegrationTests
)

if [ $# -eq 0 ]; then
  swift format lint --strict --parallel --recursive Sources Tests Benchmarks Package.swift
fi
swift build --build-tests

wanted() {
  local name
  for name in "${names[@]}"; do [ "$name" = "$1" ] && return 0; done
  return 1
}
names=("$@")
[ $# -gt 0 ] || names=("${parallel[@]}" "${serial[@]}")
for target in "${parallel[@]}"; do
  if wanted "$target"; then swift test --skip-build --filter "^$target\."; fi
done
for target in "${serial[@]}"; do
  if wanted "$target"; then swift test --skip-build --no-parallel --filter "^$target\."; fi
done
