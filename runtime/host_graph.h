// Evaluates host nodes with the graph IR's own evaluators; the graph comes from host.nir.
#pragma once

#include "runtime/host_evaluator.h"
#include "runtime/neff_reader.h"

namespace neuronc::runtime {

// `member` is host.nir; host.nirc of the same image holds its large constants, if there are any.
// Errors: NRT_INVALID if they cannot be read.
Result<std::unique_ptr<HostEvaluator>> load_host_graph(const NeffImage& image,
                                                       const NeffMemberView& member);

}  // namespace neuronc::runtime
