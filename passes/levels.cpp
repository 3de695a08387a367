// The pipelines behind -O0 to -O3: the only place that states them.
#include "passes/pipeline.h"

namespace neuronc {
namespace {

#define NEURONC_CLEAN_UP(rounds) \
  "fixpoint<" rounds ">(fold-constants,simplify,merge-common,eliminate-dead)"
// Copies and moved casts leave equal or unused nodes behind.
#define NEURONC_TO_CORES \
  "place,cast,merge-common,eliminate-dead,fuse,narrow-edges,lay-out,partition"

constexpr OptimizationLevel kLevels[] = {
    {"O0", "only what the stages demand",
     "canonicalize,eliminate-dead,recognise," NEURONC_TO_CORES},
    {"O1", "one round of simplification",
     "canonicalize,fold-constants,simplify,merge-common,eliminate-dead,recognise,"
     "eliminate-dead," NEURONC_TO_CORES},
    {"O2", "the default",
     "canonicalize," NEURONC_CLEAN_UP("10") ",recognise," NEURONC_CLEAN_UP(
         "10") "," NEURONC_TO_CORES},
    {"O3", "all that O2 does, with more rounds",
     "canonicalize," NEURONC_CLEAN_UP("50") ",recognise," NEURONC_CLEAN_UP(
         "50") "," NEURONC_TO_CORES},
};

#undef NEURONC_TO_CORES
#undef NEURONC_CLEAN_UP

}  // namespace

std::span<const OptimizationLevel> optimization_levels() { return kLevels; }

}  // namespace neuronc
