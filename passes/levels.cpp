// The pipelines behind -O0 to -O3: the only place that states them.
#include "passes/pipeline.h"

namespace neuronc {
namespace {

#define NEURONC_CLEAN_UP "fixpoint<10>(fold-constants,simplify,merge-common,eliminate-dead)"

constexpr OptimizationLevel kLevels[] = {
    {"O0", "only what the stages demand", "canonicalize,eliminate-dead"},
    {"O1", "one round of simplification",
     "canonicalize,fold-constants,simplify,merge-common,eliminate-dead"},
    {"O2", "the default", "canonicalize," NEURONC_CLEAN_UP},
    {"O3", "all that O2 does, with more rounds",
     "canonicalize,fixpoint<50>(fold-constants,simplify,merge-common,eliminate-dead)"},
};

#undef NEURONC_CLEAN_UP

}  // namespace

std::span<const OptimizationLevel> optimization_levels() { return kLevels; }

}  // namespace neuronc
