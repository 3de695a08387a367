// Implements judge.h.
#include "judge.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <map>

#include "backend/neff_writer.h"
#include "compiler/driver.h"
#include "compiler/runner/model_runner.h"
#include "compiler/runner/nrt_runner.h"
#include "generate.h"
#include "ir/evaluate_graph.h"

namespace neuronc::testing {
namespace {

using Values = std::vector<HostValue>;

struct Way {
  const char* name;
  int opt_level;
  int64_t num_cores;
  const char* cpu;
};
constexpr Way kWays[] = {{"-O0", 0, 1, "x86-64-v3"},
                         {"-O2", 2, 1, "x86-64-v3"},
                         {"-O2, 4 cores", 2, 4, "x86-64-v3"},
                         {"-O2, x86-64-v2", 2, 1, "x86-64-v2"},
                         {"-O2, x86-64-v4", 2, 1, "x86-64-v4"}};

bool runs_here(std::string_view cpu) {
  if (cpu == "x86-64-v4") return __builtin_cpu_supports("x86-64-v4") != 0;
  if (cpu == "x86-64-v3") return __builtin_cpu_supports("x86-64-v3") != 0;
  return true;
}

OrRefusal<Values> run(const Module& module, const Way& way, const Values& inputs) {
  CompileOptions options;
  options.optimization_level = way.opt_level;
  options.num_neuroncores = way.num_cores;
  options.auto_cast = AutoCast::none;
  options.target_cpu = way.cpu;
  Compilation compilation;
  compilation.model.module = module.clone();
  Diagnostics diagnostics;
  const auto target = make_target(options, diagnostics);
  const bool is_made =
      target && run_passes(compilation, options, Stage::partitioned, **target, diagnostics) &&
      generate(compilation, options, diagnostics);
  if (!is_made) return refuse("it does not compile: " + diagnostics.to_text());
  NEURONC_ASSIGN(const std::vector<std::byte> neff,
                 build_neff(neff_contents(compilation, options)));
  NEURONC_ASSIGN(const std::unique_ptr<ModelRunner> runner, nrt_runner(neff));
  return runner->run(inputs);
}

// A step that inputs of this type can make.
double step_of(DType dtype) {
  if (dtype == DType::bf16) return 0x1p-7;
  return dtype == DType::f16 ? 0x1p-10 : 0x1p-21;
}

// A value as good as the given one: floats moved by a step up or down.
HostValue shaken(const HostValue& value, uint64_t& state) {
  const Tensor& from = value.tensor();
  if (!is_float(from.dtype())) return value;
  const double step = step_of(from.dtype());
  Tensor to = Tensor::zeros(from.dtype(), from.shape());
  for (int64_t i = 0; i < from.num_elements(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    to.set_f64(i, from.f64(i) * (1 + (state >> 63 != 0 ? step : -step)));
  }
  return to;
}

// The outputs where inputs and what lies between are a little off, as any arithmetic makes them: how
// far they move is the module's own sensitivity, which no arithmetic can do better than. A result
// that is rounded again further on may hide what an input's step does, so each node's are moved.
OrRefusal<Values> evaluate_nearby(const Module& module, const Values& inputs, uint64_t seed) {
  const Graph& graph = module.graph();
  uint64_t state = seed;
  std::map<ValueId, HostValue> frame;
  for (size_t i = 0; i < inputs.size(); ++i) {
    frame.insert_or_assign(graph.inputs()[i], shaken(inputs[i], state));
  }
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    std::vector<const HostValue*> operands;
    for (const ValueId operand : node.operands) {
      operands.push_back(operand ? &frame.at(operand) : nullptr);
    }
    NEURONC_ASSIGN(Values results, evaluate_node(module, graph, id, operands));
    for (size_t i = 0; i < node.results.size(); ++i) {
      const bool is_inner = node.op != Op::constant && !graph.value(node.results[i]).is_unused();
      frame.insert_or_assign(node.results[i],
                             is_inner ? shaken(results[i], state) : std::move(results[i]));
    }
  }
  Values outputs;
  for (const ValueId output : graph.outputs()) outputs.push_back(frame.at(output));
  return outputs;
}

// The unit roundoff of what the values of this type are computed in or rounded to, some steps of
// it.
double tolerance_of(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return 0x1p-5;
    case DType::f16:
      return 0x1p-8;
    default:
      return 1e-4;
  }
}

bool is_narrow(const Module& module) {
  for (NodeId id : module.graph().nodes()) {
    for (ValueId result : module.graph().node(id).results) {
      const DType dtype = module.graph().type(result).dtype;
      if (dtype == DType::bf16 || dtype == DType::f16) return true;
    }
  }
  return false;
}

std::string difference(const Tensor& actual, const Tensor& expected, const Tensor& nearby,
                       double tolerance) {
  if (actual.dtype() != expected.dtype() || actual.shape() != expected.shape()) {
    return fmt::format("it is {}, not {}", to_text(actual.type()), to_text(expected.type()));
  }
  double squares = 0;
  for (int64_t i = 0; i < expected.num_elements(); ++i) {
    const double value = expected.f64(i);
    if (std::isfinite(value)) squares += value * value;
  }
  const auto count = static_cast<double>(std::max<int64_t>(expected.num_elements(), 1));
  const double scale = std::sqrt(squares / count);
  for (int64_t i = 0; i < expected.num_elements(); ++i) {
    if (!is_float(expected.dtype())) {
      const bool is_stable = expected.i64(i) == nearby.i64(i);
      if (actual.i64(i) == expected.i64(i) || !is_stable) continue;
      return fmt::format("element {} is {}, not {}", i, actual.i64(i), expected.i64(i));
    }
    const double x = actual.f64(i), y = expected.f64(i), z = nearby.f64(i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    // Where the nearby inputs overflow or have no value, these may as well.
    if (std::isfinite(y) != std::isfinite(z)) continue;
    const double sensitivity = std::isfinite(y) ? std::fabs(y - z) : 0;
    if (std::fabs(x - y) <= tolerance * (scale + std::fabs(y)) + 16 * sensitivity) continue;
    return fmt::format("element {} is {}, not {} (scale {}, sensitivity {})", i, x, y, scale,
                       sensitivity);
  }
  return "";
}

bool has_same_bits(const Values& a, const Values& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::ranges::equal(a[i].tensor().bytes(), b[i].tensor().bytes())) return false;
  }
  return true;
}

}  // namespace

