#!/usr/bin/env bash
# Checks the model of the collection's protocol: it holds, and not without any one of its rules.
# Prints a line for each run; fails at the first that ends otherwise than it should.
set -euo pipefail

model=$(realpath "$(dirname "$0")/collection.pml")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# run EXPECTED-ERRORS FLAG...: states are explored exhaustively, or up to the first error.
run() {
  local expected=$1
  shift
  spin "$@" -a "$model" >spin.log || { cat spin.log >&2; exit 1; }
  gcc -w -O2 -DSAFETY -DNOFAIR -DMEMLIM=4000 -o pan pan.c
  ./pan -m10000 -w24 >pan.log || true
  local errors stored
  errors=$(sed -n 's/.*depth reached [0-9]*, errors: \([0-9]*\).*/\1/p' pan.log)
  stored=$(sed -n 's/^ *\([0-9e.+]*\) states, stored.*/\1/p' pan.log)
  echo "$* errors: ${errors:-none told}, states: ${stored:-none told}"
  # A search that ran out of memory or depth proves nothing.
  if [ "$errors" != "$expected" ] || grep -qE 'max search depth too small|out of memory|memory limit' pan.log; then
    cat pan.log >&2
    exit 1
  fi
}

run 0 -DRULES=all
run 0 -DLARGE
run 1 -DHOLD_AFTER_STATE
run 1 -DNO_SECOND_LOOK
run 1 -DNAMES_FIRST
run 1 -DNO_NEW_PACKS
run 1 -DNO_GENERATION
run 1 -DCLEAR_ONLY -DROUNDS=2
run 1 -DLARGE -DFILE_RECORDS_ONLY
