#!/usr/bin/env bash
# Runs the benchmarks, or the one that is named: hash, import, mount, nar, virtiofs, wire.
set -euo pipefail
cd "$(dirname "$0")/.."

# Peers that only the benchmarks need.
scripts/setup.sh curl nginx-light qemu-system-common
swift build -c release --product castore-bench
swift build -c release --product b3bench
for name in "${@:-hash import mount nar virtiofs wire}"; do
  for bench in $name; do
    echo "== $bench"
    case $bench in
      hash) .build/release/b3bench ;;
      *) .build/release/castore-bench "$bench" ;;
    esac
  done
done
