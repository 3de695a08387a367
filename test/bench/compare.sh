#!/usr/bin/env bash
# Compares the latency of compiled models with ONNX Runtime's, both on one thread, in alternating runs.
#   test/bench/compare.sh [--models DIR] [--rounds R] [--seconds S] [--target CPU] [--auto-cast MODE] [--gate]
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
flags=()
make_models=yes

while [ $# -gt 0 ]; do
  case "$1" in
    --models) models=$(cd "$2" && pwd); make_models=no; shift 2 ;;
    --rounds) rounds=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    --target) flags+=(--target-cpu "$2"); shift 2 ;;
    --auto-cast) flags+=(--auto-cast "$2"); shift 2 ;;
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
  for name in vgg16 resnet18_b8 vit_b16 gpt2_s64 gpt2_s1 lstm; do
    [ -f "$models/$name.onnx" ] || /usr/bin/python3 "$here/make_models.py" "$models" "$name" >&2
  done
}

# Compiles $1 into $2 and prints the seconds of CPU time.
compile() {
  local TIMEFORMAT='%U %S'
  # What the compiler says goes past the pipe.
  { time "$bin/neuronc" "$1" -o "$2" -q "${flags[@]}" >&3 2>&3; } 3>&2 2>&1 | awk '{ print $1 + $2 }'
}

# The floating-point operations of one inference, by the kernels of the first target.
flops_of() {
  "$bin/neuronc" inspect "$1" --json | python3 -c '
import json, sys
kernels = json.load(sys.stdin)["kernels"]
print(sum(k["predicted"]["flops"] for k in kernels if k["isa"] == kernels[0]["isa"]))'
}

# The greatest rate of one core in GFLOP/s, as the processor's own multiply instructions give it; 0
# where the program does not build.
measure_peak() {
  g++ -O3 -funroll-loops -march=native "$shared/bench/peak.cpp" -o "$work/peak" 2>/dev/null || { echo 0; return; }
  "$work/peak" | awk '/dpbf16|avx512 fma|avx2 fma/ { if ($(NF - 1) > best) best = $(NF - 1) } END { print best + 0 }'
}

install_peer
[ "$make_models" = no ] || generate_models
runs=$work/runs.jsonl
: >"$runs"
shopt -s nullglob
for model in "$models"/*.onnx; do
  name=$(basename "$model" .onnx)
  compile_s=$(compile "$model" "$work/$name.neff")
  about=$(printf '"compile_cpu_s": %s, "neff_bytes": %s, "onnx_bytes": %s, "flops": %s' "$compile_s" \
    "$(stat -Lc %s "$work/$name.neff")" "$(stat -Lc %s "$model")" "$(flops_of "$work/$name.neff")")
  for ((round = 1; round <= rounds; ++round)); do
    echo "$name: round $round of $rounds" >&2
    peer=$(node "$work/ort_bench.js" "$model" 1 "$seconds")
    ours=$("$bin/neuron-bench" "$work/$name.neff" --seconds "$seconds" --json)
    printf '{"model": "%s", %s, "peer": %s, "ours": %s}\n' "$name" "$about" "$peer" \
      "${ours//$'\n'/ }" >>"$runs"
  done
done
echo "$(lscpu | sed -n 's/^Model name: *//p'), family $(lscpu | sed -n 's/^CPU family: *//p')," \
  "model $(lscpu | sed -n 's/^Model: *//p'), one core; neuronc ${flags[*]:-with default options}"
exec python3 "$here/summarise.py" "$runs" --peak "$(measure_peak)" "${gate[@]}"
