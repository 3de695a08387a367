// The plan: what the runtime executes and the NEFF stores.
//
// A plan has *lanes* (one per NeuronCore, and one for the host when there are host nodes). Each
// lane runs one list of *steps* per request, in order; lanes meet only through channels and
// barriers. All memory is named by `BufferRef`: a space, an offset and a size, with the access the
// step makes, so that the verifier (verify.h) can prove a plan sound without knowing its kernels.
//
// Memory:
//   arena     private to the lane; one instance per model. `Lane::allocations` says which ranges
//             are live during which steps; an in-place result shares its operand's allocation.
//   expanded  one per model; written by `Lane::init` at load, afterwards only read.
//   shared    one per model; lanes write parts of it between barriers (tensor partitioning).
//   constant  tensors of weights.bin; read only.
//   input, output   the caller's memory: dense, row-major, of any alignment.
//   channel   a queue of `depth` slots between lanes. Slot use of one request, in order:
//             producer: acquire, writes (and reads), send; each consumer: recv, reads, release.
//             A slot is free again when every consumer has released it. The producer reads its
//             slot after `send` only if it is a consumer too. Depth > 1 lets request r+1 enter
//             while r runs.
//   host_slot a value of the host lane whose size is known only at run time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/hash.h"
#include "ir/base/id.h"
#include "ir/type.h"

