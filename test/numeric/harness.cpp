// Implements harness.h.
#include "harness.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "../unit/kernel/jit.h"
#include "backend/lower/lowering.h"
#include "backend/variants/lower_group.h"
#include "backend/variants/variant.h"
#include "ir/edit.h"
#include "ir/evaluate_graph.h"
#include "ir/kernel/interpreter.h"
#include "ir/kernel/text.h"
#include "ir/kernel/verify.h"
#include "ir/parser.h"

namespace neuronc::testing {
namespace {

enum class Layout { row_major, channels_last };
enum class Data { normal, small_integers, edges };

struct Bounds {
  bool is_given = false;
  int64_t lo = 0, hi = 0;
};

struct Parsed {
  Module module;
  NodeId group;
  std::vector<Bounds> bounds;  // per input
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::string part;
  for (char c : text + separator) {
    if (c != separator) {
      part += c;
      continue;
    }
    const size_t begin = part.find_first_not_of(' ');
    if (begin != std::string::npos) parts.push_back(part.substr(begin));
    part.clear();
  }
  return parts;
}

Parsed parse(const Problem& problem) {
  Parsed parsed;
  std::string outer, names, inner;
  for (const std::string& input : split(problem.inputs, ';')) {
    const size_t bound = input.find('=');
    const std::string declared = input.substr(0, bound);
    Bounds bounds;
    if (bound != std::string::npos) {
      bounds.is_given = true;
      bounds.lo = std::stoll(input.substr(bound + 1));
      bounds.hi = std::stoll(input.substr(input.find("..") + 2));
    }
    parsed.bounds.push_back(bounds);
    outer += "  input " + declared + "\n";
    inner += "    input " + declared + "\n";
    names += (names.empty() ? "" : ", ") + declared.substr(0, declared.find(' '));
  }
  std::vector<std::string> lines = split(problem.body, '\n');
  std::string last = lines.back();
  if (last.starts_with("output ")) {
    last = last.substr(7);
    lines.pop_back();
  }
  for (const std::string& line : lines) inner += "    " + line + "\n";
  const std::string result = last.substr(0, last.find(' '));
  const std::string type = last.substr(last.rfind(" : ") + 3);
  const std::string text = "nir 1\nmodule \"m\" stage fused {\n" + outer + "  %y = group(" + names +
                           ") : " + type + " core {\n" + inner + "    output " + result +
                           "\n  }\n  output %y as \"y\"\n}\n";
  Diagnostics diagnostics;
  auto module = parse_module(text, "problem.nir", {}, diagnostics);
  INFO(text << diagnostics.to_text());
  REQUIRE(module.has_value());
  parsed.module = std::move(*module);
  parsed.group = parsed.module.graph().producer(parsed.module.graph().outputs()[0]);
  return parsed;
}

// ---- data

double next_value(DType dtype, Data data, const Bounds& bounds, std::mt19937_64& random) {
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
  if (bounds.is_given) {
    const auto range = static_cast<uint64_t>(bounds.hi - bounds.lo + 1);
    return static_cast<double>(bounds.lo + below(range));
  }
  if (dtype == DType::boolean) return static_cast<double>(below(2));
  if (data == Data::small_integers || is_integer(dtype)) {
    return static_cast<double>(is_unsigned_integer(dtype) ? below(9) : below(9) - 4);
  }
  if (data == Data::normal) return std::normal_distribution<double>()(random);
  constexpr double kEdges[] = {0.0,
                               -0.0,
                               1.0,
                               -1.5,
                               std::numeric_limits<double>::infinity(),
                               -std::numeric_limits<double>::infinity(),
                               std::numeric_limits<double>::quiet_NaN(),
                               1e-40,
                               -3e38,
                               65504};
  return kEdges[below(std::size(kEdges))];
}

Tensor make_tensor(const Type& type, Data data, const Bounds& bounds, std::mt19937_64& random) {
  Tensor tensor = Tensor::zeros(type.dtype, type.shape());
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    tensor.set_f64(i, next_value(type.dtype, data, bounds, random));
  }
  return tensor;
}

// ---- memory

Storage storage_of(const Type& type, Layout layout) {
  DType dtype = type.dtype;
  std::vector<int> order;
  if (layout == Layout::channels_last) {
    if (dtype == DType::bf16 || dtype == DType::f16) dtype = DType::f32;
    if (type.rank() >= 3) {
      order.push_back(0);
      for (int d = 2; d < type.rank(); ++d) order.push_back(d);
      order.push_back(1);
    }
  }
  return Storage::dense(dtype, type.shape(), order);
}

template <class Visit>
void each_offset(const std::vector<int64_t>& shape, const Storage& storage, Visit visit) {
  const int64_t count = num_elements(shape);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, offset = storage.offset;
    for (size_t d = shape.size(); d-- > 0;) {
      offset += rest % shape[d] * storage.strides[d];
      rest /= shape[d];
    }
    visit(i, offset);
  }
}

