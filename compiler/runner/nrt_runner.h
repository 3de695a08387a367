// Runs a NEFF in memory through libnrt, the way any program would.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "compiler/runner/model_runner.h"

namespace neuronc {

// Loads `neff` on the first visible NeuronCores. Refuses with the runtime's message.
OrRefusal<std::unique_ptr<ModelRunner>> nrt_runner(std::span<const std::byte> neff);

}  // namespace neuronc
