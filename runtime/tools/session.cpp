// Opening models for the tools.
#include "runtime/tools/session.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/nrt_dtypes.h"

namespace neuronc::tools {

Outcome<nrt::Model> open_model(const std::string& path, int num_cores) {
  const auto error = [](NRT_STATUS status) {
    return tool_error(exit_code(status), "{} ({})", nrt_get_last_message(),
                      nrt_get_status_as_str(status));
  };
  NRT_STATUS status = nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "");
  if (status != NRT_SUCCESS) return error(status);
  std::string message;
  auto model = nrt::Model::load_file(path, message, -1, &status, num_cores);
  if (!model) return error(status);
  return std::move(*model);
}

DType to_dtype(nrt_dtype_t dtype) { return runtime::from_nrt(dtype); }

std::string type_text(const nrt::TensorInfo& info) {
  const std::string tensor =
      fmt::format("{}[{}]", name(to_dtype(info.dtype)), fmt::join(info.shape, ","));
  switch (info.kind) {
    case NRT_VALUE_SEQUENCE:
      return fmt::format("seq({})", tensor);
    case NRT_VALUE_OPTIONAL:
      return fmt::format("opt({})", tensor);
    case NRT_VALUE_OPTIONAL_SEQUENCE:
      return fmt::format("opt(seq({}))", tensor);
    default:
      return tensor;
  }
}

}  // namespace neuronc::tools
