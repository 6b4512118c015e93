#!/usr/bin/env bash
# Writes all protos to a folder: those of Protos/, and the ones that differ from them in names only.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:?usage: derive-protos.sh FOLDER}
mkdir -p "$out"
cp -R Protos/. "$out"

# The Snix family: another package, and entries instead of nodes.
while read -r file; do
  target=$out/snix/${file#Protos/tvix/}
  mkdir -p "$(dirname "$target")"
  sed -E -e '/^\/\//d' -e 's/\btvix\b/snix/g' \
    -e 's/\b(Directory|File|Symlink|)Node\b/\1Entry/g' -e 's/\bnode\b/entry/g' \
    "$file" >"$target"
done < <(find Protos/tvix -name '*.proto' | sort)

# The older reflection.
mkdir -p "$out/reflection/v1alpha"
sed -E -e '/^\/\//d' -e 's/grpc\.reflection\.v1\b/grpc.reflection.v1alpha/' \
  Protos/reflection/v1/reflection.proto >"$out/reflection/v1alpha/reflection.proto"
