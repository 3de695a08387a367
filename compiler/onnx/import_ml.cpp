// Import rules of ai.onnx.ml: linear and support vector models, and what prepares their features.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/ml_tools.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

int64_t num_features(NodeContext& node, ValueId x) {
  const Ints shape = node.shape(x);
  if (!node.failed() && shape.empty()) node.invalid("its input is a scalar");
  return node.failed() ? 0 : shape.back();
}

ValueId as_f32(NodeContext& node, ValueId x) {
  if (node.dtype_of(x) == DType::f32) return x;
  return node.emit(Op::cast, {x}, {{"to", DType::f32}});
}

// A row of features where a vector is given.
ValueId as_rows(NodeContext& node, ValueId x) {
  const Ints shape = node.shape(x);
  return !node.failed() && shape.size() == 1 ? reshape_to(node, x, {1, shape[0]}) : x;
}

// x times `coefficients` [outputs, features], transposed, plus intercepts.
ValueId linear(NodeContext& node, ValueId x, int64_t outputs) {
  const std::vector<double> coefficients = node.floats("coefficients");
  std::vector<double> intercepts = node.floats("intercepts");
  const int64_t features = num_features(node, x);
  if (node.failed()) return {};
  const ValueId weight = constant_like(node, x, {outputs, features}, coefficients);
  if (intercepts.empty()) intercepts.assign(static_cast<size_t>(outputs), 0);
  const ValueId bias = constant_like(node, x, {outputs}, intercepts);
  return node.emit(Op::gemm, {x, weight, bias}, {{"transB", int64_t{1}}});
}

void set_labels(NodeContext& node, const Tensor& labels, ValueId index) {
  node.set_output(0, node.emit(Op::gather, {node.constant(labels), index}));
}

ValueId best_of(NodeContext& node, ValueId scores) {
  return node.emit(Op::arg_max, {scores}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}});
}

}  // namespace

void import_linear_regressor(NodeContext& node, const Rule&) {
  const ValueId x = as_f32(node, as_rows(node, node.input(0)));
  const ValueId y = linear(node, x, node.i64("targets", 1));
  node.set_output(0, post_transformed(node, y, node.string("post_transform", "NONE")));
}

// One row of coefficients for two classes gives the margin of the second.
void import_linear_classifier(NodeContext& node, const Rule&) {
  const ValueId x = as_f32(node, as_rows(node, node.input(0)));
  const Tensor labels = labels_of(node, "classlabels_ints", "classlabels_strings");
  const int64_t features = num_features(node, x);
  if (node.failed()) return;
  const auto given = static_cast<int64_t>(node.floats("coefficients").size());
  if (!labels || features == 0 || given % features != 0 || given == 0) {
    return node.invalid("it has no labels, or its coefficients do not fit its input");
  }
  const int64_t outputs = given / features;
  const ValueId scores = linear(node, x, outputs);
  const std::string transform = node.string("post_transform", "NONE");
  if (outputs > 1 || labels.num_elements() != 2) {
    if (outputs != labels.num_elements()) return node.invalid("it has not one label per class");
    set_labels(node, labels, best_of(node, scores));
    return node.set_output(1, post_transformed(node, scores, transform));
  }
  const ValueId is_second = node.emit(Op::greater, {scores, node.scalar_like(scores, 0)});
  const ValueId index = node.emit(Op::cast, {is_second}, {{"to", DType::i64}});
  set_labels(node, labels, node.emit(Op::squeeze, {index, node.ints(Ints{1})}));
  if (transform == "PROBIT") return node.set_output(1, post_transformed(node, scores, transform));
  if (transform == "LOGISTIC") {
    const ValueId both = beside(node, node.emit(Op::neg, {scores}), scores);
    return node.set_output(1, node.emit(Op::sigmoid, {both}));
  }
  const ValueId other = node.emit(Op::sub, {node.scalar_like(scores, 1), scores});
  node.set_output(1, beside(node, other, scores));
}

// ---- support vector machines

