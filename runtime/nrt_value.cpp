// Implements nrt_value.h.
#include "runtime/nrt_value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

namespace neuronc::runtime {
namespace {

std::string shape_text(const plan::TensorSpec& spec, const std::vector<int64_t>& dims) {
  return fmt::format("{}[{}]", name(spec.dtype), fmt::join(dims, ","));
}

// A string tensor from its elements' bytes, each ended by a zero byte.
Result<Tensor> strings_from_bytes(const plan::TensorSpec& spec, const std::vector<int64_t>& shape,
                                  const nrt_tensor& tensor) {
  NEURONC_TRY(check_memory(spec, tensor));
  std::vector<std::string> strings;
  const char* at = reinterpret_cast<const char*>(tensor.data);
  const char* end = at + tensor.size_bytes;
  while (at < end) {
    const size_t length = strnlen(at, static_cast<size_t>(end - at));
    if (at + length == end) break;
    strings.emplace_back(at, length);
    at += length + 1;
  }
  const auto count = static_cast<uint64_t>(num_elements(shape));
  if (at != end || strings.size() != count) {
    return fail(NRT_EXEC_BAD_INPUT, "input `{}` takes {} strings, each ended by a zero byte",
                spec.name, count);
  }
  return Tensor::from_strings(shape, std::move(strings));
}

// Whether a tensor of a list may have this shape.
bool fits(const plan::TensorSpec& spec, const std::vector<int64_t>& shape) {
  if (!spec.is_ranked) return true;
  if (shape.size() != spec.dims.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (spec.dims[i] >= 0 && spec.dims[i] != shape[i]) return false;
  }
  return true;
}

Result<Tensor> element_from_tensor(const plan::TensorSpec& spec, size_t index,
                                   const nrt_tensor& element) {
  if (!fits(spec, element.shape)) {
    return fail(NRT_EXEC_BAD_INPUT, "input `{}` is {}, its element {} is {}", spec.name,
                type_text(spec), index, shape_text(spec, element.shape));
  }
  if (spec.dtype == DType::string) return strings_from_bytes(spec, element.shape, element);
  const int64_t count = num_elements(element.shape);
  const auto width = static_cast<uint64_t>(size_bytes(spec.dtype));
  if (element.size_bytes % width != 0 ||
      element.size_bytes / width != static_cast<uint64_t>(count)) {
    return fail(NRT_EXEC_BAD_INPUT, "input `{}`: element {} is {}, and has {} bytes", spec.name,
                index, shape_text(spec, element.shape), element.size_bytes);
  }
  NEURONC_TRY(check_memory(spec, element));
  return Tensor::borrow(spec.dtype, element.shape, {element.data, element.size_bytes},
                        element.owner);
}

std::vector<std::byte> to_bytes(const Tensor& tensor) {
  std::vector<std::byte> bytes;
  if (tensor.dtype() != DType::string) {
    bytes.assign(tensor.bytes().begin(), tensor.bytes().end());
    return bytes;
  }
  for (const std::string& text : tensor.strings()) {
    const auto* data = reinterpret_cast<const std::byte*>(text.c_str());
    bytes.insert(bytes.end(), data, data + text.size() + 1);
  }
  return bytes;
}

Result<Done> store_tensor(const plan::TensorSpec& spec, const Tensor& value, nrt_tensor& tensor) {
  const std::vector<std::byte> bytes = to_bytes(value);
  const bool is_attached = tensor.data != nullptr && tensor.owner == nullptr;
  if (is_attached && tensor.size_bytes < bytes.size()) {
    return fail(NRT_RESOURCE, "output `{}` has {} bytes, the attached buffer {}", spec.name,
                bytes.size(), tensor.size_bytes);
  }
  if (!is_attached && (tensor.owner == nullptr || tensor.size_bytes != bytes.size()) &&
      !allocate_tensor(tensor, bytes.size())) {
    return fail(NRT_FAIL_HOST_MEM_ALLOC, "no memory for output `{}`", spec.name);
  }
  if (!bytes.empty()) std::memcpy(tensor.data, bytes.data(), bytes.size());
  tensor.shape = value.shape();
  tensor.has_shape = true;
  return Done{};
}

}  // namespace

Result<Done> check_memory(const plan::TensorSpec& spec, const nrt_tensor& tensor) {
  if (tensor.data != nullptr || tensor.size_bytes == 0) return Done{};
  return fail(NRT_EXEC_BAD_INPUT,
              "input `{}`: the tensor has no memory: see nrt_tensor_attach_buffer", spec.name);
}

std::string type_text(const plan::TensorSpec& spec) {
  const std::string tensor =
      spec.is_ranked ? shape_text(spec, spec.dims) : fmt::format("{}[*]", name(spec.dtype));
  switch (spec.kind) {
    case Type::Kind::sequence:
      return fmt::format("seq({})", tensor);
    case Type::Kind::optional:
      return fmt::format("opt({})", tensor);
    case Type::Kind::optional_sequence:
      return fmt::format("opt(seq({}))", tensor);
    default:
      return tensor;
  }
}

Result<HostValue> value_from_tensor(const plan::TensorSpec& spec, const nrt_tensor& tensor) {
  const bool is_list = spec.kind != Type::Kind::tensor;
  if (tensor.is_list != is_list) {
    return fail(NRT_EXEC_BAD_INPUT, "input `{}` is {}, which takes a {}", spec.name,
                type_text(spec), is_list ? "list: see nrt_tensor_list_clear" : "tensor");
  }
  if (!is_list) {
    auto strings = strings_from_bytes(spec, spec.dims, tensor);
    if (!strings) return tl::unexpected(strings.error());
    return HostValue(std::move(*strings));
  }
  HostValue value;
  value.kind = spec.kind;
  value.has_value = spec.kind == Type::Kind::sequence || tensor.has_value;
  if (spec.kind == Type::Kind::optional) value.has_value = !tensor.elements.empty();
  const size_t most = spec.kind == Type::Kind::optional ? 1 : tensor.elements.size();
  if (tensor.elements.size() > most || (!value.has_value && !tensor.elements.empty())) {
    return fail(NRT_EXEC_BAD_INPUT, "input `{}` is {}, its list has {} elements", spec.name,
                type_text(spec), tensor.elements.size());
  }
  for (size_t i = 0; i < tensor.elements.size(); ++i) {
    auto element = element_from_tensor(spec, i, *tensor.elements[i]);
    if (!element) return tl::unexpected(element.error());
    value.elements.push_back(std::move(*element));
  }
  return value;
}

Result<Done> store_value(const plan::TensorSpec& spec, const HostValue& value, nrt_tensor& tensor) {
  if (value.kind != spec.kind || (value.kind == Type::Kind::tensor && value.elements.size() != 1)) {
    return fail(NRT_FAILURE, "output `{}` is not {}", spec.name, type_text(spec));
  }
  if (value.kind == Type::Kind::tensor) return store_tensor(spec, value.tensor(), tensor);
  if (tensor.data != nullptr && tensor.owner == nullptr) {
    return fail(NRT_EXEC_BAD_INPUT, "output `{}` is {}, which no attached buffer holds", spec.name,
                type_text(spec));
  }
  clear_list(tensor, value.has_value);
  for (const Tensor& element : value.elements) {
    NEURONC_TRY(store_tensor(spec, element, add_element(tensor)));
  }
  return Done{};
}

}  // namespace neuronc::runtime
