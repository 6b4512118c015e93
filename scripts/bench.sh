#!/usr/bin/env bash
# Runs the benchmarks, or the one that is named: hash, import, mount, nar, packs, virtiofs, wire.
set -euo pipefail
cd "$(dirname "$0")/.."

# Peers that only the benchmarks need.
scripts/setup.sh curl nginx-light qemu-system-common
swift build -c release --product castore-bench
swift build -c release --product b3bench
swift build -c release --product packs-bench
for name in "${@:-hash import mount nar packs virtiofs wire}"; do
  for bench in $name; do
    echo "== $bench"
    case $bench in
      hash) .build/release/b3bench ;;
      packs) for part in index journal write; do .build/release/packs-bench $part; done ;;
      *) .build/release/castore-bench "$bench" ;;
    esac
  done
done
