// The pipelines behind -O0 to -O3: the only place that states them.
#include "passes/pipeline.h"

namespace neuronc {
namespace {

// Control flow that is known dissolves; what is left is made ready for cores, and all canonical.
#define NEURONC_DISSOLVE \
  "inline-branches,unroll-loops,prepare-blocks,expand-attention,canonicalize,"

// From recognised operators to cores. narrow-edges acts with --auto-cast all alone.
#define NEURONC_TO_CORES                                                                    \
  "recognise,bound-rows,place,cast,expand-transforms,fixpoint<10>(fold-constants,simplify," \
  "merge-common,eliminate-dead),join-attention,fuse,narrow-edges{mode=matmult},lay-out,partition"

constexpr OptimizationLevel kLevels[] = {
    {"O0", "only what the stages demand: static shapes, and one operator in a kernel",
     "canonicalize,join-quantized,fixpoint<10>(fold-constants,eliminate-dead),recognise,place,cast,"
     "fuse{max-group-size=1},narrow-edges{mode=matmult},lay-out,partition"},
    {"O1", "one round of simplification",
     "canonicalize,join-quantized,fold-constants," NEURONC_DISSOLVE
     "simplify,merge-common,eliminate-dead," NEURONC_TO_CORES},
    {"O2", "the default: simplification until nothing changes",
     "canonicalize,join-quantized,fixpoint<10>(fold-constants," NEURONC_DISSOLVE
     "simplify,merge-common,eliminate-dead)," NEURONC_TO_CORES},
    {"O3", "as O2, with more rounds and larger constants",
     "canonicalize,join-quantized,fixpoint<50>(fold-constants{max-bytes=16777216,max-flops="
     "2000000000}," NEURONC_DISSOLVE "simplify,merge-common,eliminate-dead)," NEURONC_TO_CORES},
};

#undef NEURONC_TO_CORES
#undef NEURONC_DISSOLVE

}  // namespace

std::span<const OptimizationLevel> optimization_levels() { return kLevels; }

}  // namespace neuronc