std::vector<std::byte> to_memory(const Tensor& tensor, const Storage& storage) {
  std::vector<std::byte> bytes(static_cast<size_t>(std::max<int64_t>(storage.size_bytes(), 1)));
  each_offset(tensor.shape(), storage, [&](int64_t i, int64_t offset) {
    if (is_float(tensor.dtype())) {
      store_from_f64(storage.dtype, bytes.data(), offset, tensor.f64(i));
    } else {
      store_from_i64(storage.dtype, bytes.data(), offset, tensor.i64(i));
    }
  });
  return bytes;
}

Tensor from_memory(const std::vector<std::byte>& bytes, const Type& type, const Storage& storage) {
  Tensor tensor = Tensor::zeros(type.dtype, type.shape());
  each_offset(type.shape(), storage, [&](int64_t i, int64_t offset) {
    if (is_float(type.dtype)) {
      tensor.set_f64(i, load_as_f64(storage.dtype, bytes.data(), offset));
    } else {
      tensor.set_i64(i, load_as_i64(storage.dtype, bytes.data(), offset));
    }
  });
  return tensor;
}

// The contents of a kernel's buffers before it runs.
std::vector<std::vector<std::byte>> make_buffers(const Parsed& parsed, const LoweredKernel& lowered,
                                                 const std::vector<Tensor>& inputs) {
  const Graph& graph = parsed.module.graph();
  const Node& group = graph.node(parsed.group);
  std::vector<std::vector<std::byte>> buffers;
  for (const KernelBuffer& buffer : lowered.buffers) {
    switch (buffer.kind) {
      case KernelBuffer::Kind::operand: {
        const Storage& storage = graph.value(group.operands[buffer.index]).storage;
        buffers.push_back(to_memory(inputs[buffer.index], storage));
        break;
      }
      case KernelBuffer::Kind::packed:
        buffers.emplace_back(buffer.packed.bytes().begin(), buffer.packed.bytes().end());
        break;
      default:
        buffers.emplace_back(static_cast<size_t>(std::max<int64_t>(buffer.size_bytes, 1)),
                             std::byte{0x5a});
    }
  }
  return buffers;
}

std::vector<void*> pointers(std::vector<std::vector<std::byte>>& buffers) {
  std::vector<void*> result;
  for (auto& buffer : buffers) result.push_back(buffer.data());
  return result;
}

Tensor result_of(const Parsed& parsed, const LoweredKernel& lowered,
                 const std::vector<std::vector<std::byte>>& buffers) {
  const Graph& graph = parsed.module.graph();
  const ValueId result = graph.node(parsed.group).results[0];
  for (size_t i = 0; i < lowered.buffers.size(); ++i) {
    if (lowered.buffers[i].kind != KernelBuffer::Kind::result) continue;
    return from_memory(buffers[i], graph.type(result), graph.value(result).storage);
  }
  return Tensor::zeros(graph.type(result).dtype, graph.type(result).shape());  // no elements
}

// ---- comparison

bool is_same(double x, double reference, double scale, double tolerance) {
  if (std::isnan(reference) || std::isnan(x)) return std::isnan(reference) && std::isnan(x);
  if (std::isinf(reference) || std::isinf(x)) return x == reference;
  return std::abs(x - reference) <= tolerance * (scale + std::abs(reference));
}

// The root mean square of what is finite: an error is judged by what is usual in the result.
double scale_of(const Tensor& reference) {
  double squares = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < reference.num_elements(); ++i) {
    const double value = reference.f64(i);
    if (!std::isfinite(value)) continue;
    squares += value * value;
    ++count;
  }
  return count == 0 ? 0 : std::sqrt(squares / static_cast<double>(count));
}

// Empty, or where the tensors differ most.
std::string difference(const Tensor& tensor, const Tensor& reference, double tolerance) {
  const double scale = scale_of(reference);
  double worst = -1;
  std::string text;
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    const double x = tensor.f64(i), expected = reference.f64(i);
    if (is_same(x, expected, scale, tolerance)) continue;
    const double distance = std::isnan(x - expected) ? 1e300 : std::abs(x - expected);
    if (distance <= worst) continue;
    worst = distance;
    text = "element " + std::to_string(i) + " is " + std::to_string(x) + " instead of " +
           std::to_string(expected) + ", the scale is " + std::to_string(scale);
  }
  return text;
}

