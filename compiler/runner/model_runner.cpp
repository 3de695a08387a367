// Implements model_runner.h.
#include "compiler/runner/model_runner.h"

#include <cmath>
#include <numbers>

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

}  // namespace

std::unique_ptr<ModelRunner> evaluator_runner(const Module& module) {
  return std::make_unique<EvaluatorRunner>(module);
}

OrRefusal<std::vector<HostValue>> seeded_inputs(const Graph& graph, uint64_t seed) {
  constexpr int64_t kIntegerRange = 8;
  Random random(seed);
  std::vector<HostValue> inputs;
  for (ValueId id : graph.inputs()) {
    const Type& type = graph.type(id);
    if (!type.is_static() || !is_numeric(type.dtype)) {
      return refuse("input `" + graph.value(id).name + "` is " + to_text(type) +
                    ", for which no values can be made up; give --test-data");
    }
    Tensor tensor = Tensor::zeros(type.dtype, type.shape());
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      if (is_float(type.dtype)) {
        tensor.set_f64(i, random.normal());
      } else {
        const auto range = type.dtype == DType::boolean ? int64_t{2} : kIntegerRange;
        tensor.set_i64(i, static_cast<int64_t>(random.next() % static_cast<uint64_t>(range)));
      }
    }
    inputs.emplace_back(std::move(tensor));
  }
  return inputs;
}

}  // namespace neuronc
