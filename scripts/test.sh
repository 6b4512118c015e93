#!/usr/bin/env bash
# Runs every test. What a test needs and does not find fails it; nothing is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -c /dev/fuse ] || { echo "test: /dev/fuse is missing; the mount tests need it" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || { echo "test: run as root; the mount tests need it" >&2; exit 1; }

swift format lint --strict --parallel --recursive Sources Tests Benchmarks Package.swift
swift build --build-tests
swift test --skip-build
