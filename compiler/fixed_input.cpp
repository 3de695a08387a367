// Implements fixed_input.h with the readers that neuron-run has for its inputs.
#include "compiler/fixed_input.h"

#include <cstring>

#include "runtime/tools/tensor_file.h"

namespace neuronc {

Expected<Tensor> read_fixed_input(const std::string& name, const std::string& path,
                                  Diagnostics& diagnostics) {
  auto file = tools::read_tensor(path);
  if (!file) {
    diagnostics.report(diag::bad_fixed_input, {}, name, file.error().message);
    return reported();
  }
  if (file->dtype == DType::string) {
    diagnostics.report(diag::bad_fixed_input, {}, name, "text cannot be fixed");
    return reported();
  }
  Tensor tensor = Tensor::zeros(file->dtype, file->shape);
  if (!file->bytes.empty()) {
    std::memcpy(tensor.mutable_data(), file->bytes.data(), file->bytes.size());
  }
  return tensor;
}

}  // namespace neuronc
