// Implements proto_types.h.
#include "compiler/onnx/proto_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>

#include "ir/base/element_packing.h"

namespace neuronc::onnx {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
};

// Indexed by TensorProto.DataType; newer entries than the installed library knows are included.
constexpr DTypeRow kDTypes[] = {
    {DType::none, "undefined"},
    {DType::f32, "float"},
    {DType::u8, "uint8"},
    {DType::i8, "int8"},
    {DType::u16, "uint16"},
    {DType::i16, "int16"},
    {DType::i32, "int32"},
    {DType::i64, "int64"},
    {DType::string, "string"},
    {DType::boolean, "bool"},
    {DType::f16, "float16"},
    {DType::f64, "double"},
    {DType::u32, "uint32"},
    {DType::u64, "uint64"},
    {DType::none, "complex64"},
    {DType::none, "complex128"},
    {DType::bf16, "bfloat16"},
    {DType::f8e4m3fn, "float8e4m3fn"},
    {DType::f8e4m3fnuz, "float8e4m3fnuz"},
    {DType::f8e5m2, "float8e5m2"},
    {DType::f8e5m2fnuz, "float8e5m2fnuz"},
    {DType::u4, "uint4"},
    {DType::i4, "int4"},
    {DType::f4e2m1, "float4e2m1"},
    {DType::f8e8m0, "float8e8m0"},
    {DType::u2, "uint2"},
    {DType::i2, "int2"},
};

OrRefusal<std::vector<int64_t>> checked_shape(const TensorProto& proto) {
  std::vector<int64_t> shape(proto.dims().begin(), proto.dims().end());
  int64_t product = 1;
  for (int64_t extent : shape) {
    if (extent < 0) return refuse(fmt::format("it has the negative extent {}", extent));
    if (__builtin_mul_overflow(product, extent, &product) ||
        product > (std::numeric_limits<int64_t>::max() >> 4)) {
      return refuse("its number of elements is too large");
    }
  }
  return shape;
}

int64_t stored_size_bytes(DType dtype, int64_t num_elements) {
  const int per_byte = elements_per_byte(dtype);
  if (per_byte > 1) return (num_elements + per_byte - 1) / per_byte;
  return num_elements * size_bytes(dtype);
}

// Spreads packed 4- and 2-bit elements to one a byte, sign-extending signed ones.
Tensor unpack(DType dtype, std::vector<int64_t> shape, std::span<const std::byte> packed) {
  Tensor tensor = Tensor::zeros(dtype, std::move(shape));
  const int per_byte = elements_per_byte(dtype);
  const int bits = 8 / per_byte;
  auto* out = reinterpret_cast<uint8_t*>(tensor.mutable_data());
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    const auto byte = static_cast<uint8_t>(packed[static_cast<size_t>(i / per_byte)]);
    auto field = static_cast<uint8_t>((byte >> (bits * (i % per_byte))) & ((1 << bits) - 1));
    const bool is_negative = is_signed_integer(dtype) && (field >> (bits - 1)) != 0;
    if (is_negative) field |= static_cast<uint8_t>(0xff << bits);
    out[i] = field;
  }
  return tensor;
}

OrRefusal<Tensor> from_bytes(DType dtype, std::vector<int64_t> shape,
                             std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  const int64_t needed = stored_size_bytes(dtype, num_elements(shape));
  if (static_cast<int64_t>(bytes.size()) != needed) {
    return refuse(
        fmt::format("it has {} bytes of data, but its shape needs {}", bytes.size(), needed));
  }
  if (elements_per_byte(dtype) > 1) return unpack(dtype, std::move(shape), bytes);
  const auto address = reinterpret_cast<uintptr_t>(bytes.data());
  if (owner && address % static_cast<size_t>(size_bytes(dtype)) == 0 && dtype != DType::boolean) {
    return Tensor::borrow(dtype, std::move(shape), bytes, std::move(owner));
  }
  Tensor tensor = Tensor::zeros(dtype, std::move(shape));
  if (!bytes.empty()) std::memcpy(tensor.mutable_data(), bytes.data(), bytes.size());
  if (dtype == DType::boolean) {
    for (uint8_t& element : tensor.mutable_as<uint8_t>()) element = element != 0 ? 1 : 0;
  }
  return tensor;
}

