// Implements cast.h.
#include "passes/cast.h"

#include <fmt/format.h>
#include <regex.h>

#include <array>
#include <cmath>
#include <memory>
#include <unordered_map>

#include "ir/edit.h"
#include "passes/exactness.h"
#include "passes/fuse.h"

namespace neuronc {
namespace {

constexpr double kLargestF16 = 65504;
// A cast moves above at most so many data-moving operators in a row.
constexpr int kMaxMoves = 64;
// The compiler of regular expressions recurses over them.
constexpr size_t kMaxPattern = 4000;
constexpr size_t kMaxShown = 80;

// The leading operands of one type, which become narrow together: two of a product, three of a
// recurrent layer.
size_t num_narrowed(const OpDef& def) {
  size_t count = 0;
  while (count < def.operands.size() && def.operands[count].arity == Arity::required &&
         def.operands[count].type_variable == def.operands[0].type_variable) {
    ++count;
  }
  return count;
}

class Caster {
 public:
  // `exact`: of the main graph; it outlives the caster.
  Caster(Module& module, const CastOptions& options, const ExactProducts& exact,
         PassContext& context)
      : module_(module),
        graph_(module.graph()),
        edit_(module.graph()),
        exact_(exact),
        context_(context),
        narrow_(narrow_dtype(options.type)),
        is_strict_(options.numerics == "strict"),
        is_all_(options.mode == "all") {}

  Expected<void> set_kept(const std::string& pattern);
  Changed run();
  bool has_kept() const { return has_kept_; }

 private:
  bool is_kept(NodeId id) const;

  bool is_castable(NodeId id) const;
  bool is_narrowed_operand(const Use& use) const;
  bool can_move_above(NodeId id) const;
  void cast_operands(NodeId id);
  void round_result(NodeId id);
  ValueId narrow(ValueId value, int num_moves);
  ValueId narrow_constant(ValueId value, const Tensor& tensor);
  std::optional<ValueId> narrow_moved(ValueId value, int num_moves);
  ValueId insert_cast(ValueId value, DType to);
  NodeId insert_behind(ValueId value, NodeSpec spec);
  void warn_of_range(ValueId value, const Tensor& tensor);

