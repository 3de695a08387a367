// Implements the reference evaluator of the C API, include/neuronc/neuronc.h.
#include <algorithm>
#include <cstring>
#include <new>
#include <set>

#include "compiler/c_api.h"
#include "compiler/driver.h"
#include "compiler/public_api.h"
#include "ir/evaluate_graph.h"
#include "runtime/nrt_dtypes.h"

namespace neuronc {
namespace {

Expected<void> usage_error(Diagnostics& diagnostics, const std::string& text) {
  diagnostics.report(diag::usage_error, {}, text);
  return reported();
}

// A string tensor's elements, each ended by a zero byte.
std::vector<std::string> split_strings(const neuronc_tensor& tensor) {
  std::vector<std::string> strings;
  const std::string_view text(static_cast<const char*>(tensor.data), tensor.size_bytes);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\0', begin), text.size());
    strings.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return strings;
}

std::string joined_strings(const Tensor& tensor) {
  std::string text;
  for (const std::string& element : tensor.strings()) text.append(element).push_back('\0');
  return text;
}

class Evaluation {
 public:
  Evaluation(const neuronc_job& job, std::span<const neuronc_tensor> given,
             Diagnostics& diagnostics)
      : job_(job), given_(given), diagnostics_(diagnostics) {}

  Expected<void> run(CompileOptions options, neuronc_result& result) {
    for (const neuronc_tensor& tensor : given_) NEURONC_TRY(bind_shape(tensor, options));
    NEURONC_TRY(job_.path != nullptr
                    ? import_model(compilation_, job_.path, options, diagnostics_)
                    : import_model(compilation_,
                                   {static_cast<const std::byte*>(job_.model), job_.model_bytes},
                                   job_.name, "", options, diagnostics_));
    const Graph& graph = compilation_.model.module.graph();
    std::vector<HostValue> inputs;
    for (const ValueId id : graph.inputs()) {
      NEURONC_ASSIGN(Tensor tensor, input(graph.value(id).name, graph.type(id)));
      inputs.emplace_back(std::move(tensor));
    }
    auto outputs = evaluate_graph(compilation_.model.module, graph, inputs);
    if (!outputs) {
      diagnostics_.report(diag::run_failed, Location{compilation_.model_name}, "the given inputs",
                          outputs.error().reason);
      return reported();
    }
    return keep(graph, *outputs, result);
  }

 private:
  Expected<void> bind_shape(const neuronc_tensor& tensor, CompileOptions& options) {
    const bool has_shape = tensor.ndim == 0 || tensor.shape != nullptr;
    if (tensor.name == nullptr || !has_shape || (tensor.data == nullptr && tensor.size_bytes > 0)) {
      return usage_error(diagnostics_, "an input's name, shape or data is a null pointer");
    }
    if (tensor.ndim > 64 || std::any_of(tensor.shape, tensor.shape + tensor.ndim,
                                        [](int64_t extent) { return extent < 0; })) {
      return usage_error(diagnostics_,
                         std::string("input `") + tensor.name + "` has no real shape");
    }
    if (!names_.insert(tensor.name).second) {
      return usage_error(diagnostics_, std::string("input `") + tensor.name + "` is given twice");
    }
    options.input_shapes[tensor.name] = {tensor.shape, tensor.shape + tensor.ndim};
    return {};
  }

  Expected<Tensor> input(const std::string& name, const Type& type) {
    const auto it = std::find_if(given_.begin(), given_.end(),
                                 [&](const neuronc_tensor& t) { return name == t.name; });
    const auto wrong = [&](const std::string& what) {
      static_cast<void>(usage_error(diagnostics_, "input `" + name + "` " + what));
      return reported();
    };
    if (it == given_.end()) return wrong("is missing");
    const DType dtype = runtime::from_nrt(static_cast<nrt_dtype_t>(it->dtype));
    if (!type.is_tensor() || dtype != type.dtype)
      return wrong("is of another type: " + to_text(type));
    const std::vector<int64_t> shape(it->shape, it->shape + it->ndim);
    if (dtype == DType::string) {
      std::vector<std::string> strings = split_strings(*it);
      Tensor tensor = Tensor::zeros(dtype, shape);
      if (static_cast<int64_t>(strings.size()) != tensor.num_elements()) {
        return wrong("has not as many texts as elements");
      }
      return Tensor::from_strings(shape, std::move(strings));
    }
    const std::span bytes(static_cast<const std::byte*>(it->data), it->size_bytes);
    Tensor tensor = Tensor::zeros(dtype, shape);
    if (static_cast<int64_t>(bytes.size()) != tensor.size_bytes()) {
      return wrong("has not as many bytes as its shape says");
    }
    std::copy(bytes.begin(), bytes.end(), tensor.mutable_data());
    return tensor;
  }