// ---- running

struct Prepared {
  const Problem* problem = nullptr;
  Layout layout = Layout::row_major;
  std::string variant;
  Parsed parsed;
  LoweredKernel lowered;
  std::string symbol;
};

std::string describe(const Prepared& p) {
  return p.problem->inputs + "\n" + p.problem->body +
         (p.layout == Layout::row_major ? "\nrow-major" : "\nchannels-last") + ", variant `" +
         p.variant + "`";
}

std::set<Op>& tested_operators() {
  static std::set<Op> tested;
  return tested;
}

void note_operators(const Parsed& parsed) {
  const Graph& body = *parsed.module.graph().node(parsed.group).bodies[0];
  for (NodeId id : body.nodes()) tested_operators().insert(body.node(id).op);
}

bool has_image(const Parsed& parsed) {
  const Graph& graph = parsed.module.graph();
  for (ValueId input : graph.inputs()) {
    if (graph.type(input).rank() >= 3) return true;
  }
  return false;
}

// "default" and the variants that take the group.
std::vector<std::string> variants_for(const Parsed& parsed, const Machine& machine) {
  std::vector<std::string> names{"default"};
  const Graph& graph = parsed.module.graph();
  const Graph& body = *graph.node(parsed.group).bodies[0];
  const GroupContext context{parsed.module, graph, parsed.group, body, find_anchor(body), machine};
  if (!context.anchor) return names;
  for (const Variant* variant : variants_of(context.anchor_node().op)) {
    if (variant->predict_ns(context)) names.emplace_back(variant->name);
  }
  return names;
}

void set_storages(Parsed& parsed, Layout layout) {
  Graph& graph = parsed.module.graph();
  GraphEditor edit(graph);
  for (ValueId input : graph.inputs()) {
    edit.set_storage(input, storage_of(graph.type(input), layout));
  }
  const ValueId result = graph.node(parsed.group).results[0];
  edit.set_storage(result, storage_of(graph.type(result), layout));
  parsed.module.stage = Stage::laid_out;
}

void prepare(const Problem& problem, Layout layout, const Machine& machine,
             std::vector<Prepared>& all) {
  Parsed parsed = parse(problem);
  if (layout == Layout::channels_last && !has_image(parsed)) return;
  set_storages(parsed, layout);
  for (const std::string& variant : variants_for(parsed, machine)) {
    Prepared p{&problem, layout, variant, parse(problem), {}, "k" + std::to_string(all.size())};
    set_storages(p.parsed, layout);
    GraphEditor(p.parsed.module.graph()).set_attribute(p.parsed.group, "variant", variant);
    INFO(describe(p));
    auto lowered = lower_group(p.parsed.module, p.parsed.module.graph(), p.parsed.group, machine);
    if (!lowered) FAIL(lowered.error().reason);
    p.lowered = std::move(*lowered);
    const std::vector<std::string> errors = kernel::verify(p.lowered.kernel);
    for (const std::string& error : errors) UNSCOPED_INFO(error);
    CHECK(errors.empty());
    if (errors.empty()) all.push_back(std::move(p));
  }
}

void run(const Prepared& p, const std::vector<const LoadedCode*>& codes, Data data) {
  std::mt19937_64 random(20 + static_cast<uint64_t>(data));
  const Graph& graph = p.parsed.module.graph();
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    inputs.push_back(make_tensor(graph.type(graph.inputs()[i]), data, p.parsed.bounds[i], random));
  }
  std::vector<HostValue> values(inputs.begin(), inputs.end());
  const auto expected = evaluate_graph(p.parsed.module, graph, values);
  if (!expected) FAIL(expected.error().reason);

  std::vector<std::vector<std::byte>> buffers = make_buffers(p.parsed, p.lowered, inputs);
  std::vector<int64_t> sizes;
  for (const auto& buffer : buffers) sizes.push_back(static_cast<int64_t>(buffer.size()));
  const int64_t tiles = p.lowered.kernel.num_tiles;
  const kernel::Interpreter interpreter(p.lowered.kernel);
  const auto status = interpreter.run_checked(pointers(buffers).data(), sizes, 0, tiles);
  if (!status) FAIL(status.error().reason);
  CHECK(*status == kernel::kStatusOk);
  const Tensor interpreted = result_of(p.parsed, p.lowered, buffers);
  CHECK(difference(interpreted, expected->front().tensor(), p.problem->tolerance) == "");

  for (const LoadedCode* code : codes) {
    std::vector<std::vector<std::byte>> native = make_buffers(p.parsed, p.lowered, inputs);
    // In two parts: any split of the tiles gives the same bits.
    const KernelFunction function = code->function(p.symbol);
    CHECK(function(pointers(native).data(), 0, tiles / 2) == kernel::kStatusOk);
    CHECK(function(pointers(native).data(), tiles / 2, tiles) == kernel::kStatusOk);
    CHECK(difference(result_of(p.parsed, p.lowered, native), interpreted, 0) == "");
  }
}

}  // namespace

