#!/usr/bin/env bash
# Compares the latency of compiled models with ONNX Runtime's, both on one thread, in alternating runs.
#   test/bench/compare.sh [--models DIR] [--rounds R] [--seconds S] [--gate]
# See README.md beside this file. Needs a release build, node with npm, and python3 with numpy and onnx.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
shared=${NEURONC_SHARED:-$root/../shared}
bin=${NEURONC_BIN:-$root/build/release/bin}
work=$root/build/bench
models=$work/models
rounds=3
seconds=3
gate=()
make_models=yes

while [ $# -gt 0 ]; do
  case "$1" in
    --models) models=$(cd "$2" && pwd); make_models=no; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --gate) gate=(--gate); shift ;;
    -h | --help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "compare: unknown argument $1" >&2; exit 2 ;;
  esac
done

if [ ! -f "$shared/bench/ort_bench.js" ]; then
  echo "SKIPPED: $shared/bench is absent (set NEURONC_SHARED to the folder that holds bench/)"
  exit 0
fi
for tool in node npm python3; do
  command -v "$tool" >/dev/null || { echo "SKIPPED: $tool is not installed"; exit 0; }
done
for tool in neuronc neuron-bench; do
  [ -x "$bin/$tool" ] || { echo "compare: $bin/$tool is missing; build the release preset first" >&2; exit 1; }
done

# The peer lives in the build folder: node looks for packages beside the script that asks for them.
install_peer() {
  mkdir -p "$work"
  cp -f "$shared/bench/ort_bench.js" "$work/ort_bench.js"
  [ -d "$work/node_modules/onnxruntime-node" ] ||
    (cd "$work" && npm install --silent --no-fund --no-audit --ignore-scripts onnxruntime-node >&2)
}

generate_models() {
  local name
  mkdir -p "$models"
  for name in resnet50 mobilenetv2 bert_base_s128 mlp_gemv; do
    [ -f "$models/$name.onnx" ] ||
      /usr/bin/python3 "$shared/bench/make_models.py" "$models" "$name" >&2
  done
}

# Compiles $1 into $2 unless the NEFF is newer than both the model and the compiler.
compile() {
  if [ ! "$2" -nt "$1" ] || [ ! "$2" -nt "$bin/neuronc" ]; then
    "$bin/neuronc" "$1" -o "$2" -q
  fi
}

install_peer
[ "$make_models" = no ] || generate_models
runs=$work/runs.jsonl
: >"$runs"
shopt -s nullglob
for model in "$models"/*.onnx; do
  name=$(basename "$model" .onnx)
  compile "$model" "$work/$name.neff"
  for ((round = 1; round <= rounds; ++round)); do
    echo "$name: round $round of $rounds" >&2
    peer=$(node "$work/ort_bench.js" "$model" 1 "$seconds")
    ours=$("$bin/neuron-bench" "$work/$name.neff" --seconds "$seconds" --json)
    printf '{"model": "%s", "peer": %s, "ours": %s}\n' "$name" "$peer" "${ours//$'\n'/ }" >>"$runs"
  done
done
exec python3 "$here/summarise.py" "$runs" "${gate[@]}"