struct ExternalData {
  std::string location;
  int64_t offset = 0;
  int64_t length = -1;  // to the end of the file
};

OrRefusal<ExternalData> external_data_of(const TensorProto& proto) {
  ExternalData data;
  for (const auto& entry : proto.external_data()) {
    const std::string& text = entry.value();
    if (entry.key() == "location") {
      data.location = text;
    } else if (entry.key() == "offset" || entry.key() == "length") {
      int64_t number = -1;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size() || number < 0) {
        return refuse(fmt::format("its external `{}` is `{}`, not a number", entry.key(), text));
      }
      (entry.key() == "offset" ? data.offset : data.length) = number;
    }
  }
  if (data.location.empty()) return refuse("its external data has no location");
  return data;
}

OrRefusal<Tensor> from_external(const TensorProto& proto, DType dtype, std::vector<int64_t> shape,
                                const TensorSource& source) {
  NEURONC_ASSIGN(const ExternalData data, external_data_of(proto));
  if (source.external == nullptr) return refuse("external data needs a model that is a file");
  NEURONC_ASSIGN(const ExternalFiles::Bytes file, source.external->open(data.location));
  const std::span<const std::byte> bytes = file.bytes;
  const auto file_size = static_cast<int64_t>(bytes.size());
  const int64_t needed = stored_size_bytes(dtype, num_elements(shape));
  const int64_t length = data.length >= 0 ? data.length : needed;
  if (data.offset > file_size || length > file_size - data.offset) {
    const std::string_view kind = kind_of_file(bytes);
    return refuse(
        fmt::format("its external data `{}` has {} bytes, but offset {} and length {} "
                    "are asked for{}{}",
                    data.location, file_size, data.offset, length, kind.empty() ? "" : "; ", kind));
  }
  const auto part = bytes.subspan(static_cast<size_t>(data.offset), static_cast<size_t>(length));
  source.external->note_used(part);
  return from_bytes(dtype, std::move(shape), part, file.owner);
}

OrRefusal<void> check_count(int64_t given, int64_t needed) {
  if (given == needed) return {};
  return refuse(fmt::format("it has {} elements of data, but its shape needs {}", given, needed));
}

// Typed data whose elements are stored as they are.
template <class T, class Field>
OrRefusal<Tensor> from_field(DType dtype, std::vector<int64_t> shape, const Field& field) {
  NEURONC_TRY(check_count(field.size(), num_elements(shape)));
  Tensor tensor = Tensor::zeros(dtype, std::move(shape));
  auto out = tensor.mutable_as<T>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(field.Get(static_cast<int>(i)));
  return tensor;
}

// int32_data holds every type of at most 32 bits; 4- and 2-bit types stand packed in its bytes.
OrRefusal<Tensor> from_int32_data(const TensorProto& proto, DType dtype,
                                  std::vector<int64_t> shape) {
  const auto& field = proto.int32_data();
  if (elements_per_byte(dtype) > 1) {
    NEURONC_TRY(check_count(field.size(), stored_size_bytes(dtype, num_elements(shape))));
    std::vector<std::byte> packed;
    for (int32_t value : field) packed.push_back(static_cast<std::byte>(value));
    return unpack(dtype, std::move(shape), packed);
  }
  if (dtype == DType::boolean) {
    NEURONC_ASSIGN(Tensor tensor, from_field<uint8_t>(dtype, std::move(shape), field));
    for (uint8_t& element : tensor.mutable_as<uint8_t>()) element = element != 0 ? 1 : 0;
    return tensor;
  }
  switch (size_bytes(dtype)) {
    case 1:
      return from_field<uint8_t>(dtype, std::move(shape), field);
    case 2:
      return from_field<uint16_t>(dtype, std::move(shape), field);
    default:
      return from_field<int32_t>(dtype, std::move(shape), field);
  }
}