std::string judge(const Module& module, uint64_t seed) {
  const Values inputs = random_inputs(module, seed);
  const auto expected = evaluate_graph(module, module.graph(), inputs);
  // Data may be refused: an index out of range.
  if (!expected) return "";
  const auto nearby = evaluate_nearby(module, inputs, seed);
  if (!nearby) return "";
  const bool has_narrow = is_narrow(module);
  std::optional<Values> on_one_core;
  for (const Way& way : kWays) {
    if (!runs_here(way.cpu)) continue;
    const auto actual = run(module, way, inputs);
    if (!actual) return fmt::format("{}: {}", way.name, actual.error().reason);
    for (size_t i = 0; i < expected->size(); ++i) {
      const Tensor& reference = (*expected)[i].tensor();
      const double tolerance = has_narrow && reference.dtype() != DType::f64
                                   ? tolerance_of(DType::bf16)
                                   : tolerance_of(reference.dtype());
      const std::string problem =
          difference((*actual)[i].tensor(), reference, (*nearby)[i].tensor(), tolerance);
      if (!problem.empty()) return fmt::format("{}: output {}: {}", way.name, i, problem);
    }
    const bool is_default = way.opt_level == 2 && std::string_view(way.cpu) == "x86-64-v3";
    if (!is_default) continue;
    if (!on_one_core) {
      on_one_core = *actual;
    } else if (!has_same_bits(*on_one_core, *actual)) {
      return fmt::format("{} gives other bits than 1 core", way.name);
    }
  }
  return "";
}

}  // namespace neuronc::testing
