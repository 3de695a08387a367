// Implements parser.h.
#include "ir/parser.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <tuple>

#include "ir/edit.h"
#include "ir/text_reader.h"

namespace neuronc {
namespace {

// Values of one graph by the way they are written, and what waits for all of them to be known.
struct Scope {
  std::unordered_map<std::string, ValueId> values;
  std::vector<std::pair<ValueId, Token>> views;  // a value and the name of its base
};

struct TypedText {
  Type type;
  std::optional<StorageText> storage;
};

class Parser : public TextReader {
 public:
  using TextReader::TextReader;
  Expected<void> parse_module();

 private:
  Expected<void> parse_graph(Graph& graph, int64_t depth);
  Expected<void> parse_input(GraphEditor& edit, Scope& scope);
  Expected<void> parse_output(GraphEditor& edit, Scope& scope);
  Expected<void> parse_node(GraphEditor& edit, Scope& scope, int64_t depth);
  Expected<void> parse_content(NodeSpec& spec, const Token& op, size_t num_results,
                               const Scope& scope, std::vector<TypedText>& types);
  Expected<std::vector<NamedAttribute>> parse_bare_constant(const OpDef& def,
                                                            std::vector<TypedText>& types);
  Expected<std::vector<Token>> parse_results();
  Expected<std::vector<ValueId>> parse_operands(const Scope& scope);
  Expected<std::vector<AttributeValue>> complete(const OpDef& def, const Token& op,
                                                 std::vector<NamedAttribute> given,
                                                 const std::vector<std::string>& absent);
  Expected<std::vector<TypedText>> parse_types(size_t count);
  Expected<TypedText> parse_typed();
  Expected<void> parse_placement(NodeSpec& spec, CoreRange& cores);
  Expected<int32_t> parse_core(int32_t least);
  Expected<void> parse_source(NodeSpec& spec);
  Expected<void> parse_bodies(NodeSpec& spec, int64_t depth);
  Expected<void> define(GraphEditor& edit, Scope& scope, const Token& name, ValueId value,
                        const TypedText& typed);
  Expected<ValueId> find(const Scope& scope, const Token& name);
  Expected<void> resolve_views(GraphEditor& edit, Scope& scope);

