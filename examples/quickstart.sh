#!/usr/bin/env bash
# From an ONNX file to four NeuronCores: installs what the build needs, builds, compiles a model and runs it.
#   examples/quickstart.sh                               the picture classifier of examples/glyphs
#   examples/quickstart.sh MODEL.onnx [COMPILE_OPTION]   a model of yours, on seeded inputs; dims of unknown
#                                                        size are given as --dim NAME=N
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=$root/build/release/bin
glyphs=$root/examples/glyphs
results=$root/build/quickstart

say() {
  printf '\n== %s\n' "$*"
}

# Shows the command as one would type it, then runs it.
run() {
  printf '$ %s\n' "${*/"$root"\//}"
  "$@"
}

build() {
  say "Build (the first time takes some minutes)"
  "$root/cmake/install_deps.sh"
  (cd "$root" &&
    cmake --preset release >"$results/configure.log" &&
    cmake --build --preset release --target neuronc neuron-run neuron-bench neuron-ls) ||
    { echo "quickstart: the build failed; see above and $results/configure.log" >&2; exit 1; }
}

# Compiles $1 for four NeuronCores into $2; further arguments are options of neuronc.
compile() {
  local model=$1 neff=$2
  shift 2
  say "Compile for 4 NeuronCores"
  run "$bin/neuronc" "$model" --num-neuroncores 4 -o "$neff" "$@"
}

case "${1:-}" in
  -h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "quickstart: the model comes first, then options of neuronc" >&2; exit 2 ;;
esac
if [ $# -gt 0 ] && [ ! -f "$1" ]; then
  echo "quickstart: there is no file $1" >&2
  exit 1
fi

mkdir -p "$results"
build
if [ $# -gt 0 ]; then
  model=$1
  shift
  neff=$results/$(basename "$model" .onnx).neff
  compile "$model" "$neff" "$@"
  say "Run it for two seconds on seeded inputs"
  run "$bin/neuron-bench" "$neff" --seconds 2
else
  neff=$results/glyphs.neff
  compile "$glyphs/glyphs.onnx" "$neff"
  say "Classify examples/glyphs/sample.png, a picture of an umbrella"
  run "$bin/neuron-run" "$neff" --image "image=$glyphs/sample.png" --resize 32x32 --channels rgb \
    --scale 1/255 --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --top 5 --labels "$glyphs/labels.txt"
fi
