// Checks everything that a person may have mistyped before the runtime sees it.
#include "runtime/tools/run_inputs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "runtime/tools/list_values.h"
#include "runtime/tools/tensor_file.h"

namespace neuronc::tools {
namespace {

std::string shape_text(DType dtype, const std::vector<int64_t>& shape) {
  return fmt::format("{}[{}]", name(dtype), fmt::join(shape, ","));
}

Outcome<HostTensor> load_file_input(const nrt::TensorInfo& info, const std::string& path) {
  auto file = read_tensor(path);
  if (!file) return tl::unexpected(file.error());
  const DType wanted = to_dtype(info.dtype);
  if (file->dtype == DType::none) {
    if (info.size_bytes != 0 && file->bytes.size() != info.size_bytes) {
      return tool_error(kExitError, "input `{}` is {} of {} bytes, {} has {}", info.name,
                        type_text(info), info.size_bytes, path, file->bytes.size());
    }
    return HostTensor{wanted, info.shape, std::move(file->bytes)};
  }
  const bool has_type = file->dtype == wanted || is_stand_in(file->dtype, wanted);
  if (!has_type || file->shape != info.shape) {
    return tool_error(kExitError, "input `{}` is {}, {} has {}", info.name, type_text(info), path,
                      shape_text(file->dtype, file->shape));
  }
  return HostTensor{wanted, info.shape, std::move(file->bytes)};
}

Outcome<HostTensor> load_picture_input(const nrt::TensorInfo& info, const std::string& path,
                                       const ImageOptions& options) {
  auto image = load_image(path, options);
  if (!image) return tl::unexpected(image.error());
  std::vector<int64_t> shape = image->dims;
  if (info.shape.size() == 4) shape.insert(shape.begin(), 1);
  // A gray picture may stand for a tensor without a channel dim.
  std::vector<int64_t> without_channel = {image->dims[0], image->dims[1]};
  if (options.layout == "nchw") without_channel = {image->dims[1], image->dims[2]};
  const bool fits =
      shape == info.shape || (options.channels == "gray" && info.shape == without_channel);
  if (!fits) {
    return tool_error(kExitError,
                      "input `{}` is {}, the picture gives [{}]; see --resize, --crop, --channels "
                      "and --layout",
                      info.name, type_text(info), fmt::join(shape, ","));
  }
  HostTensor tensor{to_dtype(info.dtype), info.shape, {}};
  if (!is_numeric(tensor.dtype)) {
    return tool_error(kExitError, "input `{}` is {}, which a picture cannot be", info.name,
                      type_text(info));
  }
  tensor.bytes.resize(info.size_bytes);
  for (size_t i = 0; i < image->values.size(); ++i) {
    const double value = is_float(tensor.dtype) ? image->values[i] : std::rint(image->values[i]);
    store_from_f64(tensor.dtype, tensor.bytes.data(), static_cast<int64_t>(i), value);
  }
  return tensor;
}

int64_t num_elements(const HostTensor& tensor) {
  int64_t count = 1;
  for (int64_t dim : tensor.shape) count *= dim;
  return count;
}

std::string element_text(const HostTensor& tensor, int64_t index) {
  if (is_float(tensor.dtype)) {
    return fmt::format("{:.6g}", load_as_f64(tensor.dtype, tensor.bytes.data(), index));
  }
  if (tensor.dtype == DType::u64) {
    return fmt::format(
        "{}", static_cast<uint64_t>(load_as_i64(tensor.dtype, tensor.bytes.data(), index)));
  }
  return fmt::format("{}", load_as_i64(tensor.dtype, tensor.bytes.data(), index));
}

std::string range_text(const HostTensor& tensor) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  double sum = 0;
  int64_t num_nan = 0;
  const int64_t count = num_elements(tensor);
  for (int64_t i = 0; i < count; ++i) {
    const double value = load_as_f64(tensor.dtype, tensor.bytes.data(), i);
    if (std::isnan(value)) {
      ++num_nan;
      continue;
    }
    low = std::min(low, value);
    high = std::max(high, value);
    sum += value;
  }
  if (count == 0) return "empty";
  std::string text = fmt::format("min {:.6g}, max {:.6g}, mean {:.6g}", low, high,
                                 sum / static_cast<double>(std::max<int64_t>(count - num_nan, 1)));
  if (num_nan > 0) text += fmt::format(", {} NaN", num_nan);
  return text;
}

std::vector<std::string_view> split_strings(const HostTensor& tensor) {
  std::vector<std::string_view> result;
  std::string_view rest(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\0'), rest.size());
    result.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return result;
}

}  // namespace

// Types that .npy lacks come as unsigned integers of their size.
bool is_stand_in(DType file, DType wanted) {
  return is_float(wanted) && size_bytes(wanted) <= 2 && is_unsigned_integer(file) &&
         size_bytes(file) == size_bytes(wanted);
}

nrt::TensorPtr to_runtime(const HostTensor& value) {
  if (value.kind != NRT_VALUE_TENSOR) return to_runtime_list(value);
  // The runtime only reads inputs.
  auto* data = const_cast<std::byte*>(value.bytes.data());
  return nrt::Model::attach(data, value.bytes.size());
}

HostTensor from_runtime_tensor(DType dtype, const nrt_tensor_t* tensor) {
  const int64_t* dims = nullptr;
  uint32_t ndim = 0;
  nrt_tensor_get_shape(tensor, &dims, &ndim);
  const auto* data = static_cast<const std::byte*>(nrt_tensor_get_va(tensor));
  return {dtype, std::vector<int64_t>(dims, dims + ndim),
          std::vector<std::byte>(data, data + nrt_tensor_get_size(tensor))};
}

Outcome<std::map<std::string, std::string>> parse_assignments(const std::vector<std::string>& texts,
                                                              const std::string& option) {
  std::map<std::string, std::string> result;
  for (const std::string& text : texts) {
    // The last `=` of the name may be part of it; files rarely have one, names of tensors do not.
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
      return tool_error(kExitUsage, "{} `{}`: expected NAME=FILE", option, text);
    }
    if (!result.emplace(text.substr(0, equals), text.substr(equals + 1)).second) {
      return tool_error(kExitUsage, "{} `{}`: the input is given twice", option, text);
    }
  }
  return result;
}

