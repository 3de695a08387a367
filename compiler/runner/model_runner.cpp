// Implements model_runner.h.
#include "compiler/runner/model_runner.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <unordered_set>

#include "ir/evaluate_graph.h"

namespace neuronc {
namespace {

class EvaluatorRunner final : public ModelRunner {
 public:
  explicit EvaluatorRunner(const Module& module) : module_(module) {}
  OrRefusal<std::vector<HostValue>> run(std::span<const HostValue> inputs) override {
    return evaluate_graph(module_, module_.graph(), inputs);
  }

 private:
  const Module& module_;
};

// SplitMix64: the standard library's distributions differ from one implementation to the next.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  uint64_t state_;
};

constexpr int64_t kIntegerRange = 8;
// How far positions go where nothing in the model says so.
constexpr int64_t kPositionRange = 1024;

bool is_position(std::string_view name) {
  std::string lower;
  for (char c : name) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower.find("position") != std::string::npos || lower.find("pos_id") != std::string::npos;
}

// The rows of the smallest table that the integers of `input` index, behind nodes that only move or
// convert them; none where they index nothing.
std::optional<int64_t> table_rows(const Graph& graph, ValueId input) {
  std::optional<int64_t> rows;
  std::vector<ValueId> pending{input};
  std::unordered_set<ValueId> seen;
  while (!pending.empty()) {
    const ValueId value = pending.back();
    pending.pop_back();
    if (!seen.insert(value).second) continue;
    for (const Use& use : graph.value(value).uses) {
      const Node& node = graph.node(use.node);
      if (node.op == Op::gather && use.operand_index == 1) {
        const Type& table = graph.type(node.operands[0]);
        const int64_t axis = node.view().i64("axis");
        if (!table.is_ranked || table.dims.empty()) continue;
        const Dim dim = table.dims[static_cast<size_t>(axis < 0 ? axis + table.rank() : axis)];
        if (dim.is_number()) rows = std::min(rows.value_or(dim.number()), dim.number());
      } else if (node.has(Trait::moves_data) || node.op == Op::cast || node.op == Op::identity) {
        pending.insert(pending.end(), node.results.begin(), node.results.end());
      }
    }
  }
  return rows;
}

// Integers of an input lie in [0, range). Positions go as far as the model takes them: errors grow
// with them.
int64_t integer_range(const Graph& graph, ValueId input) {
  if (graph.type(input).dtype == DType::boolean) return 2;
  const std::optional<int64_t> rows = table_rows(graph, input);
  const int64_t wanted =
      is_position(graph.value(input).name) ? rows.value_or(kPositionRange) : kIntegerRange;
  const int bits = integer_bits(graph.type(input).dtype);
  const int64_t held = bits <= 8 ? (int64_t{1} << (bits - 1)) : wanted;
  return std::max<int64_t>(std::min({wanted, rows.value_or(wanted), held}), 1);
}

}  // namespace

std::unique_ptr<ModelRunner> evaluator_runner(const Module& module) {
  return std::make_unique<EvaluatorRunner>(module);
}

namespace {

Tensor seeded_tensor(DType dtype, std::vector<int64_t> shape, int64_t range, Random& random) {
  Tensor tensor = Tensor::zeros(dtype, std::move(shape));
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    if (is_float(dtype)) {
      tensor.set_f64(i, random.normal());
    } else {
      tensor.set_i64(i, static_cast<int64_t>(random.next() % static_cast<uint64_t>(range)));
    }
  }
  return tensor;
}

// The tensors inside of sequences and optionals may have open extents, here kOpenExtent.
std::vector<int64_t> seeded_shape(const Type& type) {
  constexpr int64_t kOpenExtent = 3;
  std::vector<int64_t> shape;
  for (const Dim& dim : type.dims) shape.push_back(dim.is_number() ? dim.number() : kOpenExtent);
  return shape;
}

}  // namespace

OrRefusal<std::vector<HostValue>> seeded_inputs(const Graph& graph, uint64_t seed) {
  constexpr int kSequenceLength = 3;
  Random random(seed);
  std::vector<HostValue> inputs;
  for (ValueId id : graph.inputs()) {
    const Type& type = graph.type(id);
    if ((type.is_tensor() && !type.is_static()) || !is_numeric(type.dtype)) {
      return refuse("input `" + graph.value(id).name + "` is " + to_text(type) +
                    ", for which no values can be made up; give --test-data");
    }
    const int64_t range = is_float(type.dtype) ? 0 : integer_range(graph, id);
    HostValue value;
    value.kind = type.kind;
    const bool is_sequence =
        type.kind == Type::Kind::sequence || type.kind == Type::Kind::optional_sequence;
    for (int i = 0; i < (is_sequence ? kSequenceLength : 1); ++i) {
      value.elements.push_back(seeded_tensor(type.dtype, seeded_shape(type), range, random));
    }
    inputs.push_back(std::move(value));
  }
  return inputs;
}

}  // namespace neuronc
