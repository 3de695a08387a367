// Functions of one quantised number become tables of their results.
#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/evaluate_graph.h"
#include "passes/join_quantized_rules.h"

namespace neuronc {
namespace {

constexpr int64_t kNumBytes = 256;
// A longer chain is no activation.
constexpr size_t kMaxNodes = 16;

// A number in scalar shape, so that it broadcasts to any; nullptr where a constant is not one.
const Tensor* number(const Rewriter& r, NodeId id, size_t operand) {
  const Tensor* constant = r.constant(id, operand);
  return constant != nullptr && constant->num_elements() == 1 ? constant : nullptr;
}

// The nodes between one tensor of bytes and its quantised function, operands first.
class Chain {
 public:
  explicit Chain(const Rewriter& r) : r_(r) {}

  bool add(NodeId id) {
    if (std::find(nodes_.begin(), nodes_.end(), id) != nodes_.end()) return true;
    if (!id || nodes_.size() == kMaxNodes) return false;
    const Node& node = r_.node(id);
    if (!node.has(Trait::elementwise) || node.has(Trait::random) || node.results.size() != 1) {
      return false;
    }
    const bool is_start = node.op == Op::dequantize_linear;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      if (!node.has_operand(i) || number(r_, id, i) != nullptr) continue;
      if (is_start && i == 0) {
        const auto d = dequantized(r_, id);
        if (!d || !d->is_per_tensor() || (bytes_ && bytes_ != d->bytes)) return false;
        bytes_ = d->bytes;
      } else if (!add(r_.graph.producer(node.operands[i]))) {
        return false;
      }
    }
    nodes_.push_back(id);
    return true;
  }

  ValueId bytes() const { return bytes_; }
  const std::vector<NodeId>& nodes() const { return nodes_; }

 private:
  const Rewriter& r_;
  ValueId bytes_;
  std::vector<NodeId> nodes_;
};

// Every byte, in the order of its bits as an unsigned number.
Tensor all_bytes(DType dtype) {
  Tensor bytes = Tensor::zeros(dtype, {kNumBytes});
  for (int64_t i = 0; i < kNumBytes; ++i) {
    bytes.set_i64(i, dtype == DType::i8 && i >= kNumBytes / 2 ? i - kNumBytes : i);
  }
  return bytes;
}

// The chain's last result for every byte; empty where it cannot be computed. The nodes are made
// again on one dim of 256, and evaluated; nothing uses what was made.
std::vector<int64_t> table_of(Rewriter& r, NodeId position, const Chain& chain) {
  std::unordered_map<ValueId, ValueId> copies;
  std::unordered_map<ValueId, HostValue> values;
  const auto hold = [&](Tensor tensor) {
    const ValueId value = r.make_constant(position, tensor);
    values.emplace(value, std::move(tensor));
    return value;
  };
  copies[chain.bytes()] = hold(all_bytes(r.type(chain.bytes()).dtype));
  ValueId last;
  for (NodeId id : chain.nodes()) {
    std::vector<ValueId> operands = r.node(id).operands;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (!operands[i]) continue;
      const Tensor* constant = number(r, id, i);
      operands[i] = constant != nullptr ? hold(constant->with_shape({})) : copies.at(operands[i]);
    }
    last = r.make(position, r.node(id).op, operands, attributes_for(r.node(id).op, r.node(id)));
    if (!last) return {};
    std::vector<const HostValue*> given;
    for (ValueId operand : operands) given.push_back(operand ? &values.at(operand) : nullptr);
    auto results = evaluate_node(r.module, r.graph, r.graph.producer(last), given);
    if (!results) return {};
    copies[r.node(id).results[0]] = last;
    values.insert_or_assign(last, std::move((*results)[0]));
  }
  const Tensor& y = values.at(last).tensor();
  if (y.num_elements() != kNumBytes) return {};
  return y.to_ints();
}

}  // namespace

Changed join_table(Rewriter& r, NodeId quantize) {
  const Type y = r.type(r.node(quantize).results[0]);
  Chain chain(r);
  if ((y.dtype != DType::u8 && y.dtype != DType::i8) || !chain.add(quantize) || !chain.bytes()) {
    return Changed::no;
  }
  const Type& x = r.type(chain.bytes());
  if (!x.is_ranked || !y.is_ranked || x.dims != y.dims) return Changed::no;
  const ValueId bytes = chain.bytes();
  std::vector<int64_t> table = table_of(r, quantize, chain);
  if (table.empty()) return Changed::no;
  return r.replace_by(quantize, Op::byte_table, {bytes},
                      {{"table", std::move(table)}, {"to", y.dtype}});
}

}  // namespace neuronc
