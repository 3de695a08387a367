// Reads ONNX's TensorProto from its wire format: a few field numbers, and three ways of storing
// numbers. The runtime's tools must not need protobuf for that.
#include <cstring>
#include <optional>

#include "ir/base/element_packing.h"
#include "runtime/tools/tensor_file.h"

namespace neuronc::tools {
namespace {

enum Field : uint32_t {
  kDims = 1,
  kDataType = 2,
  kFloatData = 4,
  kInt32Data = 5,
  kStringData = 6,
  kInt64Data = 7,
  kRawData = 9,
  kDoubleData = 10,
  kUint64Data = 11,
  kDataLocation = 14,
};

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

DType dtype_of(uint64_t onnx_type) {
  constexpr DType kTypes[] = {
      DType::none,       DType::f32,  DType::u8,       DType::i8,         DType::u16,
      DType::i16,        DType::i32,  DType::i64,      DType::string,     DType::boolean,
      DType::f16,        DType::f64,  DType::u32,      DType::u64,        DType::none,
      DType::none,       DType::bf16, DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2,
      DType::f8e5m2fnuz, DType::u4,   DType::i4,       DType::f4e2m1,     DType::f8e8m0,
      DType::u2,         DType::i2,
  };
  return onnx_type < std::size(kTypes) ? kTypes[onnx_type] : DType::none;
}

// Reads fields one after the other; any malformed byte ends it with `is_bad`.
class WireReader {
 public:
  explicit WireReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool at_end() const { return bytes_.empty(); }
  bool is_bad() const { return is_bad_; }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (bytes_.empty()) break;
      const auto byte = static_cast<uint64_t>(bytes_[0]);
      bytes_ = bytes_.subspan(1);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return bad();
  }

  std::span<const std::byte> take(uint64_t size) {
    if (size > bytes_.size()) {
      bad();
      return {};
    }
    const std::span<const std::byte> taken = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return taken;
  }

  // The content of a field of the given wire type, as bytes.
  std::span<const std::byte> content(uint32_t wire_type) {
    switch (wire_type) {
      case kVarint: {
        const std::span<const std::byte> before = bytes_;
        varint();
        return before.first(before.size() - bytes_.size());
      }
      case kFixed64:
        return take(8);
      case kBytes:
        return take(varint());
      case kFixed32:
        return take(4);
      default:
        bad();
        return {};
    }
  }

 private:
  uint64_t bad() {
    is_bad_ = true;
    bytes_ = {};
    return 0;
  }

  std::span<const std::byte> bytes_;
  bool is_bad_ = false;
};

class TensorProtoParser {
 public:
  Outcome<FileTensor> parse(std::span<const std::byte> bytes) {
    WireReader reader(bytes);
    while (!reader.at_end()) {
      const uint64_t tag = reader.varint();
      const std::span<const std::byte> content = reader.content(tag & 7);
      if (!reader.is_bad()) read_field(static_cast<uint32_t>(tag >> 3), content);
    }
    if (reader.is_bad() || is_bad_) return tool_error(kExitError, "it is not an ONNX tensor");
    if (is_external_) return tool_error(kExitUnsupported, "the tensor's data is in another file");
    if (tensor_.dtype == DType::none) {
      return tool_error(kExitUnsupported, "the tensor has type {}, which is not handled",
                        onnx_type_);
    }
    store_values();
    uint64_t count = 1;
    for (int64_t dim : tensor_.shape) count *= static_cast<uint64_t>(dim);
    const bool is_unpacked = elements_per_byte(tensor_.dtype) == 1 || unpack(count);
    const uint64_t size = tensor_.dtype == DType::string
                              ? num_strings_ == count ? tensor_.bytes.size() : UINT64_MAX
                              : count * static_cast<uint64_t>(size_bytes(tensor_.dtype));
    if (!is_unpacked || size != tensor_.bytes.size()) {
      return tool_error(kExitError, "the tensor's data does not have the size of its dims");
    }
    return std::move(tensor_);
  }