OrRefusal<Tensor> from_typed_data(const TensorProto& proto, DType dtype,
                                  std::vector<int64_t> shape) {
  switch (dtype) {
    case DType::f32:
      return from_field<float>(dtype, std::move(shape), proto.float_data());
    case DType::f64:
      return from_field<double>(dtype, std::move(shape), proto.double_data());
    case DType::i64:
      return from_field<int64_t>(dtype, std::move(shape), proto.int64_data());
    case DType::u32:
      return from_field<uint32_t>(dtype, std::move(shape), proto.uint64_data());
    case DType::u64:
      return from_field<uint64_t>(dtype, std::move(shape), proto.uint64_data());
    case DType::string: {
      NEURONC_TRY(check_count(proto.string_data_size(), num_elements(shape)));
      std::vector<std::string> strings(proto.string_data().begin(), proto.string_data().end());
      return Tensor::from_strings(std::move(shape), std::move(strings));
    }
    default:
      return from_int32_data(proto, dtype, std::move(shape));
  }
}

}  // namespace

DType dtype_from_onnx(int32_t data_type) {
  if (data_type < 0 || data_type >= static_cast<int32_t>(std::size(kDTypes))) return DType::none;
  return kDTypes[data_type].dtype;
}

std::string onnx_dtype_name(int32_t data_type) {
  if (data_type < 0 || data_type >= static_cast<int32_t>(std::size(kDTypes))) {
    return fmt::format("number {}", data_type);
  }
  return std::string(kDTypes[data_type].name);
}

OrRefusal<Tensor> tensor_from_proto(const TensorProto& proto, const TensorSource& source) {
  const DType dtype = dtype_from_onnx(proto.data_type());
  if (dtype == DType::none) {
    return refuse(
        fmt::format("its element type `{}` is not supported", onnx_dtype_name(proto.data_type())));
  }
  NEURONC_ASSIGN(std::vector<int64_t> shape, checked_shape(proto));
  const bool is_external = proto.data_location() == TensorProto::EXTERNAL;
  if (is_external && dtype != DType::string) {
    return from_external(proto, dtype, std::move(shape), source);
  }
  if (proto.has_raw_data() && dtype != DType::string) {
    return from_bytes(dtype, std::move(shape), std::as_bytes(std::span(proto.raw_data())),
                      source.owner);
  }
  return from_typed_data(proto, dtype, std::move(shape));
}

OrRefusal<Tensor> tensor_from_sparse_proto(const SparseTensorProto& proto,
                                           const TensorSource& source) {
  NEURONC_ASSIGN(const Tensor values, tensor_from_proto(proto.values(), source));
  NEURONC_ASSIGN(const Tensor indices, tensor_from_proto(proto.indices(), source));
  TensorProto dense_shape;
  *dense_shape.mutable_dims() = proto.dims();
  NEURONC_ASSIGN(std::vector<int64_t> shape, checked_shape(dense_shape));
  const int64_t rank = static_cast<int64_t>(shape.size());
  constexpr int64_t kMostElements = int64_t{1} << 31;
  if (num_elements(shape) > kMostElements) return refuse("it is too large to be made dense");
  const bool is_linear = indices.rank() == 1;
  const bool fits = is_linear ? indices.num_elements() == values.num_elements()
                              : indices.rank() == 2 && indices.shape()[1] == rank &&
                                    indices.shape()[0] == values.num_elements();
  if (!fits || indices.dtype() != DType::i64 || values.dtype() == DType::string) {
    return refuse("its sparse indices do not fit its values");
  }
  Tensor dense = Tensor::zeros(values.dtype(), shape);
  const auto element_size = static_cast<size_t>(size_bytes(values.dtype()));
  const std::vector<int64_t> strides = row_major_strides(shape);
  for (int64_t i = 0; i < values.num_elements(); ++i) {
    int64_t position = 0;
    for (int64_t d = 0; d < rank && !is_linear; ++d) {
      const int64_t index = indices.i64(i * rank + d);
      if (index < 0 || index >= shape[static_cast<size_t>(d)]) position = -1;
      if (position >= 0) position += index * strides[static_cast<size_t>(d)];
    }
    if (is_linear) position = indices.i64(i);
    if (position < 0 || position >= dense.num_elements()) {
      return refuse("a sparse index lies outside of its shape");
    }
    std::memcpy(dense.mutable_data() + static_cast<size_t>(position) * element_size,
                values.data() + static_cast<size_t>(i) * element_size, element_size);
  }
  return dense;
}

