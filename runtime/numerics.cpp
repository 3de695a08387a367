// Implements numerics.h.
#include "runtime/numerics.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace neuronc::runtime {

Result<NumericsCheck> numerics_check_from_environment() {
  const char* value = std::getenv("NEURON_RT_CHECK_NUMERICS");
  const std::string_view text = value == nullptr ? "" : value;
  if (text.empty() || text == "0") return NumericsCheck::none;
  if (text == "1") return NumericsCheck::both;
  if (text == "nan") return NumericsCheck::nan;
  if (text == "inf") return NumericsCheck::infinity;
  return fail(NRT_INVALID, "NEURON_RT_CHECK_NUMERICS=`{}` is not 0, 1, nan or inf", text);
}

NonFinite find_non_finite(DType dtype, std::span<const std::byte> bytes, NumericsCheck check) {
  NonFinite found;
  if (check == NumericsCheck::none || !is_float(dtype)) return found;
  const auto count = static_cast<int64_t>(bytes.size() / size_bytes(dtype));
  for (int64_t i = 0; i < count; ++i) {
    const double value = load_as_f64(dtype, bytes.data(), i);
    if (std::isfinite(value)) continue;
    const bool is_nan = std::isnan(value);
    if (check == (is_nan ? NumericsCheck::infinity : NumericsCheck::nan)) continue;
    ++(is_nan ? found.num_nans : found.num_infinities);
    if (found.first < 0) found.first = i;
  }
  return found;
}

std::string to_text(const NonFinite& found) {
  const auto count = [](int64_t number, std::string_view one, std::string_view several) {
    return fmt::format("{} {}", number, number == 1 ? one : several);
  };
  std::string text;
  if (found.num_nans > 0) text += count(found.num_nans, "NaN", "NaNs");
  if (found.num_infinities > 0) {
    text += text.empty() ? "" : " and ";
    text += count(found.num_infinities, "infinity", "infinities");
  }
  return text + fmt::format(", the first at element {}", found.first);
}

}  // namespace neuronc::runtime