  Module& module_;
  Graph& graph_;
  GraphEditor edit_;
  const ExactProducts& exact_;
  PassContext& context_;
  DType narrow_;
  bool is_strict_;
  bool is_all_;
  std::unique_ptr<regex_t, void (*)(regex_t*)> kept_{nullptr, nullptr};
  bool has_kept_ = false;
  std::unordered_map<ValueId, ValueId> narrowed_;
  Changed changed_ = Changed::no;
};

Expected<void> Caster::set_kept(const std::string& pattern) {
  if (pattern.empty()) return {};
  const auto refused = [&](std::string_view why) {
    context_.diagnostics.report(diag::bad_keep_fp32, {}, pattern.substr(0, kMaxShown), why);
    return reported();
  };
  if (pattern.size() > kMaxPattern) return refused("it is too long");
  auto compiled = std::make_unique<regex_t>();
  if (const int code = regcomp(compiled.get(), pattern.c_str(), REG_EXTENDED | REG_NOSUB)) {
    std::array<char, 256> text{};
    regerror(code, compiled.get(), text.data(), text.size());
    return refused(text.data());
  }
  kept_ = {compiled.release(), [](regex_t* expression) {
             regfree(expression);
             delete expression;
           }};
  return {};
}

bool Caster::is_kept(NodeId id) const {
  if (!kept_) return false;
  const auto matches = [&](const std::string& name) {
    return !name.empty() && regexec(kept_.get(), name.c_str(), 0, nullptr, 0) == 0;
  };
  if (matches(node_label(module_, graph_, id))) return true;
  for (ValueId result : graph_.node(id).results) {
    if (matches(graph_.value(result).name)) return true;
  }
  return false;
}

// A matmul-like node on a core whose leading operands are f32.
bool Caster::is_castable(NodeId id) const {
  const Node& node = graph_.node(id);
  if (node.placement != Placement::core || node.def().precision != Precision::matmul) return false;
  if (!node.def().attribute_index("result_type") || !node.has_operand(0) || !node.has_operand(1)) {
    return false;
  }
  return graph_.type(node.operands[0]).dtype == DType::f32 &&
         graph_.type(node.operands[1]).dtype == DType::f32;
}

bool Caster::is_narrowed_operand(const Use& use) const {
  const Node& node = graph_.node(use.node);
  if (node.def().precision != Precision::matmul) return false;
  if (use.operand_index >= num_narrowed(node.def())) return false;
  return node.placement == Placement::core &&
         (is_castable(use.node) || graph_.type(node.operands[0]).dtype == narrow_);
}

void Caster::warn_of_range(ValueId value, const Tensor& tensor) {
  int64_t num_beyond = 0;
  double largest = 0;
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    const double magnitude = std::fabs(tensor.f64(i));
    if (!std::isfinite(magnitude) || magnitude <= kLargestF16) continue;
    ++num_beyond;
    largest = std::max(largest, magnitude);
  }
  if (num_beyond == 0) return;
  Location location = node_location(module_, graph_, graph_.producer(value));
  context_.diagnostics.report(diag::beyond_fp16, location, num_beyond, largest);
}

// `spec` behind the producer of `value`, or first of all for a graph's input.
NodeId Caster::insert_behind(ValueId value, NodeSpec spec) {
  const NodeId producer = graph_.producer(value);
  if (producer) return edit_.insert_after(producer, std::move(spec));
  return edit_.insert_before(graph_.first_node(), std::move(spec));
}

ValueId Caster::narrow_constant(ValueId value, const Tensor& tensor) {
  if (narrow_ == DType::f16) warn_of_range(value, tensor);
  Tensor converted = tensor.converted(narrow_);
  NodeSpec spec;
  spec.op = Op::constant;
  spec.result_types = {converted.type()};
  spec.attributes = {module_.add_constant(std::move(converted))};
  spec.placement = Placement::core;
  const ValueId fresh = graph_.node(insert_behind(value, std::move(spec))).results[0];
  edit_.set_name(fresh, graph_.value(value).name);
  return fresh;
}

// Whether narrowing what `id` moves instead of what it gives costs no second pass over the data:
// views are free, other movers only if nobody wants their f32 result.
bool Caster::can_move_above(NodeId id) const {
  const Node& node = graph_.node(id);
  if (!node.has(Trait::moves_data) || node.op == Op::constant || !node.bodies.empty()) return false;
  if (node.placement != Placement::core || node.def().precision != Precision::exact) return false;
  if (is_view_candidate(module_, graph_, id) && node.op != Op::concat) return true;
  for (ValueId result : node.results) {
    if (graph_.value(result).num_output_uses > 0) return false;
    for (const Use& use : graph_.value(result).uses) {
      if (!is_narrowed_operand(use)) return false;
    }
  }
  return true;
}

// The narrow twin of a data-moving node over narrow twins of what it moves.
std::optional<ValueId> Caster::narrow_moved(ValueId value, int num_moves) {
  const NodeId id = graph_.producer(value);
  if (!id || num_moves >= kMaxMoves || !can_move_above(id)) return std::nullopt;
  const OpDef& def = graph_.node(id).def();
  const auto spec_of = [](auto specs, size_t i) { return specs[std::min(i, specs.size() - 1)]; };
  const char variable = spec_of(def.results, graph_.value(value).result_index).type_variable;
  if (variable == 0) return std::nullopt;
  NodeSpec spec;
  spec.op = graph_.node(id).op;
  spec.attributes = graph_.node(id).attributes;
  spec.source = graph_.node(id).source;
  spec.placement = Placement::core;
  for (size_t i = 0; i < graph_.node(id).operands.size(); ++i) {
    const ValueId operand = graph_.node(id).operands[i];
    const bool moves = operand && spec_of(def.operands, i).type_variable == variable;
    spec.operands.push_back(moves ? narrow(operand, num_moves + 1) : operand);
  }
  for (ValueId result : graph_.node(id).results) {
    Type type = graph_.type(result);
    type.dtype = narrow_;
    spec.result_types.push_back(std::move(type));
  }
  const NodeId twin = edit_.insert_after(id, std::move(spec));
  for (size_t i = 0; i < graph_.node(id).results.size(); ++i) {
    narrowed_[graph_.node(id).results[i]] = graph_.node(twin).results[i];
  }
  return narrowed_[value];
}

ValueId Caster::insert_cast(ValueId value, DType to) {
  NodeSpec spec;
  spec.op = Op::cast;
  spec.operands = {value};
  auto attributes = complete_attributes(op_def(Op::cast), {{"to", to}});
  spec.attributes = std::move(*attributes);
  Type type = graph_.type(value);
  type.dtype = to;
  spec.result_types = {std::move(type)};
  spec.placement = Placement::core;
  if (const NodeId producer = graph_.producer(value)) spec.source = graph_.node(producer).source;
  return graph_.node(insert_behind(value, std::move(spec))).results[0];
}

ValueId Caster::narrow(ValueId value, int num_moves) {
  if (const auto it = narrowed_.find(value); it != narrowed_.end()) return it->second;
  ValueId result;
  const NodeId producer = graph_.producer(value);
  if (const Tensor* tensor = module_.constant_of(graph_, value)) {
    result = narrow_constant(value, *tensor);
  } else if (producer && graph_.node(producer).op == Op::cast &&
             graph_.type(graph_.node(producer).operands[0]).dtype == narrow_) {
    // What was widened from the narrow type narrows to itself.
    result = graph_.node(producer).operands[0];
  } else if (const auto moved = narrow_moved(value, num_moves)) {
    result = *moved;
  } else {
    result = insert_cast(value, narrow_);
  }
  narrowed_[value] = result;
  return result;
}

void Caster::cast_operands(NodeId id) {
  const std::vector<ValueId> operands = graph_.node(id).operands;
  for (size_t i = 0; i < num_narrowed(graph_.node(id).def()); ++i) {
    const ValueId fresh = narrow(operands[i], 0);
    edit_.set_operand(id, i, fresh);
    if (const NodeId old = graph_.producer(operands[i])) edit_.erase_if_unused(old);
  }
  edit_.set_attribute(id, "result_type", DType::f32);
  context_.remarks.done(
      node_label(module_, graph_, id),
      fmt::format("operands of `{}` are {}", graph_.node(id).def().name, name(narrow_)));
  changed_ = Changed::yes;
}

// result -> narrow -> f32, for all who use it.
void Caster::round_result(NodeId id) {
  const std::vector<ValueId> results = graph_.node(id).results;
  for (ValueId result : results) {
    if (graph_.type(result).dtype != DType::f32 || graph_.value(result).is_unused()) continue;
    const ValueId rounded = insert_cast(result, narrow_);
    const ValueId wide = insert_cast(rounded, DType::f32);
    edit_.replace_all_uses(result, wide);
    edit_.set_operand(graph_.producer(rounded), 0, result);
    changed_ = Changed::yes;
  }
}

Changed Caster::run() {
  std::vector<NodeId> nodes;
  for (NodeId id : graph_.nodes()) nodes.push_back(id);
  for (NodeId id : nodes) {
    if (graph_.node(id).is_erased || graph_.node(id).placement != Placement::core) continue;
    const OpDef& def = graph_.node(id).def();
    const bool is_product = def.precision == Precision::matmul;
    if (!is_product && !(is_strict_ && is_all_)) continue;
    if (def.precision == Precision::exact || def.precision == Precision::fixed) continue;
    const auto missed = [&](std::string_view reason) {
      context_.remarks.missed(node_label(module_, graph_, id),
                              fmt::format("`{}` keeps f32: {}", def.name, reason));
    };
    if (is_kept(id)) {
      has_kept_ = true;
      missed("keep-fp32");
      continue;
    }
    if (const auto it = exact_.find(id); is_castable(id) && it != exact_.end()) {
      missed(it->second);
      continue;
    }
    const bool is_cast = is_castable(id);
    if (is_cast) cast_operands(id);
    if (is_product && !def.attribute_index("result_type")) missed("it takes no narrow operands");
    if (is_strict_ && (is_cast || is_all_)) round_result(id);
  }
  return changed_;
}

}  // namespace

DType narrow_dtype(std::string_view type) { return type == "fp16" ? DType::f16 : DType::bf16; }

Expected<Changed> cast(Module& module, const CastOptions& options, PassContext& context) {
  if (options.mode == "none") return Changed::no;
  bool has_kept = options.keep_fp32.empty();
  // Asked before anything is cast: casts are conversions too.
  const std::vector<ExactProducts> exact = find_exact_products(module, narrow_dtype(options.type));
  size_t graph = 0;
  NEURONC_ASSIGN(const Changed changed, on_core_graphs(module, [&]() -> Expected<Changed> {
                   Caster caster(module, options, exact[graph++], context);
                   NEURONC_TRY(caster.set_kept(options.keep_fp32));
                   const Changed one = caster.run();
                   has_kept |= caster.has_kept();
                   return one;
                 }));
  if (!has_kept) context.diagnostics.report(diag::unused_keep_fp32, {}, options.keep_fp32);
  return changed;
}

}  // namespace neuronc