InputRanges input_ranges(const nrt::Model& model) {
  InputRanges ranges;
  const char* text = nullptr;
  size_t size = 0;
  if (nrt_get_model_metadata(model.handle(), &text, &size) != NRT_SUCCESS) return ranges;
  const auto json = nlohmann::json::parse(text, text + size, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("inputs") || !json["inputs"].is_array()) return ranges;
  for (const auto& input : json["inputs"]) {
    if (!input.is_object() || !input.contains("name") || !input["name"].is_string()) continue;
    const auto bound = input.find("index_below");
    if (bound == input.end() || !bound->is_number_unsigned()) continue;
    ranges[input["name"].get<std::string>()] = bound->get<uint64_t>();
  }
  return ranges;
}

namespace {

HostTensor random_tensor(DType dtype, const std::vector<int64_t>& shape, uint64_t below,
                         std::mt19937_64& random) {
  HostTensor tensor{dtype, shape, {}};
  const int64_t count = num_elements(tensor);
  const int64_t width = dtype == DType::string ? 1 : size_bytes(dtype);
  tensor.bytes.resize(static_cast<size_t>(count * width));
  if (dtype == DType::string) return tensor;  // empty strings
  for (int64_t i = 0; i < count; ++i) {
    // Of the generator's bits alone: the library's distributions differ between implementations.
    const uint64_t bits = random() >> 11;
    if (is_float(dtype)) {
      store_from_f64(dtype, tensor.bytes.data(), i,
                     static_cast<double>(bits) / 9007199254740992.0 - 0.5);
    } else {
      store_from_i64(dtype, tensor.bytes.data(), i, static_cast<int64_t>(bits % below));
    }
  }
  return tensor;
}

}  // namespace

