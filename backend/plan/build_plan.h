// Builds the plan of a lowered module: the steps of every lane, the channels between lanes, and the
// place of every value in an arena.
#pragma once

#include "backend/plan/lower_module.h"
#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/graph.h"
#include "ir/plan/plan.h"

namespace neuronc {

// `module` as prepare_host leaves it, `lowered` its groups; constants that kernels read as they
// are join `lowered.constants`. The plan verifies. Errors: NEU0703, NEU0705.
Expected<plan::Plan> build_plan(const Module& module, LoweredModule& lowered,
                                Diagnostics& diagnostics);

}  // namespace neuronc
