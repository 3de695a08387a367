// Runs kernels in place of their native code, with every access checked (NEURON_RT_CHECK=1).
//
// Sanitizers do not see generated code; the interpreter of kernel IR gives the same bits and
// refuses an access outside the buffers that the plan hands over. What lanes may touch when is
// proven by the plan's verifier at load.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ir/base/expected.h"
#include "ir/plan/kernel_abi.h"
#include "ir/plan/plan.h"
#include "runtime/neff_reader.h"
#include "runtime/numerics.h"

namespace neuronc::runtime {

class KernelChecker {
 public:
  virtual ~KernelChecker() = default;

  // The kernel's status; refuses with the access that went wrong. `non_finite` says what the kernel
  // wrote that is not finite, if the checker looks for it. Called from several threads.
  virtual OrRefusal<int32_t> run(plan::KernelId kernel, const plan::KernelBuffer* buffers,
                                 std::span<const int64_t> sizes_bytes, int64_t tile_begin,
                                 int64_t tile_end, std::string& non_finite) = 0;
};

// Reads <isa>/kernels.nki: the text of every kernel of `plan`, one after the other.
// Errors: NRT_INVALID if the NEFF has none, or it cannot be read.
Result<std::unique_ptr<KernelChecker>> load_kernel_checker(const NeffImage& image,
                                                           std::string_view isa,
                                                           const plan::Plan& plan,
                                                           NumericsCheck numerics);

}  // namespace neuronc::runtime
