// The graph IR: modules, graphs, nodes and values.
//
// A `Module` owns constants, symbols, sources and the main graph. A `Graph` owns nodes and values
// in dense vectors, named by 4-byte ids, and keeps its nodes in a linked order in which every
// operand stands before its users. Bodies (fused groups, If, Loop, Scan) are graphs of their own
// and see nothing of the outside: what they use comes in as operands.
// Reading is here; all changing goes through edit.h, which keeps uses right.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/attribute.h"
#include "ir/base/id.h"
#include "ir/op.h"
#include "ir/storage.h"
#include "ir/tensor.h"
#include "ir/type.h"

namespace neuronc {

using SourceId = Id<struct SourceTag>;

enum class Stage : uint8_t {
  imported,
  canonical,
  recognised,
  placed,
  cast,
  fused,
  laid_out,
  partitioned,
  lowered,
  planned,
};
std::string_view name(Stage stage);
std::optional<Stage> stage_from_name(std::string_view name);

// The ONNX node something came from.
struct Source {
  std::string node;
  std::string op;
  int64_t opset = 0;
  friend bool operator==(const Source&, const Source&) = default;
};

enum class Placement : uint8_t { unplaced, core, host };

// The NeuronCores that run a node together: neighbours that share its tiles, usually one.
struct CoreRange {
  int32_t first = -1;
  int32_t count = 0;

  static CoreRange one(int32_t core) { return {core, 1}; }
  bool is_none() const { return count == 0; }
  int32_t end() const { return first + count; }
  bool meets(const CoreRange& other) const { return first < other.end() && other.first < end(); }
  friend bool operator==(const CoreRange&, const CoreRange&) = default;
};

struct Use {
  NodeId node;
  uint32_t operand_index = 0;
  friend bool operator==(const Use&, const Use&) = default;
};

struct Value {
  Type type;
  NodeId producer;            // none: a graph input
  uint32_t result_index = 0;  // of the producer's results, or of the graph's inputs
  std::string name;           // the model's, or empty
  std::vector<Use> uses;      // by nodes; graph outputs are counted apart
  uint32_t num_output_uses = 0;
  Storage storage;  // from stage laid_out
  bool is_erased = false;

  bool is_input() const { return !producer; }
  bool is_unused() const { return uses.empty() && num_output_uses == 0; }
  size_t num_uses() const { return uses.size() + num_output_uses; }
};

struct Node {
  Op op = Op::identity;
  std::vector<ValueId> operands;           // none: an absent optional operand
  std::vector<ValueId> results;            // always one value per declared result
  std::vector<AttributeValue> attributes;  // in schema order, complete
  std::vector<std::unique_ptr<Graph>> bodies;
  SourceId source;  // none: made by a pass
  Placement placement = Placement::unplaced;
  CoreRange cores;  // from stage partitioned
  NodeId previous, next;
  bool is_erased = false;

  const OpDef& def() const { return op_def(op); }
  OpView view() const { return {def(), attributes, bodies}; }
  bool has(Trait trait) const { return def().has(trait); }
  bool has_operand(size_t i) const { return i < operands.size() && operands[i]; }
};

class Graph {
 public:
  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  const Node& node(NodeId id) const { return nodes_[id.index]; }
  const Value& value(ValueId id) const { return values_[id.index]; }
  size_t num_node_slots() const { return nodes_.size(); }  // erased ones included
  size_t num_value_slots() const { return values_.size(); }
  size_t num_nodes() const { return num_nodes_; }

  const std::vector<ValueId>& inputs() const { return inputs_; }
  const std::vector<ValueId>& outputs() const { return outputs_; }
  const std::vector<std::string>& output_names() const { return output_names_; }

  // Nodes in execution order. The current node may be erased, and nodes inserted, while walking.
  class NodeIterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = NodeId;
    using difference_type = std::ptrdiff_t;
    using pointer = const NodeId*;
    using reference = NodeId;
    NodeIterator() = default;
    NodeIterator(const Graph* graph, NodeId id) : graph_(graph), id_(id) {}
    NodeId operator*() const { return id_; }
    NodeIterator& operator++() {
      id_ = graph_->node(id_).next;
      return *this;
    }
    NodeIterator operator++(int) {
      NodeIterator old = *this;
      ++*this;
      return old;
    }
    friend bool operator==(const NodeIterator& a, const NodeIterator& b) { return a.id_ == b.id_; }

   private:
    const Graph* graph_ = nullptr;
    NodeId id_;
  };
  struct NodeRange {
    NodeIterator first, last;
    NodeIterator begin() const { return first; }
    NodeIterator end() const { return last; }
  };
  NodeRange nodes() const { return {NodeIterator(this, first_), NodeIterator(this, NodeId())}; }
  NodeId first_node() const { return first_; }
  NodeId last_node() const { return last_; }

  // The producer of `value`, or none for inputs.
  NodeId producer(ValueId id) const { return value(id).producer; }
  const Type& type(ValueId id) const { return value(id).type; }
  // The constant behind a value made by a `constant` node; none otherwise.
  ConstantId constant_id(ValueId id) const;

 private:
  friend class GraphEditor;
  std::vector<Node> nodes_;
  std::vector<Value> values_;
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
  std::vector<std::string> output_names_;
  NodeId first_, last_;
  size_t num_nodes_ = 0;
};

// How deep bodies nest, the main graph included: walks over them may recurse.
inline constexpr int64_t kMostNestedGraphs = 64;

class Module {
 public:
  Module();
  Module(Module&&) noexcept;
  Module& operator=(Module&&) noexcept;
  ~Module();

  std::string name;  // of the model
  std::string file;  // it came from, for messages; no part of the text form
  const std::string& message_name() const { return file.empty() ? name : file; }
  Stage stage = Stage::imported;
  int64_t num_model_ops = 0;  // operations in the model as it was imported, for the summary

  Graph& graph() { return *graph_; }
  const Graph& graph() const { return *graph_; }

  // Equal constants (dtype, shape, content) share one id.
  ConstantId add_constant(Tensor tensor);
  const Tensor& constant(ConstantId id) const { return constants_[id.index]; }
  Hash128 constant_hash(ConstantId id) const { return constant_hashes_[id.index]; }
  size_t num_constants() const { return constants_.size(); }
  // The tensor behind `value` of `graph`, or nullptr where it is not a constant.
  const Tensor* constant_of(const Graph& graph, ValueId value) const;

  SymbolId add_symbol(std::string_view symbol_name);  // the same name gives the same id
  const std::string& symbol(SymbolId id) const { return symbols_[id.index]; }
  size_t num_symbols() const { return symbols_.size(); }

  SourceId add_source(Source source);
  const Source& source(SourceId id) const { return sources_[id.index]; }
  size_t num_sources() const { return sources_.size(); }

  Module clone() const;  // constants share their bytes

 private:
  std::unique_ptr<Graph> graph_;
  std::vector<Tensor> constants_;
  std::vector<Hash128> constant_hashes_;
  std::vector<std::string> symbols_;
  std::vector<Source> sources_;
  struct Index;  // hash lookups
  std::unique_ptr<Index> index_;
};

// "f32[1,64,N,?]", "seq(f32[?])", "none".
std::string to_text(const Type& type, const Module* module = nullptr);

}  // namespace neuronc