namespace {

// The kernel of each row of x with each vector: [rows, vectors].
ValueId kernel_of(NodeContext& node, ValueId x, const std::vector<double>& vectors) {
  const int64_t features = num_features(node, x);
  if (node.failed() || features == 0 || vectors.size() % static_cast<size_t>(features) != 0) {
    if (!node.failed()) node.invalid("its vectors do not fit its input");
    return {};
  }
  const auto count = static_cast<int64_t>(vectors.size()) / features;
  std::vector<double> parameters = node.floats("kernel_params");
  parameters.resize(3, 0);
  const std::string type = node.string("kernel_type", "LINEAR");
  const ValueId rows = constant_like(node, x, {count, features}, vectors);
  const auto number = [&](double value) { return node.scalar_like(x, value); };
  if (type == "RBF") {
    const ValueId a = node.emit(Op::unsqueeze, {x, node.ints(Ints{1})});
    const ValueId d = node.emit(Op::sub, {a, rows});
    const ValueId squares =
        node.emit(Op::reduce_sum, {node.emit(Op::mul, {d, d}), node.ints(Ints{2})},
                  {{"keepdims", int64_t{0}}});
    return node.emit(Op::exp, {node.emit(Op::mul, {squares, number(-parameters[0])})});
  }
  ValueId product = node.emit(Op::gemm, {x, rows}, {{"transB", int64_t{1}}});
  if (type == "LINEAR") return product;
  product = node.emit(Op::mul, {product, number(parameters[0])});
  product = node.emit(Op::add, {product, number(parameters[1])});
  if (type == "POLY") return node.emit(Op::pow, {product, number(parameters[2])});
  if (type == "SIGMOID") return node.emit(Op::tanh, {product});
  node.invalid(fmt::format("attribute `kernel_type` is `{}`", type));
  return {};
}

}  // namespace

void import_svm_regressor(NodeContext& node, const Rule&) {
  const ValueId x = as_f32(node, as_rows(node, node.input(0)));
  const std::vector<double> vectors = node.floats("support_vectors");
  const std::vector<double> coefficients = node.floats("coefficients");
  const std::vector<double> rho = node.floats("rho");
  if (node.failed()) return;
  if (rho.empty()) return node.invalid("attribute `rho` is missing");
  // Without support vectors the coefficients are those of a plane.
  const bool is_plane = node.i64("n_supports", 0) == 0 || vectors.empty();
  const ValueId k = is_plane ? x : kernel_of(node, x, vectors);
  const auto count = static_cast<int64_t>(coefficients.size());
  const ValueId sum = node.emit(Op::matmul, {k, constant_like(node, x, {count, 1}, coefficients)});
  ValueId y = node.emit(Op::add, {sum, node.scalar_like(sum, rho[0])});
  if (node.i64("one_class", 0) != 0) {
    const ValueId is_inside = node.emit(Op::greater, {y, node.scalar_like(y, 0)});
    y = node.emit(Op::where, {is_inside, node.scalar_like(y, 1), node.scalar_like(y, -1)});
  }
  node.set_output(0, post_transformed(node, y, node.string("post_transform", "NONE")));
}

namespace {

// A machine for each pair of classes: [vectors, pairs], each column the coefficients of the two
// classes' vectors.
ValueId pair_weights(NodeContext& node, ValueId x, const Ints& per_class,
                     const std::vector<double>& coefficients) {
  const auto classes = static_cast<int64_t>(per_class.size());
  const int64_t vectors = std::accumulate(per_class.begin(), per_class.end(), int64_t{0});
  if (static_cast<int64_t>(coefficients.size()) != vectors * (classes - 1)) {
    node.invalid("its coefficients do not fit its vectors");
    return {};
  }
  const int64_t pairs = classes * (classes - 1) / 2;
  std::vector<double> weights(static_cast<size_t>(vectors * pairs), 0);
  Ints begins{0};
  for (int64_t count : per_class) begins.push_back(begins.back() + count);
  int64_t pair = 0;
  for (int64_t i = 0; i < classes; ++i) {
    for (int64_t j = i + 1; j < classes; ++j, ++pair) {
      const auto put = [&](int64_t of_class, int64_t row) {
        for (int64_t v = begins[static_cast<size_t>(of_class)];
             v < begins[static_cast<size_t>(of_class) + 1]; ++v) {
          weights[static_cast<size_t>(v * pairs + pair)] =
              coefficients[static_cast<size_t>(row * vectors + v)];
        }
      };
      put(i, j - 1);
      put(j, i);
    }
  }
  return constant_like(node, x, {vectors, pairs}, weights);
}

// Votes of the pairs for each class: the first of a pair where its score is positive.
ValueId votes_of(NodeContext& node, ValueId scores, int64_t classes) {
  const int64_t pairs = classes * (classes - 1) / 2;
  std::vector<double> first(static_cast<size_t>(pairs * classes), 0), second = first;
  int64_t pair = 0;
  for (int64_t i = 0; i < classes; ++i) {
    for (int64_t j = i + 1; j < classes; ++j, ++pair) {
      first[static_cast<size_t>(pair * classes + i)] = 1;
      second[static_cast<size_t>(pair * classes + j)] = 1;
    }
  }
  const ValueId zero = node.scalar_like(scores, 0), unit = node.scalar_like(scores, 1);
  const ValueId wins = node.emit(Op::where, {node.emit(Op::greater, {scores, zero}), unit, zero});
  const ValueId losses = node.emit(Op::sub, {unit, wins});
  const auto counted = [&](ValueId votes, const std::vector<double>& table) {
    return node.emit(Op::matmul, {votes, constant_like(node, scores, {pairs, classes}, table)});
  };
  return node.emit(Op::add, {counted(wins, first), counted(losses, second)});
}

// Probabilities by a sigmoid of each pair's score, coupled.
ValueId probabilities_of(NodeContext& node, ValueId scores, int64_t classes,
                         const std::vector<double>& a, const std::vector<double>& b) {
  const auto pairs = static_cast<int64_t>(a.size());
  const ValueId slope = constant_like(node, scores, {pairs}, a);
  const ValueId shift = constant_like(node, scores, {pairs}, b);
  const ValueId margin = node.emit(Op::add, {node.emit(Op::mul, {scores, slope}), shift});
  const ValueId of_first = node.emit(Op::sigmoid, {node.emit(Op::neg, {margin})});
  return node.emit(Op::pairwise_coupling, {of_first}, {{"num_classes", classes}});
}

}  // namespace

