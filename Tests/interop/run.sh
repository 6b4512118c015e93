#!/usr/bin/env bash
# Talks to a running server with the gRPC client of another language.
#
#   run.sh HOST:PORT SOCKET
#
# The client library comes from PyPI into a virtual environment under .build, the stubs from the protos of
# this project, under the package names of both families.
set -euo pipefail
cd "$(dirname "$0")/../.."

environment=.build/interop
if [ ! -e "$environment/ready" ]; then
  rm -rf "$environment"
  python3 -m venv "$environment"
  "$environment/bin/pip" install --quiet -r Tests/interop/requirements.txt
  touch "$environment/ready"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
scripts/derive-protos.sh "$work/protos"
mkdir "$work/stubs"
(cd "$work/protos" && find . -name '*.proto' -printf '%P\n') | xargs "$environment/bin/python" \
  -m grpc_tools.protoc -I "$work/protos" --python_out="$work/stubs" --grpc_python_out="$work/stubs"

PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$work/stubs" \
  "$environment/bin/python" Tests/interop/client.py "$@"