namespace {

Machine test_machine(std::string_view target) {
  Diagnostics diagnostics;
  return {*neuronc::describe(target), *load_hardware_model("host", diagnostics), {}};
}

enum class Kernels { all, with_matrices };

int matrix_kernels = 0;
std::map<std::string, int> kernels_of_variants;

bool has_matrices(const Prepared& p) {
  const std::vector<kernel::Op>& ops = p.lowered.kernel.ops;
  return std::any_of(ops.begin(), ops.end(),
                     [](const kernel::Op& op) { return op.code == kernel::OpCode::matrix_dot; });
}

// Every problem in every layout and variant on one instruction set: native where this machine runs
// it, interpreted anyway.
void check_on(const std::vector<Problem>& problems, std::string_view target,
              std::initializer_list<int> opt_levels, Kernels kernels = Kernels::all) {
  // For machines that are slow or of one kind: a single target.
  const char* only = std::getenv("NEURONC_TEST_TARGET");
  if (only != nullptr && target != only) return;
  const Machine machine = test_machine(target);
  std::vector<Prepared> all;
  for (const Problem& problem : problems) {
    prepare(problem, Layout::row_major, machine, all);
    prepare(problem, Layout::channels_last, machine, all);
  }
  if (kernels == Kernels::with_matrices) {
    std::erase_if(all, [](const Prepared& p) { return !has_matrices(p); });
    matrix_kernels += static_cast<int>(all.size());
  }
  for (const Prepared& p : all) {
    note_operators(p.parsed);
    ++kernels_of_variants[p.variant];
  }
  std::vector<std::unique_ptr<LoadedCode>> loaded;
  std::vector<const LoadedCode*> codes;
  std::vector<KernelSymbol> symbols;
  for (const Prepared& p : all) symbols.push_back({&p.lowered.kernel, p.symbol, {}});
  for (int opt_level : opt_levels) {
    if (!runs_here(target)) break;
    const auto elf = compile_kernels(symbols, {machine.isa, opt_level});
    if (!elf) FAIL(elf.error().reason);
    loaded.push_back(std::make_unique<LoadedCode>(*elf));
    codes.push_back(loaded.back().get());
  }
  for (const Prepared& p : all) {
    for (Data data : {Data::normal, Data::small_integers, Data::edges}) {
      const Edges edges = p.problem->edges;
      const bool is_exact = p.problem->tolerance == 0;
      const bool has_edges = edges == Edges::yes || (edges == Edges::where_exact && is_exact);
      if (data == Data::edges && !has_edges) continue;
      INFO(describe(p) << "\n" << target << ", data " << static_cast<int>(data));
      run(p, codes, data);
    }
  }
}

}  // namespace

std::string random_constant(const std::string& name, const std::vector<int>& shape,
                            const std::string& dtype) {
  std::string type;
  int count = 1;
  for (int extent : shape) {
    type += (type.empty() ? "" : ",") + std::to_string(extent);
    count *= extent;
  }
  std::string values;
  unsigned state = 7;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values += (i == 0 ? "" : ", ") + std::to_string(static_cast<double>(state >> 20) / 4096 - 0.5);
  }
  return name + " = constant {" + values + "} : " + dtype + "[" + type + "]\n";
}

void check(const std::vector<Problem>& problems) {
  check_on(problems, "x86-64-v3", {0, 2});
  check_on(problems, "x86-64-v4", {2});
  check_on(problems, "x86-64-v4-bf16", {2});
  // What else is compiled for it is the same as for the targets before.
  check_on(problems, "x86-64-v4-amx", {2}, Kernels::with_matrices);
}

int num_kernels_of(const std::string& variant) { return kernels_of_variants[variant]; }
int num_matrix_kernels() { return matrix_kernels; }

std::vector<std::string> untested_operators() {
  std::vector<std::string> names;
  for (size_t i = 0; i < kNumOps; ++i) {
    const auto op = static_cast<Op>(i);
    if (lowering_of(op) && !tested_operators().contains(op)) names.emplace_back(name(op));
  }
  return names;
}

}  // namespace neuronc::testing
