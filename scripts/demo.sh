#!/usr/bin/env bash
# Imports a folder, mounts the store, lists and compares everything, and cleans up, whatever happens.
set -euo pipefail
cd "$(dirname "$0")/.."

tree=${1:-/usr/include}
castore=$PWD/.build/release/castore
[ -d "$tree" ] || { echo "demo: $tree is not a folder" >&2; exit 1; }
[ -c /dev/fuse ] || { echo "demo: /dev/fuse is missing; mounting needs it" >&2; exit 1; }
name=$(basename "$tree")
work=$(mktemp -d "${TMPDIR:-/tmp}/castore-demo.XXXXXX")
store=$work/store
mnt=$work/mnt
mkdir "$mnt"
server=

clean_up() {
  status=$?
  # A second Ctrl-C must not end the cleaning half way.
  trap - EXIT
  trap "" INT TERM
  if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
    kill -TERM "$server"
    wait "$server" 2>/dev/null || status=1
  fi
  if mountpoint -q "$mnt" 2>/dev/null; then umount -l "$mnt"; fi
  rm -rf "$work"
  [ "$status" -eq 0 ] && echo "== unmounted and cleaned up"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n== %s\n' "$*"; }
# Runs a command and says how long it took.
timed() {
  local began ended
  began=$(date +%s%N)
  "$@"
  ended=$(date +%s%N)
  printf '   %d.%03d s\n' $(((ended - began) / 1000000000)) $(((ended - began) / 1000000 % 1000))
}

files=$(find "$tree" -type f | wc -l)
bytes=$(find "$tree" -type f -printf '%s\n' | awk '{sum += $1} END {printf "%.1f", sum / 1000000}')
say "importing $tree ($files files, $bytes MB)"
timed "$castore" import --store "local:$store" "$tree"
echo "   store on disk: $(du -sh "$store" | cut -f1)"

say "importing it again (nothing new to store)"
timed "$castore" import --store "local:$store" "$tree"

say "mounting the store at $mnt"
"$castore" mount --store "local:$store" "$mnt" &
server=$!
for _ in $(seq 100); do
  mountpoint -q "$mnt" && break
  kill -0 "$server" 2>/dev/null || { wait "$server"; exit 1; }
  sleep 0.1
done
mountpoint -q "$mnt" || { echo "demo: the mount did not come up" >&2; exit 1; }
ls -l "$mnt"

list() { (cd "$1" && find . -printf '%P\t%y\t%l\n' | LC_ALL=C sort); }
say "listing it through the mount, twice"
timed bash -c 'ls -lR "$1" | wc -l' _ "$mnt/$name"
timed bash -c 'ls -lR "$1" | wc -l' _ "$mnt/$name"

say "comparing every file with the source"
diff <(list "$tree") <(list "$mnt/$name")
timed diff -r --no-dereference "$tree" "$mnt/$name"
echo "   equal: $files files, names, kinds, link targets and contents"
