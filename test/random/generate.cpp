// Implements generate.h and the parts of generator.h that need no recipe.
#include "generate.h"

#include <algorithm>
#include <cmath>

#include "generator.h"

namespace neuronc::testing {
namespace {

constexpr int64_t kMostElements = 4096;
constexpr int kMostNodes = 12;

bool is_index(const Module& module, ValueId input) {
  for (const Use& use : module.graph().value(input).uses) {
    const Op op = module.graph().node(use.node).op;
    const bool indexes = op == Op::gather || op == Op::gather_elements || op == Op::one_hot ||
                         op == Op::gather_nd || op == Op::scatter_elements || op == Op::scatter_nd;
    if (indexes && use.operand_index < 2) return true;
  }
  return false;
}

double float_value(std::mt19937_64& random) {
  const double normal = std::normal_distribution<double>()(random);
  switch (random() % 16) {
    case 0:
      return 0;
    case 1:
      return std::round(normal * 4);
    case 2:
      return normal * 100;
    default:
      return normal;
  }
}

void fill(Tensor& tensor, bool is_small, std::mt19937_64& random) {
  const bool is_wide = !is_small && random() % 3 == 0;
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    if (is_float(tensor.dtype())) {
      tensor.set_f64(i, float_value(random));
    } else if (tensor.dtype() == DType::boolean) {
      tensor.set_i64(i, static_cast<int64_t>(random() % 2));
    } else if (is_wide) {
      tensor.set_i64(i, static_cast<int64_t>(random()));
    } else {
      const int64_t number = static_cast<int64_t>(random() % 9);
      tensor.set_i64(i, is_unsigned_integer(tensor.dtype()) ? number : number - 4);
    }
  }
}

}  // namespace

DType Generator::pick_dtype(DTypeSet allowed) {
  std::vector<DType> options;
  for (DType dtype : {DType::boolean, DType::i8, DType::i16, DType::i32, DType::i64, DType::u8,
                      DType::u16, DType::u32, DType::u64, DType::f16, DType::bf16, DType::f32,
                      DType::f32, DType::f32, DType::f64}) {
    if (allowed.contains(dtype)) options.push_back(dtype);
  }
  return options.empty() ? DType::none : one_of(options);
}

Extents Generator::pick_shape(int64_t least_rank, int64_t most_rank) {
  Extents shape;
  const int64_t rank = pick(least_rank, most_rank);
  for (int64_t i = 0; i < rank; ++i) {
    const int64_t kind = pick(0, 19);
    shape.push_back(kind == 0 ? 0 : kind < 4 ? 1 : kind < 16 ? pick(2, 6) : pick(7, 19));
  }
  return shape;
}

ValueId Generator::input(DType dtype, const Extents& shape) {
  const ValueId value =
      edit_.add_input(Type::tensor(dtype, shape), "x" + std::to_string(num_inputs_++));
  values_.push_back(value);
  return value;
}

ValueId Generator::constant(Tensor tensor) {
  NodeSpec spec;
  spec.op = Op::constant;
  spec.result_types = {tensor.type()};
  spec.attributes = {module_.add_constant(std::move(tensor))};
  return module_.graph().node(edit_.append(std::move(spec))).results[0];
}

ValueId Generator::random_constant(DType dtype, const Extents& shape) {
  Tensor tensor = Tensor::zeros(dtype, shape);
  fill(tensor, /*is_small=*/true, random_);
  return constant(std::move(tensor));
}

ValueId Generator::value(DTypeSet dtypes, int64_t least_rank, int64_t most_rank) {
  std::vector<ValueId> fitting;
  for (ValueId value : values_) {
    const Type& t = type(value);
    const bool fits = dtypes.contains(t.dtype) && t.rank() >= least_rank && t.rank() <= most_rank;
    if (fits) fitting.push_back(value);
  }
  if (grows_ && !fitting.empty() && pick(0, 7) > 0) {
    // The newest ones first: chains fuse.
    return fitting[static_cast<size_t>(
        std::max(pick(0, static_cast<int64_t>(fitting.size()) - 1),
                 pick(0, static_cast<int64_t>(fitting.size()) - 1)))];
  }
  return input(pick_dtype(dtypes), pick_shape(least_rank, most_rank));
}

ValueId Generator::like(DType dtype, const Extents& shape) {
  for (ValueId value : values_) {
    if (grows_ && type(value) == Type::tensor(dtype, shape) && flip()) return value;
  }
  return pick(0, 2) == 0 ? random_constant(dtype, shape) : input(dtype, shape);
}

std::optional<ValueId> Generator::add(Op op, std::vector<ValueId> operands,
                                      std::vector<NamedAttribute> attributes, size_t num_results) {
  auto complete = complete_attributes(op_def(op), std::move(attributes));
  if (!complete) return std::nullopt;
  auto types = infer_types(module_, module_.graph(), op, operands, *complete, num_results);
  if (!types) return std::nullopt;
  for (const Type& result : *types) {
    if (!result.is_static() || result.num_elements() > kMostElements) return std::nullopt;
  }
  NodeSpec spec;
  spec.op = op;
  spec.operands = std::move(operands);
  spec.attributes = std::move(*complete);
  spec.result_types = std::move(*types);
  const NodeId node = edit_.append(std::move(spec));
  for (ValueId result : module_.graph().node(node).results) values_.push_back(result);
  return module_.graph().node(node).results[0];
}

Module Generator::finish() {
  module_.name = "random";
  int num_outputs = 0;
  for (ValueId value : values_) {
    if (module_.graph().producer(value) && module_.graph().value(value).is_unused()) {
      edit_.add_output(value, "y" + std::to_string(num_outputs++));
    }
  }
  return std::move(module_);
}

Module random_module(uint64_t seed, Shape shape) {
  for (uint64_t attempt = 0;; ++attempt) {
    Generator generator(seed * 1000 + attempt);
    const int64_t wanted = shape == Shape::one_operator ? 1 : generator.pick(2, kMostNodes);
    if (shape == Shape::graph) generator.keep_growing();
    int64_t num_nodes = 0;
    for (int trial = 0; trial < 60 && num_nodes < wanted; ++trial) {
      if (generator.one_of(recipes()).recipe(generator)) ++num_nodes;
      // What a failed recipe has made in vain is an input that nobody reads; the next attempt is
      // cleaner.
      if (num_nodes == 0) break;
    }
    if (num_nodes > 0) return generator.finish();
  }
}

std::vector<HostValue> random_inputs(const Module& module, uint64_t seed) {
  std::mt19937_64 random(seed + 77);
  std::vector<HostValue> inputs;
  for (ValueId input : module.graph().inputs()) {
    const Type& type = module.graph().type(input);
    Tensor tensor = Tensor::zeros(type.dtype, type.shape());
    fill(tensor, is_index(module, input), random);
    inputs.emplace_back(std::move(tensor));
  }
  return inputs;
}

}  // namespace neuronc::testing
