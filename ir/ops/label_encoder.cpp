// Values looked up in a table of keys.
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kLabels = kAny;
constexpr OperandSpec kOperands[] = {{"x", kLabels, 'K'},
                                     {"keys", kLabels, 'K'},
                                     {"values", kLabels, 'V'},
                                     {"otherwise", kLabels, 'V'}};
constexpr ResultSpec kResults[] = {{"y", kLabels, 'V'}};

Types infer_label_encoder(const InferInput& input) {
  for (size_t i = 1; i < 3; ++i) {
    if (input.operands[i].is_ranked && input.operands[i].rank() != 1) {
      return refuse("keys or values are not of rank 1");
    }
  }
  const auto num_keys = known_length(input, 1);
  const auto num_values = known_length(input, 2);
  if (num_keys && num_values && *num_keys != *num_values) {
    return refuse("there is not one value per key");
  }
  if (input.operands[3].is_static() && input.operands[3].num_elements() != 1) {
    return refuse("the value of unknown keys is not one");
  }
  Type type = input.operands[0];
  type.dtype = input.operands[2].dtype;
  return std::vector<Type>{std::move(type)};
}

// Where each key stands first. Numbers are compared as numbers, NaN is equal to NaN.
class Positions {
 public:
  explicit Positions(const Tensor& keys) {
    for (int64_t i = 0; i < keys.num_elements(); ++i) {
      if (keys.dtype() == DType::string) {
        strings_.emplace(keys.strings()[static_cast<size_t>(i)], i);
      } else {
        numbers_.emplace(bits_of(keys, i), i);
      }
    }
  }

  int64_t find(const Tensor& x, int64_t i) const {
    if (x.dtype() == DType::string) {
      const auto it = strings_.find(x.strings()[static_cast<size_t>(i)]);
      return it == strings_.end() ? -1 : it->second;
    }
    const auto it = numbers_.find(bits_of(x, i));
    return it == numbers_.end() ? -1 : it->second;
  }

 private:
  static int64_t bits_of(const Tensor& tensor, int64_t i) {
    if (!is_float(tensor.dtype())) return tensor.i64(i);
    double value = tensor.f64(i);
    if (std::isnan(value)) value = std::nan("");
    if (value == 0) value = 0;
    int64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
  }

  std::unordered_map<std::string, int64_t> strings_;
  std::unordered_map<int64_t, int64_t> numbers_;
};

Values evaluate_label_encoder(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const Tensor& values = input.tensor(2);
  const Positions positions(input.tensor(1));
  Tensor y = Tensor::zeros(type.dtype, x.shape());
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    const int64_t at = positions.find(x, i);
    copy_element(y, i, at < 0 ? input.tensor(3) : values, at < 0 ? 0 : at);
  }
  return one(std::move(y));
}

}  // namespace

/// y = values[i] where x = keys[i], the first such i; `otherwise` where x is no key. NaN is equal
/// to NaN.   Shapes: y as x; keys and values [n]; otherwise [] or [1].   Types: any. Source:
/// ai.onnx.ml LabelEncoder-4.
NEURONC_OP(label_encoder) = {"label_encoder",
                             "values looked up by key",
                             "ai.onnx.ml LabelEncoder-4",
                             kOperands,
                             {},
                             kResults,
                             Trait::none,
                             Precision::exact,
                             infer_label_encoder,
                             evaluate_label_encoder,
                             flops_per_result<8>};

}  // namespace neuronc