  std::map<std::tuple<std::string, std::string, int64_t>, SourceId> sources_;
};

// Two values are the same if they are written the same way.
std::string key_of(const Token& name) {
  return fmt::format("{}{}#{}", name.is_numbered ? "" : "%", name.text, name.suffix);
}

std::string written(const Token& name) {
  return name.suffix == 0 ? name.text : fmt::format("{}#{}", name.text, name.suffix);
}

Expected<void> Parser::parse_module() {
  NEURONC_TRY(expect_word("nir"));
  if (!token().is(TokenKind::number, "1")) return unexpected_token("version `1`");
  advance();
  NEURONC_TRY(expect_word("module"));
  NEURONC_ASSIGN(module_.name, expect_kind(TokenKind::quoted, "the module's name in quotes"));
  if (accept_word("stage")) {
    const auto stage = stage_from_name(token().text);
    if (token().kind != TokenKind::word || !stage) return unexpected_token("a stage");
    module_.stage = *stage;
    advance();
  }
  if (accept_word("ops")) {
    NEURONC_ASSIGN(module_.num_model_ops, expect_int("a number of operations"));
  }
  NEURONC_TRY(expect("{"));
  NEURONC_TRY(parse_graph(module_.graph(), 1));
  if (token().kind != TokenKind::end) return unexpected_token("the end of the text");
  return {};
}

Expected<void> Parser::parse_graph(Graph& graph, int64_t depth) {
  if (depth > kMostNestedGraphs) {
    diagnostics_.report(diag::text_limit, location(token()), "the nesting of bodies",
                        kMostNestedGraphs);
    return reported();
  }
  GraphEditor edit(graph);
  Scope scope;
  while (accept_word("input")) NEURONC_TRY(parse_input(edit, scope));
  while (!at("}") && !at_word("output")) NEURONC_TRY(parse_node(edit, scope, depth));
  while (accept_word("output")) NEURONC_TRY(parse_output(edit, scope));
  NEURONC_TRY(expect("}"));
  return resolve_views(edit, scope);
}

Expected<void> Parser::parse_input(GraphEditor& edit, Scope& scope) {
  const Token name = token();
  NEURONC_TRY(expect_kind(TokenKind::value, "the input's name"));
  NEURONC_TRY(expect(":"));
  NEURONC_ASSIGN(const TypedText typed, parse_typed());
  return define(edit, scope, name, edit.add_input(typed.type, ""), typed);
}

Expected<void> Parser::parse_output(GraphEditor& edit, Scope& scope) {
  const Token name = token();
  NEURONC_TRY(expect_kind(TokenKind::value, "a value"));
  NEURONC_ASSIGN(const ValueId value, find(scope, name));
  std::string output_name = edit.graph().value(value).name;
  if (accept_word("as")) {
    NEURONC_ASSIGN(output_name, expect_kind(TokenKind::quoted, "the output's name in quotes"));
  }
  edit.add_output(value, std::move(output_name));
  return {};
}

Expected<std::vector<Token>> Parser::parse_results() {
  std::vector<Token> results;
  if (token().kind != TokenKind::value) return results;
  do {
    results.push_back(token());
    NEURONC_TRY(expect_kind(TokenKind::value, "a value"));
  } while (accept(","));
  NEURONC_TRY(expect("="));
  return results;
}

Expected<std::vector<ValueId>> Parser::parse_operands(const Scope& scope) {
  std::vector<ValueId> operands;
  NEURONC_TRY(expect("("));
  while (!at(")")) {
    if (!operands.empty()) NEURONC_TRY(expect(","));
    if (accept_word("_")) {
      operands.emplace_back();
      continue;
    }
    const Token name = token();
    NEURONC_TRY(expect_kind(TokenKind::value, "an operand"));
    NEURONC_ASSIGN(const ValueId operand, find(scope, name));
    operands.push_back(operand);
  }
  advance();
  return operands;
}

Expected<std::vector<AttributeValue>> Parser::complete(const OpDef& def, const Token& op,
                                                       std::vector<NamedAttribute> given,
                                                       const std::vector<std::string>& absent) {
  auto completed = complete_attributes(def, std::move(given));
  if (!completed) {
    diagnostics_.report(diag::text_bad_attribute, location(op), completed.error().reason);
    return reported();
  }
  for (const std::string& attribute : absent) {
    (*completed)[*def.attribute_index(attribute)] = std::monostate();
  }
  return std::move(*completed);
}

Expected<TypedText> Parser::parse_typed() {
  TypedText typed;
  NEURONC_ASSIGN(typed.type, read_type());
  if (accept_word("in")) {
    NEURONC_ASSIGN(typed.storage, read_storage(typed.type));
  }
  return typed;
}

Expected<std::vector<TypedText>> Parser::parse_types(size_t count) {
  std::vector<TypedText> types;
  if (count == 0) return types;
  NEURONC_TRY(expect(":"));
  for (size_t i = 0; i < count; ++i) {
    if (i > 0) NEURONC_TRY(expect(","));
    NEURONC_ASSIGN(TypedText typed, parse_typed());
    types.push_back(std::move(typed));
  }
  return types;
}

Expected<void> Parser::parse_placement(NodeSpec& spec, CoreRange& cores) {
  if (accept_word("core")) {
    spec.placement = Placement::core;
  } else if (accept_word("host")) {
    spec.placement = Placement::host;
  } else if (!accept_word("unplaced")) {
    return {};
  }
  if (!accept("(")) return {};
  NEURONC_ASSIGN(const int32_t first, parse_core(0));
  cores = CoreRange::one(first);
  if (accept_word("to")) {
    NEURONC_ASSIGN(const int32_t last, parse_core(first));
    cores.count = last - first + 1;
  }
  return expect(")");
}

Expected<int32_t> Parser::parse_core(int32_t least) {
  const Token here = token();
  NEURONC_ASSIGN(const int64_t number, expect_int("a core's number"));
  constexpr int64_t kMaxCore = 65535;
  if (number < least || number > kMaxCore) {
    diagnostics_.report(diag::text_limit, location(here), "a core's number", kMaxCore);
    return reported();
  }
  return static_cast<int32_t>(number);
}

Expected<void> Parser::parse_source(NodeSpec& spec) {
  if (!accept("@")) return {};
  Source source;
  NEURONC_ASSIGN(source.node, expect_kind(TokenKind::quoted, "the model's node in quotes"));
  const TokenKind op_kind = token().kind == TokenKind::quoted ? TokenKind::quoted : TokenKind::word;
  NEURONC_ASSIGN(source.op, expect_kind(op_kind, "the model's operator"));
  NEURONC_ASSIGN(source.opset, expect_int("the opset's version"));
  SourceId& id = sources_[{source.node, source.op, source.opset}];
  if (!id) id = module_.add_source(std::move(source));
  spec.source = id;
  return {};
}

Expected<void> Parser::parse_bodies(NodeSpec& spec, int64_t depth) {
  while (accept("{")) {
    auto body = std::make_unique<Graph>();
    NEURONC_TRY(parse_graph(*body, depth + 1));
    spec.bodies.push_back(std::move(body));
  }
  return {};
}

// `constant {1, 2} : i64[2]`: the elements can be read only by the type behind them, so they are
// skipped, and read when the type is known.
Expected<std::vector<NamedAttribute>> Parser::parse_bare_constant(const OpDef& def,
                                                                  std::vector<TypedText>& types) {
  if (def.attributes.size() != 1 || def.attributes[0].kind != AttributeKind::constant) {
    return unexpected_token("`(`");
  }
  const Position elements = position();
  if (accept("{")) {
    while (!at("}")) {
      if (token().kind == TokenKind::end) return unexpected_token("`}`");
      advance();
    }
  }
  advance();
  NEURONC_ASSIGN(types, parse_types(1));
  const Position rest = position();
  rewind(elements);
  NEURONC_ASSIGN(AttributeValue value, read_constant(types[0].type));
  rewind(rest);
  return std::vector<NamedAttribute>{{std::string(def.attributes[0].name), std::move(value)}};
}

Expected<void> Parser::parse_content(NodeSpec& spec, const Token& op, size_t num_results,
                                     const Scope& scope, std::vector<TypedText>& types) {
  const OpDef& def = op_def(spec.op);
  std::vector<NamedAttribute> given;
  std::vector<std::string> absent;
  if ((at("{") || token().kind == TokenKind::hash) && num_results == 1) {
    NEURONC_ASSIGN(given, parse_bare_constant(def, types));
  } else {
    NEURONC_ASSIGN(spec.operands, parse_operands(scope));
    if (at("{")) {
      NEURONC_ASSIGN(given, read_attributes(def, absent));
    }
    NEURONC_ASSIGN(types, parse_types(num_results));
  }
  NEURONC_ASSIGN(spec.attributes, complete(def, op, std::move(given), absent));
  return {};
}

Expected<void> Parser::parse_node(GraphEditor& edit, Scope& scope, int64_t depth) {
  NEURONC_ASSIGN(const std::vector<Token> results, parse_results());
  const Token op_token = token();
  NEURONC_TRY(expect_kind(TokenKind::word, "an operator"));
  const auto op = op_from_name(op_token.text);
  if (!op) {
    diagnostics_.report(diag::text_unknown_operator, location(op_token), op_token.text);
    return reported();
  }
  NodeSpec spec;
  spec.op = *op;
  std::vector<TypedText> types;
  NEURONC_TRY(parse_content(spec, op_token, results.size(), scope, types));
  for (const TypedText& typed : types) spec.result_types.push_back(typed.type);
  CoreRange cores;
  NEURONC_TRY(parse_placement(spec, cores));
  NEURONC_TRY(parse_source(spec));
  NEURONC_TRY(parse_bodies(spec, depth));
  const NodeId node = edit.append(std::move(spec));
  edit.set_placement(node, edit.graph().node(node).placement, cores);
  for (size_t i = 0; i < results.size(); ++i) {
    NEURONC_TRY(define(edit, scope, results[i], edit.graph().node(node).results[i], types[i]));
  }
  return {};
}

Expected<void> Parser::define(GraphEditor& edit, Scope& scope, const Token& name, ValueId value,
                              const TypedText& typed) {
  if (!scope.values.emplace(key_of(name), value).second) {
    diagnostics_.report(diag::text_redefined_value, location(name), written(name));
    return reported();
  }
  if (!name.is_numbered) edit.set_name(value, name.text);
  if (typed.storage) {
    edit.set_storage(value, typed.storage->storage);
    if (typed.storage->base.kind == TokenKind::value) {
      scope.views.emplace_back(value, typed.storage->base);
    }
  }
  return {};
}

Expected<ValueId> Parser::find(const Scope& scope, const Token& name) {
  const auto found = scope.values.find(key_of(name));
  if (found == scope.values.end()) {
    diagnostics_.report(diag::text_undefined_value, location(name), written(name));
    return reported();
  }
  return found->second;
}

// A view's base may stand behind it: the operands of a concatenation are views of its result.
Expected<void> Parser::resolve_views(GraphEditor& edit, Scope& scope) {
  for (const auto& [view, base_name] : scope.views) {
    NEURONC_ASSIGN(const ValueId base, find(scope, base_name));
    Storage storage = edit.graph().value(view).storage;
    storage.base = base;
    edit.set_storage(view, std::move(storage));
  }
  return {};
}

}  // namespace

Expected<Module> parse_module(std::string_view text, std::string_view file,
                              const ConstantPool& constants, Diagnostics& diagnostics) {
  Module module;
  Parser parser(text, file, constants, module, diagnostics);
  NEURONC_TRY(parser.parse_module());
  return module;
}

}  // namespace neuronc