  Expected<void> keep(const Graph& graph, const std::vector<HostValue>& values,
                      neuronc_result& result) {
    for (size_t i = 0; i < values.size(); ++i) {
      const std::string& name = graph.value(graph.outputs()[i]).name;
      if (values[i].kind != Type::Kind::tensor) {
        return usage_error(diagnostics_, "output `" + name + "` is no tensor");
      }
      result.outputs.push_back(values[i].tensor());
      result.output_names.push_back(name);
      const bool is_text = values[i].tensor().dtype() == DType::string;
      result.output_strings.push_back(is_text ? joined_strings(values[i].tensor()) : "");
    }
    return {};
  }

  const neuronc_job& job_;
  std::span<const neuronc_tensor> given_;
  Diagnostics& diagnostics_;
  std::set<std::string_view> names_;  // of the inputs given
  Compilation compilation_;
};

void evaluate(const neuronc_job& job, std::span<const neuronc_tensor> inputs,
              neuronc_result& result) {
  const bool is_memory = job.path == nullptr && job.model != nullptr && job.name != nullptr;
  if (job.path == nullptr && !is_memory) {
    result.result = usage("the model, its path or its name is a null pointer");
    return;
  }
  auto options = options_of(job.options, job.num_options, result.result);
  if (!options) return;
  Diagnostics diagnostics;
  bool is_done = false;
  try {
    is_done = Evaluation(job, inputs, diagnostics).run(std::move(*options), result).has_value();
  } catch (const std::bad_alloc&) {
    diagnostics.report(diag::out_of_memory, {});
  }
  for (const Diagnostic& d : diagnostics.all()) result.result.messages.push_back(to_message(d));
  result.result.exit_code = exit_code(diagnostics.worst());
  if (!is_done && result.result.exit_code == 0) result.result.exit_code = 70;
}

}  // namespace
}  // namespace neuronc

extern "C" {

neuronc_result* neuronc_evaluate(const neuronc_job* job, const neuronc_tensor* inputs,
                                 size_t num_inputs) {
  return neuronc::filled_result([&](neuronc_result& result) {
    if (!neuronc::is_job(job) || (inputs == nullptr && num_inputs > 0)) {
      result.result = neuronc::usage(
          "the job or the inputs are a null pointer, or the job has not a job's size");
      return;
    }
    // Structures of another size than today's cannot be an array's elements.
    for (size_t i = 0; i < num_inputs; ++i) {
      if (inputs[i].size == sizeof(neuronc_tensor)) continue;
      result.result = neuronc::usage("an input does not say its size");
      return;
    }
    neuronc::evaluate(neuronc::current_job(*job), {inputs, num_inputs}, result);
  });
}

size_t neuronc_result_num_outputs(const neuronc_result* result) {
  return result == nullptr ? 0 : result->outputs.size();
}

int neuronc_result_output(const neuronc_result* result, size_t index, neuronc_tensor* tensor,
                          size_t size) {
  if (tensor == nullptr || index >= neuronc_result_num_outputs(result)) return 1;
  const neuronc::Tensor& value = result->outputs[index];
  const std::string& strings = result->output_strings[index];
  const bool is_text = value.dtype() == neuronc::DType::string;
  const neuronc_tensor filled{sizeof(neuronc_tensor),
                              result->output_names[index].c_str(),
                              static_cast<int32_t>(neuronc::runtime::to_nrt(value.dtype())),
                              static_cast<uint32_t>(value.rank()),
                              value.shape().data(),
                              is_text ? static_cast<const void*>(strings.data()) : value.data(),
                              is_text ? strings.size() : static_cast<size_t>(value.size_bytes())};
  std::memset(tensor, 0, size);
  std::memcpy(tensor, &filled, std::min(size, sizeof(filled)));
  return 0;
}

}  // extern "C"