HostTensor random_input(const nrt::TensorInfo& info, uint64_t seed, const InputRanges& ranges) {
  const auto range = ranges.find(info.name);
  const uint64_t below = range == ranges.end() ? 2 : std::max<uint64_t>(range->second, 1);
  std::mt19937_64 random(seed);
  const DType dtype = to_dtype(info.dtype);
  if (!is_list(info)) return random_tensor(dtype, info.shape, below, random);
  constexpr int64_t kOpenExtent = 3;
  constexpr size_t kSequenceLength = 3;
  std::vector<int64_t> shape = info.shape;
  std::replace(shape.begin(), shape.end(), int64_t{-1}, kOpenExtent);
  HostTensor list{dtype, {}, {}, info.kind};
  const size_t count = info.kind == NRT_VALUE_OPTIONAL ? 1 : kSequenceLength;
  while (list.elements.size() < count) {
    list.elements.push_back(random_tensor(dtype, shape, below, random));
  }
  return list;
}

Outcome<std::vector<HostTensor>> load_inputs(const nrt::Model& model,
                                             const std::map<std::string, std::string>& files,
                                             const std::map<std::string, std::string>& pictures,
                                             const ImageOptions& options,
                                             std::optional<uint64_t> seed) {
  std::vector<std::string> known;
  for (const nrt::TensorInfo& info : model.inputs()) {
    known.push_back(fmt::format("`{}` ({})", info.name, type_text(info)));
  }
  for (const auto* list : {&files, &pictures}) {
    for (const auto& [input, path] : *list) {
      const bool is_known =
          std::any_of(model.inputs().begin(), model.inputs().end(),
                      [&](const nrt::TensorInfo& info) { return info.name == input; });
      if (!is_known) {
        return tool_error(kExitUsage, "the model has no input `{}`; it has {}", input,
                          fmt::join(known, ", "));
      }
    }
  }
  std::vector<HostTensor> inputs;
  const InputRanges ranges = seed ? input_ranges(model) : InputRanges();
  for (const nrt::TensorInfo& info : model.inputs()) {
    const auto file = files.find(info.name);
    const auto picture = pictures.find(info.name);
    const bool is_given = file != files.end() || picture != pictures.end();
    if (!is_given && seed) {
      inputs.push_back(random_input(info, *seed + inputs.size(), ranges));
      continue;
    }
    const bool is_optional =
        info.kind == NRT_VALUE_OPTIONAL || info.kind == NRT_VALUE_OPTIONAL_SEQUENCE;
    if (!is_given && is_optional) {
      inputs.push_back({to_dtype(info.dtype), {}, {}, info.kind, /*has_value=*/false});
      continue;
    }
    if (is_list(info) && picture == pictures.end() && file != files.end()) {
      auto list = load_list_input(info, file->second);
      if (!list) return tl::unexpected(list.error());
      inputs.push_back(std::move(*list));
      continue;
    }
    if ((file != files.end()) == (picture != pictures.end())) {
      return tool_error(
          kExitUsage,
          "input `{}` ({}) needs one --input or --image, or --random for all that have "
          "none",
          info.name, type_text(info));
    }
    auto tensor = file != files.end() ? load_file_input(info, file->second)
                                      : load_picture_input(info, picture->second, options);
    if (!tensor) return tl::unexpected(tensor.error());
    inputs.push_back(std::move(*tensor));
  }
  return inputs;
}

Outcome<std::vector<HostTensor>> run_request(const nrt::Model& model,
                                             const std::vector<HostTensor>& inputs) {
  std::vector<nrt::TensorPtr> input_tensors;
  std::vector<nrt::TensorPtr> output_tensors;
  for (const HostTensor& input : inputs) {
    input_tensors.push_back(to_runtime(input));
  }
  for (const nrt::TensorInfo& info : model.outputs()) {
    nrt_tensor_t* tensor = nullptr;
    nrt_tensor_allocate_empty(info.name.c_str(), &tensor);
    output_tensors.emplace_back(tensor);
  }
  std::string error;
  const NRT_STATUS status = model.run_tensors(input_tensors, output_tensors, error);
  if (status != NRT_SUCCESS) {
    return tool_error(exit_code(status), "{} ({})", error, nrt_get_status_as_str(status));
  }
  std::vector<HostTensor> outputs;
  for (size_t i = 0; i < output_tensors.size(); ++i) {
    const nrt::TensorInfo& info = model.outputs()[i];
    const nrt_tensor_t* output = output_tensors[i].get();
    outputs.push_back(is_list(info) ? from_runtime_list(info, output)
                                    : from_runtime_tensor(to_dtype(info.dtype), output));
  }
  return outputs;
}

