// --tune: the kernels that could be fastest are measured on this machine, and the fastest are taken.
//
// Runs between the passes and code: a group's variant and blocking are attributes, and every variant
// computes a group in whatever memory order lay-out gave it. The predicted way is always among those
// that are measured, and stays unless another is faster beyond what measurements vary. Only the
// target that the runtime would take here is measured; what a tuning file says is taken for all.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "compiler/driver.h"
#include "compiler/measure.h"

namespace neuronc {

using MeasureFunction = std::function<OrRefusal<std::vector<Rounds>>(
    std::span<const LoweredKernel>, const Machine&, const MeasureOptions&)>;

// The file that keeps what was measured: --tune-file; beside the results of --cache-dir; otherwise
// in the user's cache folder. Empty: there is none.
std::string tuning_path(const CompileOptions& options);

// Sets the choices of all modules of the compilation, which are partitioned. Notes: NEU0709.
// Warns: NEU0708, NEU0710. Errors: NEU0006.
Expected<void> tune(Compilation& compilation, const CompileOptions& options,
                    Diagnostics& diagnostics, const MeasureFunction& measure_ways = measure);

}  // namespace neuronc