namespace neuronc::plan {

using LaneId = Id<struct LaneTag>;
using ChannelId = Id<struct ChannelTag>;
using KernelId = Id<struct KernelTag>;
using BlockId = Id<struct BlockTag>;

// An input or output of the model.
struct TensorSpec {
  std::string name;
  DType dtype = DType::none;
  std::vector<int64_t> dims;  // -1: known only at run time (outputs of host nodes)
  uint64_t size_bytes = 0;    // 0 with an unknown dim or a string dtype: sized at run time
  // Reserved: this output is state, kept in the named input between requests; -1: not bound.
  int32_t bound_input = -1;
  // A sequence or an optional: `dtype` and `dims` are those of the tensors inside, `size_bytes` is 0.
  Type::Kind kind = Type::Kind::tensor;
  bool is_ranked = true;  // false: of any rank, `dims` is empty; no input that is a tensor
  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

// The words for kinds in text forms: "tensor", "sequence", "optional", "optional_sequence".
std::string_view kind_name(Type::Kind kind);
Type::Kind kind_from_name(std::string_view name);  // Type::Kind::none if there is none

// True if the tensor's bytes are known at compile time, so that buffer references may name them.
bool is_static(const TensorSpec& tensor);

// A tensor of weights.bin. The NEFF writer finds the bytes by hash and fills in the offset.
struct Constant {
  Hash128 hash;  // hash_bytes of the content
  uint64_t size_bytes = 0;
  uint64_t offset_bytes = 0;  // 64-byte aligned
  std::string name;           // for people; may be empty
  friend bool operator==(const Constant&, const Constant&) = default;
};

struct Kernel {
  std::string symbol;  // of the ELF
  uint32_t num_buffers = 0;
  int64_t num_tiles = 0;
  friend bool operator==(const Kernel&, const Kernel&) = default;
};

struct Channel {
  std::string name;
  uint64_t slot_bytes = 0;
  uint32_t depth = 1;
  LaneId producer;
  std::vector<LaneId> consumers;  // ascending; may include the producer
  friend bool operator==(const Channel&, const Channel&) = default;
};

enum class Space : uint8_t {
  arena,      // index 0: the lane's own
  expanded,   // index 0
  shared,     // index 0
  constant,   // index into Plan::constants
  input,      // index into Plan::inputs
  output,     // index into Plan::outputs
  channel,    // index into Plan::channels
  host_slot,  // index below Plan::num_host_slots; offset and size are 0
};

enum class Access : uint8_t { read = 1, write = 2, read_write = 3 };

// A range of bytes and what the step does with it. `size_bytes` bounds every access, padding and
// over-reads of vector tails included. A workspace, whose contents are undefined, is `write`.
// `write` promises that the whole range is written by the steps that name it as theirs (a strided
// write names its hull).
struct BufferRef {
  Space space = Space::arena;
  Access access = Access::read;
  uint32_t index = 0;
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  friend bool operator==(const BufferRef&, const BufferRef&) = default;
};

// Calls kernel `kernel` with one pointer per buffer, for tiles [tile_begin, tile_end).
struct RunKernel {
  KernelId kernel;
  std::vector<BufferRef> buffers;
  int64_t tile_begin = 0;
  int64_t tile_end = 0;
  friend bool operator==(const RunKernel&, const RunKernel&) = default;
};
// Waits until the request's slot of the channel is free to be written.
struct Acquire {
  ChannelId channel;
  friend bool operator==(const Acquire&, const Acquire&) = default;
};
// Publishes the slot to the consumers.
struct Send {
  ChannelId channel;
  friend bool operator==(const Send&, const Send&) = default;
};
// Waits until the slot has been sent.
struct Recv {
  ChannelId channel;
  friend bool operator==(const Recv&, const Recv&) = default;
};
// Gives the slot back.
struct Release {
  ChannelId channel;
  friend bool operator==(const Release&, const Release&) = default;
};
// Waits until every core lane stands at its barrier of the same ordinal.
struct Barrier {
  friend bool operator==(const Barrier&, const Barrier&) = default;
};
// Repeats the low `pattern_bytes` (1, 2, 4, 8) of `pattern` over the target. In an init list, a
// channel target stands for that range of every slot.
struct Fill {
  BufferRef target;
  uint64_t pattern = 0;
  uint32_t pattern_bytes = 1;
  friend bool operator==(const Fill&, const Fill&) = default;
};
// Copies bytes; both sizes are equal, ranges do not overlap.
struct Copy {
  BufferRef source;
  BufferRef target;
  friend bool operator==(const Copy&, const Copy&) = default;
};
// A typed operand or result of a host node. Buffers of known size hold dense row-major tensors.
struct HostOperand {
  BufferRef ref;
  DType dtype = DType::none;  // none for host slots
  std::vector<int64_t> dims;  // empty for host slots
  friend bool operator==(const HostOperand&, const HostOperand&) = default;
};
// Evaluates node `host_node` (in execution order, `constant` nodes of strings included) of
// host.nir's graph; only on the host lane. Operands are those that are present, results are all.
struct RunHostNode {
  uint32_t host_node = 0;
  std::vector<HostOperand> operands;
  std::vector<HostOperand> results;
  friend bool operator==(const RunHostNode&, const RunHostNode&) = default;
};
// Runs one of two blocks by a bool (one byte). Blocks hold no channel steps and no barriers.
struct If {
  BufferRef condition;
  BlockId then_block;
  BlockId else_block;  // none: nothing
  friend bool operator==(const If&, const If&) = default;
};
// Runs `body` `count` times (an i64 of 8 bytes; negative counts as 0). The number of the iteration
// is stored in `iteration` (i64, write) before each run.
struct Loop {
  BufferRef count;
  BufferRef iteration;
  BlockId body;
  friend bool operator==(const Loop&, const Loop&) = default;
};

using Step = std::variant<RunKernel, Acquire, Send, Recv, Release, Barrier, Fill, Copy, RunHostNode,
                          If, Loop>;

// A range of the lane's arena in use from before step `first_step` to after step `last_step` of
// the entry block (steps inside an If or Loop count as that step). `persistent`: written by init
// and never given to anything else; steps may read it in any request and write what they have
// written in every earlier one.
enum class Lifetime : uint8_t { steps, persistent };
struct Allocation {
  std::string name;  // for people; may be empty
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  Lifetime lifetime = Lifetime::steps;
  uint32_t first_step = 0;
  uint32_t last_step = 0;
  friend bool operator==(const Allocation&, const Allocation&) = default;
};

enum class LaneKind : uint8_t { core, host };

struct Block {
  std::vector<Step> steps;
  friend bool operator==(const Block&, const Block&) = default;
};

struct Lane {
  LaneKind kind = LaneKind::core;
  uint32_t core = 0;  // logical core within the model; 0 for the host
  uint64_t arena_bytes = 0;
  std::vector<Allocation> allocations;
  std::vector<Step> init;     // run once at load, lane after lane: kernels, fills and copies
  std::vector<Block> blocks;  // blocks[0] runs per request; the others belong to If and Loop
  friend bool operator==(const Lane&, const Lane&) = default;
};

struct Plan {
  std::string model_name;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  std::vector<Constant> constants;
  std::vector<Kernel> kernels;
  std::vector<Channel> channels;
  uint64_t expanded_bytes = 0;
  uint64_t shared_bytes = 0;
  uint32_t num_host_slots = 0;
  std::vector<Lane> lanes;  // cores in order, then at most one host lane
  friend bool operator==(const Plan&, const Plan&) = default;
};

uint32_t num_cores(const Plan& plan);

// Adds lanes that do nothing until there are `cores` core lanes; the host lane stays the last.
// Plans of one model for several targets have lanes in common, and may need different numbers.
void add_idle_lanes(Plan& plan, uint32_t cores);

}  // namespace neuronc::plan