namespace {

// STEM.npy, or STEM.txt for strings, one a line.
Outcome<void> write_tensor(const HostTensor& tensor, const std::string& stem) {
  if (tensor.dtype != DType::string) {
    return write_file(stem + ".npy", to_npy(tensor.dtype, tensor.shape, tensor.bytes));
  }
  std::vector<std::byte> bytes = tensor.bytes;
  std::replace(bytes.begin(), bytes.end(), std::byte{0}, std::byte{'\n'});
  return write_file(stem + ".txt", bytes);
}

Outcome<void> make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return tool_error(kExitError, "cannot make `{}`: {}", path, error.message());
  return {};
}

// Type, range and first elements.
std::string describe_tensor(const HostTensor& output) {
  constexpr int64_t kShown = 6;
  std::vector<std::string> first;
  std::string range;
  if (output.dtype == DType::string) {
    for (std::string_view element : split_strings(output)) {
      if (static_cast<int64_t>(first.size()) < kShown)
        first.push_back(fmt::format("\"{}\"", element));
    }
  } else {
    range = ": " + range_text(output);
    for (int64_t e = 0; e < std::min(kShown, num_elements(output)); ++e) {
      first.push_back(element_text(output, e));
    }
  }
  return fmt::format("{}{}: {}{}", shape_text(output.dtype, output.shape), range,
                     fmt::join(first, " "), num_elements(output) > kShown ? " ..." : "");
}

}  // namespace

Outcome<void> write_outputs(const nrt::Model& model, const std::vector<HostTensor>& outputs,
                            const std::string& directory) {
  if (auto done = make_folder(directory); !done) return done;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const HostTensor& output = outputs[i];
    std::string file = model.outputs()[i].name;
    std::replace(file.begin(), file.end(), '/', '_');
    const std::string stem = directory + "/" + file;
    if (output.kind == NRT_VALUE_TENSOR) {
      if (auto done = write_tensor(output, stem); !done) return done;
      continue;
    }
    if (!output.has_value) continue;
    if (auto done = make_folder(stem); !done) return done;
    for (size_t e = 0; e < output.elements.size(); ++e) {
      if (auto done = write_tensor(output.elements[e], fmt::format("{}/{}", stem, e)); !done) {
        return done;
      }
    }
  }
  return {};
}

std::string describe_outputs(const nrt::Model& model, const std::vector<HostTensor>& outputs) {
  std::string text;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const nrt::TensorInfo& info = model.outputs()[i];
    if (!is_list(info)) {
      text += fmt::format("{} {}\n", info.name, describe_tensor(outputs[i]));
      continue;
    }
    const std::vector<HostTensor>& elements = outputs[i].elements;
    text += fmt::format(
        "{} {}: {}\n", info.name, type_text(info),
        outputs[i].has_value ? fmt::format("{} tensors", elements.size()) : std::string("absent"));
    for (size_t e = 0; e < elements.size(); ++e) {
      text += fmt::format("  {} {}\n", e, describe_tensor(elements[e]));
    }
  }
  return text;
}

std::string top_elements(const HostTensor& output, size_t count,
                         const std::vector<std::string>& labels) {
  std::vector<int64_t> order(static_cast<size_t>(num_elements(output)));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  const auto value = [&](int64_t i) {
    const double v = load_as_f64(output.dtype, output.bytes.data(), i);
    return std::isnan(v) ? -std::numeric_limits<double>::infinity() : v;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return value(a) > value(b); });
  std::string text;
  for (size_t rank = 0; rank < std::min(count, order.size()); ++rank) {
    const auto index = static_cast<size_t>(order[rank]);
    const std::string label = index < labels.size() ? "  " + labels[index] : "";
    text +=
        fmt::format("{:>3}. {:<10.5g} index {}{}\n", rank + 1, value(order[rank]), index, label);
  }
  return text;
}

}  // namespace neuronc::tools
