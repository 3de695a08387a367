// Implements dim_binding.h.
#include "compiler/onnx/dim_binding.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace neuronc::onnx {
namespace {

class Binder {
 public:
  Binder(const std::vector<DeclaredInput>& inputs, const ImportOptions& options,
         const std::string& file, Diagnostics& diagnostics)
      : inputs_(inputs),
        options_(options),
        file_(file),
        diagnostics_(diagnostics),
        numbers_(options.dims) {}

  std::optional<std::vector<Type>> run() {
    const size_t num_errors = diagnostics_.num_errors();
    check_names();
    for (const DeclaredInput& input : inputs_) bind_by_shape(input);
    std::vector<Type> types;
    for (const DeclaredInput& input : inputs_) types.push_back(resolve(input));
    if (!unbound_.empty()) report_unbound();
    if (diagnostics_.num_errors() != num_errors) return std::nullopt;
    return types;
  }

 private:
  void check_names() {
    std::set<std::string> dims;
    std::vector<std::string> names;
    for (const DeclaredInput& input : inputs_) {
      names.push_back(input.name);
      for (const DeclaredDim& dim : input.type.dims) {
        if (!dim.name.empty()) dims.insert(dim.name);
      }
    }
    const Location location{file_};
    for (const auto& [name, number] : options_.dims) {
      if (dims.contains(name)) continue;
      diagnostics_.report(diag::unknown_binding, location, "--dim", name,
                          dims.empty() ? std::string("are no symbolic dims")
                                       : fmt::format("are the dims {}", fmt::join(dims, ", ")));
    }
    for (const auto& [name, shape] : options_.input_shapes) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      diagnostics_.report(diag::unknown_binding, location, "--input-shape", name,
                          fmt::format("are the inputs {}", fmt::join(names, ", ")));
    }
  }

  void wrong_shape(const DeclaredInput& input, const std::string& reason) {
    diagnostics_.report(diag::wrong_input_shape, Location{file_}, input.name, reason);
  }

  // A given shape binds the names among the declared dims, for the other inputs too.
  void bind_by_shape(const DeclaredInput& input) {
    const auto given = options_.input_shapes.find(input.name);
    if (given == options_.input_shapes.end() || !input.type.is_ranked) return;
    const auto& shape = given->second;
    if (shape.size() != input.type.dims.size()) {
      return wrong_shape(input, fmt::format("it has {} dims, but {} is declared", shape.size(),
                                            to_text(input.type)));
    }
    for (size_t i = 0; i < shape.size(); ++i) {
      const DeclaredDim& dim = input.type.dims[i];
      if (dim.number >= 0 && dim.number != shape[i]) {
        wrong_shape(input, fmt::format("dim {} is {}, but {} is declared", i, shape[i],
                                       to_text(input.type)));
      }
      if (dim.name.empty()) continue;
      const auto [it, is_new] = numbers_.emplace(dim.name, shape[i]);
      if (it->second != shape[i]) {
        wrong_shape(input, fmt::format("dim {} (`{}`) is {}, but `{}` is {} elsewhere", i, dim.name,
                                       shape[i], dim.name, it->second));
      }
    }
  }

  Type resolve(const DeclaredInput& input) {
    Type type;
    type.kind = input.type.kind;
    type.dtype = input.type.dtype;
    type.is_ranked = input.type.is_ranked;
    const auto given = options_.input_shapes.find(input.name);
    const bool has_shape = given != options_.input_shapes.end();
    if (!type.is_ranked && has_shape) return Type::tensor(type.dtype, given->second);
    // Extents inside of sequences may differ from element to element and stay unknown.
    const bool must_be_static = type.kind == Type::Kind::tensor;
    if (!type.is_ranked && must_be_static) {
      unbound_.push_back(
          {"", fmt::format("input `{0}` has no shape: --input-shape {0}=D,D,...", input.name)});
    }
    for (size_t i = 0; i < input.type.dims.size(); ++i) {
      type.dims.push_back(resolve(input, i, has_shape ? &given->second : nullptr));
      if (!type.dims.back().is_number() && must_be_static) add_unbound(input, i);
    }
    return type;
  }

  Dim resolve(const DeclaredInput& input, size_t i, const std::vector<int64_t>* given) const {
    const DeclaredDim& dim = input.type.dims[i];
    if (dim.number >= 0) return dim.number;
    if (const auto it = numbers_.find(dim.name); !dim.name.empty() && it != numbers_.end()) {
      return it->second;
    }
    if (given != nullptr && i < given->size()) return (*given)[i];
    return Dim::unknown();
  }

  void add_unbound(const DeclaredInput& input, size_t i) {
    const std::string& name = input.type.dims[i].name;
    const std::string where =
        fmt::format("dim {} of input `{}` ({})", i, input.name, to_text(input.type));
    if (name.empty()) {
      unbound_.push_back(
          {"", fmt::format("{}: --input-shape {}={}", where, input.name, shape_hint(input.type))});
      return;
    }
    for (const Unbound& unbound : unbound_) {
      if (unbound.name == name) return;
    }
    unbound_.push_back({name, fmt::format("`{}`, {}: --dim {}=N", name, where, name)});
  }

  static std::string shape_hint(const DeclaredType& type) {
    std::vector<std::string> texts;
    for (const DeclaredDim& dim : type.dims) {
      texts.push_back(dim.number >= 0 ? std::to_string(dim.number) : std::string("N"));
    }
    return fmt::format("{}", fmt::join(texts, ","));
  }

  void report_unbound() {
    Diagnostic& diagnostic = diagnostics_.report(diag::unbound_dims, Location{file_},
                                                 static_cast<int64_t>(unbound_.size()));
    for (const Unbound& unbound : unbound_) diagnostic.notes.push_back(unbound.note);
  }

  struct Unbound {
    std::string name;  // of a symbolic dim, listed once
    std::string note;
  };
  const std::vector<DeclaredInput>& inputs_;
  const ImportOptions& options_;
  const std::string& file_;
  Diagnostics& diagnostics_;
  std::map<std::string, int64_t> numbers_;
  std::vector<Unbound> unbound_;
};

}  // namespace

std::optional<std::vector<Type>> bind_inputs(const std::vector<DeclaredInput>& inputs,
                                             const ImportOptions& options, const std::string& file,
                                             Diagnostics& diagnostics) {
  return Binder(inputs, options, file, diagnostics).run();
}

std::string to_text(const DeclaredType& type) {
  std::string text(name(type.dtype));
  text += '[';
  if (!type.is_ranked) text += '*';
  for (size_t i = 0; i < type.dims.size(); ++i) {
    const DeclaredDim& dim = type.dims[i];
    if (i > 0) text += ',';
    text += dim.number >= 0 ? std::to_string(dim.number) : dim.name.empty() ? "?" : dim.name;
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

}  // namespace neuronc::onnx
