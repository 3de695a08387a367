// Implements graph.h.
#include "ir/graph.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "ir/base/check.h"
#include "ir/base/text.h"
#include "ir/edit.h"

namespace neuronc {

namespace {
constexpr std::string_view kStageNames[] = {"imported", "canonical", "recognised", "placed",
                                            "cast",     "fused",     "laid_out",   "partitioned",
                                            "lowered",  "planned"};
}  // namespace

std::string_view name(Stage stage) { return kStageNames[static_cast<size_t>(stage)]; }

std::optional<Stage> stage_from_name(std::string_view text) {
  for (size_t i = 0; i < std::size(kStageNames); ++i) {
    if (kStageNames[i] == text) return static_cast<Stage>(i);
  }
  return std::nullopt;
}

ConstantId Graph::constant_id(ValueId id) const {
  const NodeId producer = value(id).producer;
  if (!producer || node(producer).op != Op::constant) return ConstantId();
  return std::get<ConstantId>(node(producer).attributes[0]);
}

struct Module::Index {
  std::map<Hash128, ConstantId> constants;
  std::unordered_map<std::string, SymbolId> symbols;
};

Module::Module() : graph_(std::make_unique<Graph>()), index_(std::make_unique<Index>()) {}
Module::Module(Module&&) noexcept = default;
Module& Module::operator=(Module&&) noexcept = default;
Module::~Module() = default;

ConstantId Module::add_constant(Tensor tensor) {
  const Hash128 hash = tensor.hash();
  const auto [it, is_new] = index_->constants.emplace(hash, ConstantId(constants_.size()));
  if (is_new) {
    constants_.push_back(std::move(tensor));
    constant_hashes_.push_back(hash);
  }
  return it->second;
}

const Tensor* Module::constant_of(const Graph& graph, ValueId value) const {
  const ConstantId id = graph.constant_id(value);
  return id ? &constant(id) : nullptr;
}

SymbolId Module::add_symbol(std::string_view symbol_name) {
  const auto [it, is_new] =
      index_->symbols.emplace(std::string(symbol_name), SymbolId(symbols_.size()));
  if (is_new) symbols_.emplace_back(symbol_name);
  return it->second;
}

SourceId Module::add_source(Source source) {
  sources_.push_back(std::move(source));
  return SourceId(sources_.size() - 1);
}

Module Module::clone() const {
  Module copy;
  copy.name = name;
  copy.file = file;
  copy.stage = stage;
  copy.num_model_ops = num_model_ops;
  copy.graph_ = clone_graph(*graph_);
  copy.constants_ = constants_;
  copy.constant_hashes_ = constant_hashes_;
  copy.symbols_ = symbols_;
  copy.sources_ = sources_;
  *copy.index_ = *index_;
  return copy;
}

std::string to_text(const Type& type, const Module* module) {
  if (type.kind == Type::Kind::none) return "none";
  std::string text(name(type.dtype));
  text += '[';
  if (!type.is_ranked) {
    text += '*';
  } else {
    for (size_t i = 0; i < type.dims.size(); ++i) {
      if (i > 0) text += ',';
      const Dim dim = type.dims[i];
      if (dim.is_number()) {
        text += std::to_string(dim.number());
      } else if (dim.is_symbol() && module != nullptr) {
        text += word_or_quoted(module->symbol(dim.symbol_id()));
      } else {
        text += '?';
      }
    }
  }
  text += ']';
  switch (type.kind) {
    case Type::Kind::sequence:
      return "seq(" + text + ")";
    case Type::Kind::optional:
      return "opt(" + text + ")";
    case Type::Kind::optional_sequence:
      return "opt(seq(" + text + "))";
    default:
      return text;
  }
}

}  // namespace neuronc
