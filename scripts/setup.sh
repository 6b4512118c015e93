#!/usr/bin/env bash
# Installs the Debian packages that building, testing and the demo need; quiet where nothing is missing.
set -euo pipefail

packages=(
  libarchive-dev libsqlite3-dev libxxhash-dev libzstd-dev pkg-config # building
  fuse3 attr                      # mounting, and looking at mounts from outside
  nfs-ganesha-vfs libnfs-utils    # exporting a mount over NFS, and a client of it
  b3sum nix-bin                   # judges in tests
  qemu-system-x86 lz4             # a virtual machine, and its kernel's format
  squashfs-tools squashfuse bindfs erofs-utils # peers in tests and benchmarks
  openssl python3-venv            # certificates, and a gRPC client of another language, for tests
  zstd                            # a peer in tests
  spin gcc libc6-dev              # the model of collections
  "$@"                            # what the caller needs besides
)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' \
    || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "setup: missing Debian packages: ${missing[*]}; install them as root, then run this again" >&2
    exit 1
  }
  as_root=(sudo)
fi
echo "setup: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
