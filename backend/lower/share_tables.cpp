// Implements share_tables.h.
#include "backend/lower/share_tables.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <vector>

#include "backend/variants/matmul/problem.h"
#include "backend/variants/product/bytes.h"
#include "backend/variants/product/step.h"
#include "ir/control_flow.h"

namespace neuronc {
namespace {

// Below, a second copy costs nothing that anybody would notice.
constexpr int64_t kFewestBytes = 64 << 10;

class TableSharer {
 public:
  TableSharer(const Module& module, const Machine& machine)
      : module_(module), graph_(module.graph()), machine_(machine) {}

  void run() {
    find_products();
    if (products_.empty()) return;
    find_bodies();
    for (NodeId id : graph_.nodes()) {
      if (graph_.node(id).op == Op::constant) share(graph_.node(id).results[0]);
    }
  }

 private:
  struct Product {
    GroupContext context;
    MatmulProblem problem;
    const Tensor* weights;  // [.., n, k] if transposed, otherwise [.., k, n]
    ValueId value;
  };

  void find_products();
  void find_bodies();
  void share(ValueId table);
  bool reads_rows(NodeId group, size_t operand) const;
  bool is_transposed(const Product& product, ValueId table, const Tensor& tensor) const;

  const Module& module_;
  const Graph& graph_;
  const Machine& machine_;
  std::vector<Product> products_;
  std::set<ConstantId> of_bodies_;  // which bodies read, in ways that are not looked at
};

void TableSharer::find_bodies() {
  for_each_core_graph(graph_, [&](const Graph& graph) {
    if (&graph == &graph_) return;
    for (NodeId id : graph.nodes()) {
      if (graph.node(id).op == Op::constant) {
        of_bodies_.insert(graph.constant_id(graph.node(id).results[0]));
      }
    }
  });
}

void TableSharer::find_products() {
  for (NodeId id : graph_.nodes()) {
    const Node& node = graph_.node(id);
    if (node.op != Op::group || node.view().string("variant") != "matmul.packed") continue;
    const Graph& body = *node.bodies[0];
    const GroupContext context{module_, graph_, id, body, find_anchor(body), machine_};
    const size_t operand = weights_operand(context.anchor_node().op);
    const Tensor* weights = context.constant_operand(operand);
    if (weights == nullptr || !is_float(weights->dtype())) continue;
    const auto problem = matmul_problem(context);
    if (!problem) continue;
    const ValueId value = context.outer_of(context.anchor_node().operands[operand]);
    products_.push_back({context, *problem, weights, value});
  }
}

// Whether the group takes rows of the operand, and nothing else of it.
bool TableSharer::reads_rows(NodeId group, size_t operand) const {
  const Node& node = graph_.node(group);
  if (node.op != Op::group) return false;
  const Graph& body = *node.bodies[0];
  const Value& input = body.value(body.inputs()[operand]);
  return input.num_output_uses == 0 &&
         std::all_of(input.uses.begin(), input.uses.end(), [&](const Use& use) {
           const Node& user = body.node(use.node);
           return user.op == Op::gather && use.operand_index == 0 && user.view().i64("axis") == 0;
         });
}

// Whether the product's right operand holds the rows of `tensor` as its columns.
bool TableSharer::is_transposed(const Product& product, ValueId table, const Tensor& tensor) const {
  const int64_t rows = tensor.shape()[0];
  const int64_t columns = tensor.shape()[1];
  const Tensor& weights = *product.weights;
  if (product.problem.n != rows || product.problem.k != columns) return false;
  if (weights.dtype() != tensor.dtype() || weights.num_elements() != rows * columns) return false;
  if (product.problem.transpose_b) {
    return product.value == table || weights.data() == tensor.data() ||
           std::memcmp(weights.data(), tensor.data(), static_cast<size_t>(tensor.size_bytes())) ==
               0;
  }
  // By blocks, of which both matrices' lines stay in the cache.
  constexpr int64_t kBlock = 64;
  const auto bytes = static_cast<size_t>(size_bytes(tensor.dtype()));
  for (int64_t row = 0; row < rows; row += kBlock) {
    for (int64_t column = 0; column < columns; column += kBlock) {
      for (int64_t i = row; i < std::min(rows, row + kBlock); ++i) {
        for (int64_t k = column; k < std::min(columns, column + kBlock); ++k) {
          const std::byte* a = tensor.data() + static_cast<size_t>(i * columns + k) * bytes;
          const std::byte* b = weights.data() + static_cast<size_t>(k * rows + i) * bytes;
          if (std::memcmp(a, b, bytes) != 0) return false;
        }
      }
    }
  }
  return true;
}

void TableSharer::share(ValueId table) {
  const Tensor* tensor = module_.constant_of(graph_, table);
  if (tensor == nullptr || of_bodies_.contains(graph_.constant_id(table)) ||
      tensor->shape().size() != 2 || !is_float(tensor->dtype()) ||
      tensor->size_bytes() < kFewestBytes || graph_.value(table).num_output_uses > 0) {
    return;
  }
  bool is_read = false;
  for (const Use& use : graph_.value(table).uses) {
    const bool reads = reads_rows(use.node, use.operand_index);
    is_read |= reads;
    const auto multiplies = [&](const Product& product) {
      return product.context.group == use.node && product.value == table;
    };
    if (!reads && std::none_of(products_.begin(), products_.end(), multiplies)) return;
  }
  if (!is_read) return;
  for (const Product& product : products_) {
    if (!is_transposed(product, table, *tensor)) continue;
    machine_.packs->read_from(
        *tensor, {packed_weights(product.context, product.problem), k_group(tensor->dtype())});
    return;
  }
}

}  // namespace

void share_tables(const Module& module, const Machine& machine) {
  TableSharer(module, machine).run();
}

}  // namespace neuronc
