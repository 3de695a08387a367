#!/usr/bin/env bash
# What the quickstart does after building: the sample picture's first class must be the right one.
#   classify_glyph.sh NEURONC NEURON_RUN GLYPHS_FOLDER SCRATCH_FOLDER
set -euo pipefail
neuronc=$1 neuron_run=$2 glyphs=$3 neff=$4/glyphs.neff
"$neuronc" "$glyphs/glyphs.onnx" --num-neuroncores 4 -o "$neff"
top=$("$neuron_run" "$neff" --image "image=$glyphs/sample.png" --resize 32x32 --channels rgb \
  --scale 1/255 --mean 0.5,0.5,0.5 --std 0.25,0.25,0.25 --top 5 --labels "$glyphs/labels.txt")
echo "$top"
first=$(grep -m1 -wFf "$glyphs/labels.txt" <<<"$top")
[[ $first == *umbrella* ]] && echo "first class: umbrella"
