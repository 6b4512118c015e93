#!/usr/bin/env bash
# Runs the benchmarks, or the one that is named: hash, import, mount, nar, virtiofs.
set -euo pipefail
cd "$(dirname "$0")/.."

swift build -c release --product castore-bench
swift build -c release --product b3bench
for name in "${@:-hash import mount nar virtiofs}"; do
  for bench in $name; do
    echo "== $bench"
    case $bench in
      hash) .build/release/b3bench ;;
      *) .build/release/castore-bench "$bench" ;;
    esac
  done
done
