// Matches tensor sets with a model's signature, and moves values sized at run time across the API.
#include <fmt/format.h>

#include "runtime/nrt_internal.h"
#include "runtime/nrt_value.h"

namespace neuronc::runtime {
namespace {

Result<nrt_tensor*> find_tensor(const nrt_tensor_set& set, std::string_view what,
                                const plan::TensorSpec& spec) {
  const auto it = set.tensors.find(spec.name);
  if (it == set.tensors.end() || it->second == nullptr) {
    return fail(NRT_EXEC_BAD_INPUT, "{} `{}` ({}) is not in the tensor set", what, spec.name,
                type_text(spec));
  }
  return it->second;
}

tl::unexpected<Status> wrong_size(std::string_view what, const plan::TensorSpec& spec,
                                  const nrt_tensor& tensor) {
  return fail(NRT_EXEC_BAD_INPUT, "{} `{}` is {} of {} bytes, the tensor has {} bytes", what,
              spec.name, type_text(spec), spec.size_bytes, tensor.size_bytes);
}

}  // namespace

Result<BoundRequest> BoundRequest::bind(const plan::Plan& plan, const nrt_tensor_set& inputs,
                                        const nrt_tensor_set& outputs) {
  BoundRequest request;
  for (const plan::TensorSpec& spec : plan.inputs) {
    NEURONC_ASSIGN(const nrt_tensor* tensor, find_tensor(inputs, "input", spec));
    if (plan::is_static(spec)) {
      if (tensor->is_list || tensor->size_bytes != spec.size_bytes) {
        return wrong_size("input", spec, *tensor);
      }
      NEURONC_TRY(check_memory(spec, *tensor));
      request.inputs_.push_back(tensor->data);
      continue;
    }
    request.host_inputs_.resize(plan.inputs.size());
    NEURONC_ASSIGN(request.host_inputs_[request.inputs_.size()], value_from_tensor(spec, *tensor));
    request.inputs_.push_back(nullptr);
  }
  for (const plan::TensorSpec& spec : plan.outputs) {
    NEURONC_ASSIGN(nrt_tensor * tensor, find_tensor(outputs, "output", spec));
    const bool is_static = plan::is_static(spec);
    if (is_static && tensor->data == nullptr && !allocate_tensor(*tensor, spec.size_bytes)) {
      return fail(NRT_FAIL_HOST_MEM_ALLOC, "no memory for output `{}`", spec.name);
    }
    if (is_static && tensor->size_bytes != spec.size_bytes) {
      return wrong_size("output", spec, *tensor);
    }
    if (!is_static) request.host_outputs_.resize(plan.outputs.size());
    request.outputs_.push_back(is_static ? tensor->data : nullptr);
    request.output_tensors_.push_back(tensor);
  }
  return request;
}

RequestIo BoundRequest::io() {
  return {inputs_, outputs_, host_inputs_, host_outputs_, &first_non_finite_};
}

Result<Done> BoundRequest::check_numerics(const plan::Plan& plan, NumericsCheck check) const {
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const nrt_tensor& output = *output_tensors_[i];
    std::vector<const nrt_tensor*> tensors(output.elements.begin(), output.elements.end());
    if (!output.is_list) tensors = {&output};
    for (const nrt_tensor* tensor : tensors) {
      const NonFinite found =
          find_non_finite(plan.outputs[i].dtype, {tensor->data, tensor->size_bytes}, check);
      if (found.first < 0) continue;
      std::string message = fmt::format("output `{}` ({}) has {}", plan.outputs[i].name,
                                        type_text(plan.outputs[i]), to_text(found));
      if (!first_non_finite_.empty()) message += fmt::format("; {}", first_non_finite_);
      return fail(NRT_EXEC_COMPLETED_WITH_NUM_ERR, "{}", message);
    }
  }
  return Done{};
}

Result<Done> BoundRequest::store_outputs(const plan::Plan& plan) {
  for (size_t i = 0; i < plan.outputs.size(); ++i) {
    const plan::TensorSpec& spec = plan.outputs[i];
    nrt_tensor& tensor = *output_tensors_[i];
    if (!plan::is_static(spec)) {
      NEURONC_TRY(store_value(spec, host_outputs_[i], tensor));
    } else if (!tensor.has_shape || tensor.shape != spec.dims) {
      tensor.shape = spec.dims;
      tensor.has_shape = true;
    }
  }
  return Done{};
}

}  // namespace neuronc::runtime