namespace {

// What exporters write for "any extent"; two dims of such a name have nothing in common.
bool is_any_dim(std::string_view name) {
  constexpr std::string_view kAny[] = {"", "?", "-1", "None", "none", "*"};
  return std::find(std::begin(kAny), std::end(kAny), name) != std::end(kAny);
}

OrRefusal<DeclaredType> tensor_type_from_proto(const TypeProto::Tensor& proto) {
  DeclaredType type;
  type.kind = Type::Kind::tensor;
  type.dtype = dtype_from_onnx(proto.elem_type());
  if (type.dtype == DType::none) {
    return refuse(
        fmt::format("its element type `{}` is not supported", onnx_dtype_name(proto.elem_type())));
  }
  type.is_ranked = proto.has_shape();
  for (const auto& dim : proto.shape().dim()) {
    DeclaredDim declared;
    if (dim.has_dim_value() && dim.dim_value() >= 0) declared.number = dim.dim_value();
    if (dim.has_dim_param() && !is_any_dim(dim.dim_param())) declared.name = dim.dim_param();
    type.dims.push_back(std::move(declared));
  }
  return type;
}

}  // namespace

OrRefusal<DeclaredType> type_from_proto(const TypeProto& proto) {
  switch (proto.value_case()) {
    case TypeProto::kTensorType:
      return tensor_type_from_proto(proto.tensor_type());
    case TypeProto::kSequenceType: {
      NEURONC_ASSIGN(DeclaredType element, type_from_proto(proto.sequence_type().elem_type()));
      if (element.kind != Type::Kind::tensor) return refuse("it is a sequence of non-tensors");
      element.kind = Type::Kind::sequence;
      return element;
    }
    case TypeProto::kOptionalType: {
      NEURONC_ASSIGN(DeclaredType element, type_from_proto(proto.optional_type().elem_type()));
      if (element.kind == Type::Kind::tensor) {
        element.kind = Type::Kind::optional;
      } else if (element.kind == Type::Kind::sequence) {
        element.kind = Type::Kind::optional_sequence;
      } else {
        return refuse("it is an optional of an optional");
      }
      return element;
    }
    case TypeProto::kMapType:
      return refuse(
          "it is a map, and values are tensors and sequences or optionals of them: give a tensor "
          "that holds the map's values in the order of its keys");
    case TypeProto::kSparseTensorType:
      return refuse("sparse tensors are not supported as values");
    case TypeProto::kOpaqueType:
      return refuse("opaque types are not supported");
    default:
      return refuse("it has no type");
  }
}

bool is_sequence_of_maps(const TypeProto& proto) {
  return proto.value_case() == TypeProto::kSequenceType &&
         proto.sequence_type().elem_type().value_case() == TypeProto::kMapType;
}

OrRefusal<DeclaredType> output_type_from_proto(const TypeProto& proto) {
  if (!is_sequence_of_maps(proto)) return type_from_proto(proto);
  NEURONC_ASSIGN(DeclaredType type,
                 type_from_proto(proto.sequence_type().elem_type().map_type().value_type()));
  if (type.kind != Type::Kind::tensor) return refuse("it holds maps of non-tensors");
  type.is_ranked = false;
  type.dims.clear();
  return type;
}

}  // namespace neuronc::onnx