 private:
  void read_field(uint32_t field, std::span<const std::byte> content) {
    switch (field) {
      case kDims:
        for_each_varint(content, [this](uint64_t dim) {
          if (dim > (uint64_t{1} << 40)) is_bad_ = true;
          tensor_.shape.push_back(static_cast<int64_t>(dim));
        });
        break;
      case kDataType:
        for_each_varint(content, [this](uint64_t type) { onnx_type_ = type; });
        tensor_.dtype = dtype_of(onnx_type_);
        break;
      case kFloatData:
      case kDoubleData:
      case kRawData:
        tensor_.bytes.insert(tensor_.bytes.end(), content.begin(), content.end());
        break;
      case kInt32Data:
      case kInt64Data:
      case kUint64Data:
        for_each_varint(content, [this](uint64_t value) { values_.push_back(value); });
        break;
      case kStringData:
        tensor_.bytes.insert(tensor_.bytes.end(), content.begin(), content.end());
        tensor_.bytes.push_back(std::byte{0});
        ++num_strings_;
        break;
      case kDataLocation:
        for_each_varint(content, [this](uint64_t location) { is_external_ = location == 1; });
        break;
      default:
        break;
    }
  }

  // One varint, or many packed together: their bytes look alike.
  template <class Visit>
  void for_each_varint(std::span<const std::byte> content, const Visit& visit) {
    WireReader reader(content);
    while (!reader.at_end()) visit(reader.varint());
    is_bad_ |= reader.is_bad();
  }

  // Integer fields hold every type up to their width, 16-bit floats by their bits.
  void store_values() {
    const auto width = static_cast<size_t>(size_bytes(tensor_.dtype));
    for (uint64_t value : values_) {
      const auto* bytes = reinterpret_cast<const std::byte*>(&value);
      tensor_.bytes.insert(tensor_.bytes.end(), bytes, bytes + width);
    }
  }

  // Elements below 8 bits take a byte each; the first of a stored byte is in its lowest bits. False
  // if there are not as many bytes as that takes.
  bool unpack(uint64_t count) {
    const auto per_byte = static_cast<uint64_t>(elements_per_byte(tensor_.dtype));
    if (count / per_byte + (count % per_byte != 0 ? 1 : 0) != tensor_.bytes.size()) return false;
    const auto bits = static_cast<unsigned>(8 / per_byte);
    const bool is_signed = is_signed_integer(tensor_.dtype);
    std::vector<std::byte> elements(count);
    for (uint64_t i = 0; i < count; ++i) {
      const auto byte = static_cast<unsigned>(tensor_.bytes[i / per_byte]);
      unsigned value = byte >> (bits * (i % per_byte)) & ((1u << bits) - 1);
      if (is_signed && (value >> (bits - 1)) != 0) value |= 0xffu << bits;
      elements[i] = static_cast<std::byte>(value);
    }
    tensor_.bytes = std::move(elements);
    return true;
  }

  FileTensor tensor_;
  uint64_t onnx_type_ = 0;
  std::vector<uint64_t> values_;
  size_t num_strings_ = 0;
  bool is_external_ = false;
  bool is_bad_ = false;
};

}  // namespace

Outcome<FileTensor> parse_tensor_proto(std::span<const std::byte> bytes) {
  return TensorProtoParser().parse(bytes);
}

// SequenceProto holds its tensors in field 3; OptionalProto a tensor in field 3, a sequence in 5.
Outcome<FileList> parse_sequence_proto(std::span<const std::byte> bytes) {
  constexpr uint64_t kTensors = 3;
  FileList list;
  WireReader reader(bytes);
  while (!reader.at_end()) {
    const uint64_t tag = reader.varint();
    const std::span<const std::byte> content = reader.content(tag & 7);
    if (reader.is_bad()) return tool_error(kExitError, "it is not an ONNX sequence");
    if (tag >> 3 != kTensors) continue;
    auto element = parse_tensor_proto(content);
    if (!element) return tl::unexpected(element.error());
    list.elements.push_back(std::move(*element));
  }
  return list;
}

Outcome<FileList> parse_optional_proto(std::span<const std::byte> bytes) {
  constexpr uint64_t kTensor = 3;
  constexpr uint64_t kSequence = 5;
  FileList list{false, {}};
  WireReader reader(bytes);
  while (!reader.at_end()) {
    const uint64_t tag = reader.varint();
    const std::span<const std::byte> content = reader.content(tag & 7);
    if (reader.is_bad()) return tool_error(kExitError, "it is not an ONNX optional");
    if (tag >> 3 == kSequence) return parse_sequence_proto(content);
    if (tag >> 3 != kTensor) continue;
    auto element = parse_tensor_proto(content);
    if (!element) return tl::unexpected(element.error());
    list.has_value = true;
    list.elements.push_back(std::move(*element));
  }
  return list;
}

}  // namespace neuronc::tools
