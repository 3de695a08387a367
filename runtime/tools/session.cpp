// Opening models for the tools.
#include "runtime/tools/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace neuronc::tools {

Outcome<nrt::Model> open_model(const std::string& path) {
  const auto error = [](NRT_STATUS status) {
    return tool_error(exit_code(status), "{} ({})", nrt_get_last_message(),
                      nrt_get_status_as_str(status));
  };
  NRT_STATUS status = nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "");
  if (status != NRT_SUCCESS) return error(status);
  std::string message;
  auto model = nrt::Model::load_file(path, message, -1, &status);
  if (!model) return error(status);
  return std::move(*model);
}

DType to_dtype(nrt_dtype_t dtype) {
  switch (dtype) {
    case NRT_DTYPE_UINT64:
      return DType::u64;
    case NRT_DTYPE_INT8:
      return DType::i8;
    case NRT_DTYPE_UINT8:
      return DType::u8;
    case NRT_DTYPE_INT16:
      return DType::i16;
    case NRT_DTYPE_UINT16:
      return DType::u16;
    case NRT_DTYPE_BFLOAT16:
      return DType::bf16;
    case NRT_DTYPE_FLOAT16:
      return DType::f16;
    case NRT_DTYPE_INT32:
      return DType::i32;
    case NRT_DTYPE_UINT32:
      return DType::u32;
    case NRT_DTYPE_FLOAT32:
      return DType::f32;
    case NRT_DTYPE_INT64:
      return DType::i64;
    case NRT_DTYPE_FP8_E4:
      return DType::f8e4m3fn;
    case NRT_DTYPE_FP8_E5:
      return DType::f8e5m2;
    case NRT_DTYPE_BOOL:
      return DType::boolean;
    case NRT_DTYPE_FLOAT64:
      return DType::f64;
    case NRT_DTYPE_STRING:
      return DType::string;
    case NRT_DTYPE_INT4:
      return DType::i4;
    case NRT_DTYPE_UINT4:
      return DType::u4;
    case NRT_DTYPE_INT2:
      return DType::i2;
    case NRT_DTYPE_UINT2:
      return DType::u2;
    case NRT_DTYPE_FP8_E4_FNUZ:
      return DType::f8e4m3fnuz;
    case NRT_DTYPE_FP8_E5_FNUZ:
      return DType::f8e5m2fnuz;
    case NRT_DTYPE_FP8_E8M0:
      return DType::f8e8m0;
    case NRT_DTYPE_FP4_E2M1:
      return DType::f4e2m1;
    case NRT_DTYPE_UNKNOWN:
      break;
  }
  return DType::none;
}

std::string type_text(const nrt::TensorInfo& info) {
  return fmt::format("{}[{}]", name(to_dtype(info.dtype)), fmt::join(info.shape, ","));
}

}  // namespace neuronc::tools
