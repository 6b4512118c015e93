# The front door. `make demo` shows it, `make test` checks all of it; both install what they need.

SHELL := /bin/bash
TREE ?= /usr/include
RELEASE := swift build -c release --product

.PHONY: all build release setup demo test bench format lint clean

all: build

# Debian packages, by name; only what is missing.
setup:
	@scripts/setup.sh

# The release binary, at .build/release/castore.
build: setup
	$(RELEASE) castore

demo: build
	@scripts/demo.sh "$(TREE)"

test: setup
	@scripts/test.sh

bench: build
	@scripts/bench.sh $(BENCH)

format:
	swift format --in-place --parallel --recursive Sources Tests Benchmarks Package.swift

# Format check and a build in which a warning is an error (Package.swift says so).
lint: setup
	swift format lint --strict --parallel --recursive Sources Tests Benchmarks Package.swift
	swift build --build-tests

clean:
	rm -rf .build
