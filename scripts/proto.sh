#!/usr/bin/env bash
# Make the Python modules of the .proto files, beside them, or in another directory (its path is the argument).
set -euo pipefail
. "$(dirname "$0")/lib.sh"

out="${1:-.}"
"$VENV/bin/python" -m grpc_tools.protoc --proto_path=. --python_out="$out" --pyi_out="$out" feeds/proto/*.proto