void import_svm_classifier(NodeContext& node, const Rule&) {
  const ValueId x = as_f32(node, as_rows(node, node.input(0)));
  const Tensor labels = labels_of(node, "classlabels_ints", "classlabels_strings");
  const Ints per_class = node.ints("vectors_per_class");
  const std::vector<double> coefficients = node.floats("coefficients"), rho = node.floats("rho");
  const std::vector<double> a = node.floats("prob_a"), b = node.floats("prob_b");
  const std::string transform = node.string("post_transform", "NONE");
  if (node.failed()) return;
  if (!labels) return node.invalid("it has no class labels");
  const int64_t classes = labels.num_elements();
  if (per_class.empty()) {
    // A plane per class, as in a linear classifier.
    const int64_t features = num_features(node, x);
    if (node.failed()) return;
    const ValueId weight = constant_like(node, x, {classes, features}, coefficients);
    const ValueId planes = node.emit(Op::gemm, {x, weight}, {{"transB", int64_t{1}}});
    const ValueId scores =
        node.emit(Op::add, {planes, node.scalar_like(planes, rho.empty() ? 0 : rho[0])});
    set_labels(node, labels, best_of(node, scores));
    return node.set_output(1, post_transformed(node, scores, transform));
  }
  const int64_t pairs = classes * (classes - 1) / 2;
  const bool fits = static_cast<int64_t>(per_class.size()) == classes && classes >= 2 &&
                    static_cast<int64_t>(rho.size()) == pairs && a.size() == b.size() &&
                    (a.empty() || a.size() == rho.size());
  if (!fits) return node.invalid("its attributes do not fit its number of classes");
  const ValueId k = kernel_of(node, x, node.floats("support_vectors"));
  const ValueId sums = node.emit(Op::matmul, {k, pair_weights(node, x, per_class, coefficients)});
  const ValueId scores = node.emit(Op::add, {sums, constant_like(node, sums, {pairs}, rho)});
  const ValueId votes = votes_of(node, scores, classes);
  set_labels(node, labels, best_of(node, votes));
  if (!a.empty()) {
    const ValueId likely = probabilities_of(node, scores, classes, a, b);
    return node.set_output(1, post_transformed(node, likely, transform));
  }
  // One pair's score is the margin of its first class.
  const ValueId shown = classes == 2 ? beside(node, node.emit(Op::neg, {scores}), scores) : scores;
  node.set_output(1, post_transformed(node, shown, transform));
}

// ---- features

void import_scaler(NodeContext& node, const Rule&) {
  const ValueId x = as_f32(node, node.input(0));
  const auto numbers = [&](const char* name) {
    const std::vector<double> list = node.floats(name);
    return constant_like(node, x, {static_cast<int64_t>(list.size())}, list);
  };
  ValueId y = x;
  if (node.has("offset")) y = node.emit(Op::sub, {y, numbers("offset")});
  if (node.has("scale")) y = node.emit(Op::mul, {y, numbers("scale")});
  node.set_output(0, y);
}

