// Emits a fused group element by element: the pull model of default lowerings and of epilogues.
//
// Every operator of a body is a function from an index to a value; `pull` composes them, down to
// loads from the group's operands. A kernel variant computes its anchor's result some faster way,
// `provide`s it at an index, and lets `store_results` pull the rest. So any elementwise consumer
// fuses with any variant, and any data movement with any reader.
//
// Values are carried in registers as: f32 for f16, bf16 (already rounded) and f32; f64; bool;
// integers as they are.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/lower/lowered.h"
#include "backend/machine.h"
#include "ir/graph.h"
#include "ir/kernel/builder.h"

namespace neuronc {

// Lanes of one element type, as kernel code holds them.
using Register = kernel::Value;

// Some consecutive elements of a tensor: the index of the first lane, and by how much each lane
// advances it along every dim. Lanes from `active` on are not to be read or written.
struct LaneIndex {
  std::vector<kernel::Index> dims;
  std::vector<int64_t> steps;
  int lanes = 1;
  int active = 1;

  static LaneIndex scalar(std::vector<kernel::Index> dims);
  // Lanes along one dim.
  static LaneIndex along(std::vector<kernel::Index> dims, size_t dim, int lanes, int active = -1);

  bool is_scalar() const { return lanes == 1; }
  bool varies(size_t dim) const { return lanes > 1 && steps[dim] != 0; }
  LaneIndex lane(int l) const;  // the scalar index of one lane
  LaneIndex with_dims(std::vector<kernel::Index> dims, std::vector<int64_t> steps) const;
};

// The register type that carries elements of `dtype`.
DType carrier_of(DType dtype);

class GroupEmitter {
 public:
  GroupEmitter(const Module& module, const Graph& graph, NodeId group, const Machine& machine,
               std::string name, int64_t num_tiles);

  kernel::Builder& builder() { return builder_; }
  const Module& module() const { return module_; }
  const Graph& body() const { return body_; }
  const Machine& machine() const { return machine_; }
  int vector_lanes(DType carrier) const;  // lanes of a full register

  const Type& type(ValueId value) const { return body_.type(value); }
  std::vector<int64_t> shape(ValueId value) const { return body_.type(value).shape(); }

  // The elements of body value `value` at `at`.
  Register pull(ValueId value, const LaneIndex& at);
  // Operand `i` of `node` at the index of a broadcasting consumer.
  Register pull_broadcast(ValueId value, const LaneIndex& at);

  // Within the current scope, `value` at `at` is `result`.
  void provide(ValueId value, const LaneIndex& at, Register result);
  // The same for an anchor's f32 sum, rounded if the value is declared f16 or bf16.
  void provide_rounded(ValueId value, const LaneIndex& at, Register sum);
  Register rounded(Register carried, DType declared);

  // The same for result `i` of an anchor, stored as well. Only an anchor of one result has consumers
  // beside it; of several each is the group's own.
  void store_anchor_result(const Node& anchor, size_t i, const LaneIndex& at, Register value);

  // Pulls every result of the group at `at` (all have the same shape) and stores it.
  void store_results(const LaneIndex& at);
  void store_result(size_t result_index, const LaneIndex& at, Register value);

  // Loops whose pulls are forgotten behind them. All loops around pulls go through these.
  void loop(const kernel::Range& range, const std::function<void(kernel::Index)>& body,
            const kernel::ForOptions& options = {});
  kernel::Values loop(
      const kernel::Range& range, const kernel::Values& initial,
      const std::function<kernel::Values(kernel::Index, std::span<const Register>)>& body,
      const kernel::ForOptions& options = {});
  void when(const std::vector<kernel::GuardRange>& guards, const std::function<void()>& then);
  kernel::Values choose(const std::vector<kernel::GuardRange>& guards,
                        const std::function<kernel::Values()>& then,
                        const std::function<kernel::Values()>& otherwise);

  // The group operand behind a body value: it is a body input, read as it lies in memory.
  struct Memory {
    kernel::BufferId buffer;
    DType dtype;
    std::vector<int64_t> strides;
  };
  std::optional<Memory> memory_of(ValueId body_value);
  // The group-level value of a body input; none for others.
  ValueId outer_of(ValueId body_value) const;
  // Its tensor, if `body_value` is a constant inside or an operand that is one.
  const Tensor* constant_of(ValueId body_value) const;
  // The node in the body that makes the value; none for inputs.
  NodeId producer(ValueId body_value) const { return body_.producer(body_value); }

  kernel::BufferId packed_buffer(std::string name, Tensor packed);
  // The same, made once for each name: an element may be asked for many times.
  kernel::BufferId table(const std::string& name, const std::function<Tensor()>& make);
  kernel::BufferId workspace(std::string name, DType dtype, std::vector<int64_t> extents);

  LoweredKernel finish() &&;

 private:
  Register load(ValueId input, const LaneIndex& at);
  Register load_from(kernel::BufferId buffer, DType dtype, const std::vector<int64_t>& strides,
                     const LaneIndex& at);
  Register load_from_panels(const PanelRows& panels, ValueId input, const LaneIndex& at);
  Register constant_element(ValueId value, const Tensor& tensor, const LaneIndex& at);
  kernel::BufferId operand_buffer(size_t operand_index);
  kernel::BufferId result_buffer(size_t result_index);
  void find_in_place();
  // `at` with index 0 along dims of one element, whether a loop or a broadcast wrote it.
  LaneIndex canonical(ValueId value, LaneIndex at) const;
  const Register* find_known(ValueId value, const LaneIndex& at) const;

  struct Known {
    ValueId value;
    LaneIndex at;
    Register result;
  };

  const Module& module_;
  const Graph& graph_;
  NodeId group_;
  std::unique_ptr<Graph> reorder_body_;  // a reorder is lowered as a group of one identity
  const Graph& body_;
  const Machine& machine_;
  kernel::Builder builder_;
  std::vector<KernelBuffer> buffers_;
  std::vector<std::optional<kernel::BufferId>> operand_buffers_;
  std::vector<std::optional<kernel::BufferId>> result_buffers_;
  std::unordered_map<ValueId, kernel::BufferId> constant_buffers_;
  std::unordered_map<std::string, kernel::BufferId> tables_;
  std::unordered_map<ValueId, size_t> input_index_;
  std::vector<Known> known_;
  std::vector<int32_t> in_place_of_;  // per result: the operand it may lie over, or -1
};

}  // namespace neuronc
