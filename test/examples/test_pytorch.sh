#!/usr/bin/env bash
# examples/from_pytorch.py; 77 without torch, which ctest shows as skipped.
#   test_pytorch.sh PYTHON
set -euo pipefail
python=$1
example=$(cd "$(dirname "$0")/../../examples" && pwd)/from_pytorch.py
if ! "$python" -c 'import torch' 2>/dev/null; then
  echo "there is no torch for $python"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$python" -B "$example"