void import_normalizer(NodeContext& node, const Rule&) {
  const ValueId x = as_f32(node, node.input(0));
  const std::string norm = node.string("norm", "MAX");
  const std::vector<int64_t> last{-1};
  const auto reduced = [&](Op op, ValueId value) {
    return node.emit(op, {value, node.ints(last)});
  };
  ValueId size;
  if (norm == "MAX") {
    size = reduced(Op::reduce_max, x);
  } else if (norm == "L1") {
    size = reduced(Op::reduce_sum, node.emit(Op::abs, {x}));
  } else if (norm == "L2") {
    size = node.emit(Op::sqrt, {reduced(Op::reduce_sum, node.emit(Op::mul, {x, x}))});
  } else {
    return node.invalid(fmt::format("attribute `norm` is `{}`", norm));
  }
  // A row of zeros stays as it is.
  const ValueId is_zero = node.emit(Op::equal, {size, node.scalar_like(x, 0)});
  const ValueId divisor = node.emit(Op::where, {is_zero, node.scalar_like(x, 1), size});
  node.set_output(0, node.emit(Op::div, {x, divisor}));
}

void import_binarizer(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const ValueId above = node.emit(Op::greater, {x, node.scalar_like(x, node.f64("threshold", 0))});
  node.set_output(0, node.emit(Op::cast, {above}, {{"to", node.dtype_of(x)}}));
}

// Values that are `replaced_value` (or NaN, where it is that) get their column's imputed one.
void import_imputer(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const bool is_float_node = is_float(node.dtype_of(x));
  std::vector<double> imputed = node.floats("imputed_value_floats");
  if (!is_float_node) {
    const Ints numbers = node.ints("imputed_value_int64s");
    imputed.assign(numbers.begin(), numbers.end());
  }
  if (node.failed()) return;
  if (imputed.empty()) return node.invalid("it has no values to impute");
  const ValueId values = constant_like(node, x, {static_cast<int64_t>(imputed.size())}, imputed);
  const double replaced = is_float_node ? node.f64("replaced_value_float", 0)
                                        : static_cast<double>(node.i64("replaced_value_int64", 0));
  const ValueId is_missing = std::isnan(replaced)
                                 ? node.emit(Op::is_nan, {x})
                                 : node.emit(Op::equal, {x, node.scalar_like(x, replaced)});
  node.set_output(0, node.emit(Op::where, {is_missing, values, x}));
}

// Inputs as columns side by side, cut or filled with zeros to the widths that are declared.
void import_feature_vectorizer(NodeContext& node, const Rule&) {
  const Ints widths = node.ints("inputdimensions");
  std::vector<ValueId> parts;
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    ValueId x = as_f32(node, node.input(i));
    Ints shape = node.shape(x);
    if (node.failed()) return;
    if (shape.size() == 1) shape = {shape[0], 1};
    if (shape.empty()) shape = {1, 1};
    const int64_t columns = num_elements(shape) / std::max<int64_t>(shape[0], 1);
    x = reshape_to(node, x, {shape[0], columns});
    const int64_t width = i < widths.size() ? widths[i] : columns;
    if (width < columns) {
      x = node.emit(Op::slice, {x, node.ints(Ints{0}), node.ints(Ints{width}), node.ints(Ints{1})});
    } else if (width > columns) {
      x = node.emit(Op::pad, {x, node.ints({0, 0, 0, width - columns})});
    }
    parts.push_back(x);
  }
  if (parts.empty()) return node.invalid("it has no inputs");
  node.set_output(0, node.emit(Op::concat, parts, {{"axis", int64_t{1}}}));
}

void import_array_feature_extractor(NodeContext& node, const Rule&) {
  const ValueId x = as_rows(node, node.input(0));
  const ValueId indices = node.emit(Op::reshape, {node.input(1), node.ints(Ints{-1})});
  node.set_output(0, node.emit(Op::gather, {x, indices}, {{"axis", int64_t{-1}}}));
}

// A new last axis with a one where x is the category.
void import_one_hot_encoder(NodeContext& node, const Rule&) {
  ValueId x = node.input(0);
  const Tensor categories = labels_of(node, "cats_int64s", "cats_strings");
  if (node.failed()) return;
  if (!categories) return node.invalid("it has no categories");
  if (node.i64("zeros", 1) == 0) {
    return node.unsupported("it must fail on values that are no category");
  }
  const DType dtype = categories.dtype();
  if (dtype != DType::string && node.dtype_of(x) != dtype) {
    x = node.emit(Op::cast, {x}, {{"to", dtype}});
  }
  const ValueId column = node.emit(Op::unsqueeze, {x, node.ints(Ints{-1})});
  const ValueId is_equal = node.emit(Op::equal, {column, node.constant(categories)});
  node.set_output(0, node.emit(Op::cast, {is_equal}, {{"to", DType::f32}}));
}

// ---- labels

namespace {

// Keys or values of any version of LabelEncoder, from the first attribute that is there.
Tensor label_table(NodeContext& node, const std::string& side) {
  if (node.has(side + "s_tensor")) return node.tensor(side + "s_tensor");
  const Tensor labels = labels_of(node, side + "s_int64s", side + "s_strings");
  if (labels) return labels;
  const std::vector<double> floats = node.floats(side + "s_floats");
  if (floats.empty()) return {};
  Tensor tensor = Tensor::zeros(DType::f32, {static_cast<int64_t>(floats.size())});
  for (size_t i = 0; i < floats.size(); ++i) tensor.set_f64(static_cast<int64_t>(i), floats[i]);
  return tensor;
}

// The elements of a vector at `places`.
Tensor selected(const Tensor& from, const Ints& places) {
  Tensor to = Tensor::zeros(from.dtype(), {static_cast<int64_t>(places.size())});
  for (size_t i = 0; i < places.size(); ++i) {
    if (from.dtype() == DType::string) {
      to.mutable_strings()[i] = from.strings()[static_cast<size_t>(places[i])];
    } else if (is_float(from.dtype())) {
      to.set_f64(static_cast<int64_t>(i), from.f64(places[i]));
    } else {
      to.set_i64(static_cast<int64_t>(i), from.i64(places[i]));
    }
  }
  return to;
}

// What stands for values that are no key.
Tensor default_label(NodeContext& node, DType dtype) {
  if (node.has("default_tensor")) return node.tensor("default_tensor");
  if (dtype == DType::string) {
    return Tensor::from_strings({1}, {node.string("default_string", "_Unused")});
  }
  Tensor tensor = Tensor::zeros(dtype, {1});
  if (is_float(dtype)) {
    tensor.set_f64(0, node.f64("default_float", -0.0));
  } else {
    tensor.set_i64(0, node.i64("default_int64", -1));
  }
  return tensor;
}

void set_looked_up(NodeContext& node, const Tensor& keys, const Tensor& values) {
  if (node.failed()) return;
  if (!keys || !values) return node.invalid("it has no keys or no values");
  const Tensor otherwise = default_label(node, values.dtype());
  if (node.failed()) return;
  node.set_output(
      0, node.emit(Op::label_encoder, {node.input(0), node.constant(keys), node.constant(values),
                                       node.constant(otherwise)}));
}

}  // namespace

// Before version 4 no value was the key NaN.
void import_label_encoder(NodeContext& node, const Rule&) {
  Tensor keys = label_table(node, "key"), values = label_table(node, "value");
  if (keys && values && node.version() < 4 && is_float(keys.dtype()) &&
      keys.num_elements() == values.num_elements()) {
    Ints kept;
    for (int64_t i = 0; i < keys.num_elements(); ++i) {
      if (!std::isnan(keys.f64(i))) kept.push_back(i);
    }
    keys = selected(keys, kept);
    values = selected(values, kept);
  }
  set_looked_up(node, keys, values);
}

// The first version, and CategoryMapper: strings to numbers or back, by the type of the input.
void import_category_mapper(NodeContext& node, const Rule&) {
  const bool is_mapper = node.op_type() == "CategoryMapper";
  const std::vector<std::string> texts =
      node.strings(is_mapper ? "cats_strings" : "classes_strings");
  const auto count = static_cast<int64_t>(texts.size());
  Ints numbers(texts.size());
  std::iota(numbers.begin(), numbers.end(), 0);
  if (is_mapper) numbers = node.ints("cats_int64s");
  if (node.failed()) return;
  if (texts.empty() || numbers.size() != texts.size()) {
    return node.invalid("its strings and numbers differ in length");
  }
  const Tensor strings = Tensor::from_strings({count}, texts), integers = Tensor::ints(numbers);
  const bool is_text = node.dtype_of(node.input(0)) == DType::string;
  set_looked_up(node, is_text ? strings : integers, is_text ? integers : strings);
}

// A map per row of scores. There are no maps here: the scores themselves are given, whose columns
// are the classes in the order of the labels.
void import_zip_map(NodeContext& node, const Rule&) {
  const Tensor labels = labels_of(node, "classlabels_int64s", "classlabels_strings");
  if (node.failed()) return;
  if (!labels) return node.invalid("it has no class labels");
  const Type& x = node.type(node.input(0));
  if (x.is_static() && x.rank() > 0 && x.shape().back() != labels.num_elements()) {
    return node.invalid("it has not one label per column");
  }
  node.set_output(0, node.emit(Op::identity, {node.input(0)}));
}

}  // namespace neuronc::onnx
