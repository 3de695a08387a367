// The plan: what the runtime executes and the NEFF stores.
//
// A plan has *lanes* (one per NeuronCore, and one for the host when there are host nodes). Each
// lane runs one list of *steps* per request, in order; lanes meet only through channels and
// barriers. Lanes that share the tiles of their kernels are a *team*. All memory is named by
// `BufferRef`: the pointer that a kernel gets, and the bytes that the step touches, with the access
// it makes, so that the verifier (verify.h) can prove a plan sound without knowing its kernels.
//
// Memory:
//   arena     private to the lane; one instance per model. `Lane::allocations` says which ranges
//             are live during which steps; an in-place result shares its operand's allocation.
//   shared    of a team, one instance per model. Between two barriers each lane of the team writes
//             bytes that no other touches. `Team::allocations` says which ranges are live in which
//             *epochs*: the team's barriers count them, from 0 at the beginning of a request.
//   constant  tensors of weights.bin; read only.
//   input, output   the caller's memory: dense, row-major, of any alignment.
//   channel   a queue of `depth` slots between lanes. Slot use of one request, in order:
//             each producer: acquire, writes (and reads), send; each consumer: recv, reads,
//             release. A slot is sent when every producer has sent it, and free again when every
//             consumer has released it. A producer reads its slot after `send` only if it is a
//             consumer too. Depth > 1 lets request r+1 enter while r runs.
//   host_slot a value of the host lane whose size is known only at run time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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
using TeamId = Id<struct TeamTag>;

// An input or output of the model.
struct TensorSpec {
  std::string name;
  DType dtype = DType::none;
  std::vector<int64_t> dims;  // -1: known only at run time (outputs of host nodes)
  uint64_t size_bytes = 0;    // 0 with an unknown dim or a string dtype: sized at run time
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
  std::vector<LaneId> producers;  // ascending; one lane, or lanes of one team
  std::vector<LaneId> consumers;  // ascending; may include producers
  friend bool operator==(const Channel&, const Channel&) = default;
};

enum class Space : uint8_t {
  arena,      // index 0: the lane's own
  shared,     // index into Plan::teams, a team of the lane
  constant,   // index into Plan::constants
  input,      // index into Plan::inputs
  output,     // index into Plan::outputs
  channel,    // index into Plan::channels
  host_slot,  // index below Plan::num_host_slots; offset and size are 0
};

enum class Access : uint8_t { read = 1, write = 2, read_write = 3 };

// `count` ranges of `size_bytes`, `stride_bytes` from start to start.
struct Run {
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  uint64_t stride_bytes = 0;  // 0 if count is 1, otherwise more than the size
  uint64_t count = 1;
  uint64_t end_bytes() const { return offset_bytes + (count - 1) * stride_bytes + size_bytes; }
  friend bool operator==(const Run&, const Run&) = default;
};

// The memory behind a pointer, and what the step does with it. The kernel gets the address of
// `offset_bytes`; no kernel accesses anything from `size_bytes` on behind it, padding and over-reads
// of vector tails included. The step itself touches the bytes of `touched`, which count from the
// pointer; empty stands for all of them. A workspace, whose contents are undefined, is `write`.
// `write` promises that what is touched is written by the steps that name it as theirs.
// Inside a loop all of that moves by `trip_stride_bytes` from trip to trip of the innermost one: a
// body reads slices of what it scans, and writes rows of what it stacks, where they lie.
struct BufferRef {
  Space space = Space::arena;
  Access access = Access::read;
  uint32_t index = 0;
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  std::vector<Run> touched = {};
  int64_t trip_stride_bytes = 0;
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
// Waits until every lane of the team stands at its barrier of the same ordinal.
struct Barrier {
  TeamId team;
  friend bool operator==(const Barrier&, const Barrier&) = default;
};
// Repeats the low `pattern_bytes` (1, 2, 4, 8) of `pattern` over the target.
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
// Runs `body` again and again: at most `max_trips` times (negative: any number), at most `count`
// times (an i64 of 8 bytes, read once; negative counts as 0), and as long as `condition` (a bool,
// read before each run) holds. The number of the trip is stored in `iteration` (i64, write) before
// each run.
struct Loop {
  int64_t max_trips = -1;
  std::optional<BufferRef> count;
  std::optional<BufferRef> condition;
  BufferRef iteration;
  BlockId body;
  // Whether it is known to run `max_trips` times.
  bool is_counted() const { return max_trips >= 0 && !count && !condition; }
  friend bool operator==(const Loop&, const Loop&) = default;
};

using Step = std::variant<RunKernel, Acquire, Send, Recv, Release, Barrier, Fill, Copy, RunHostNode,
                          If, Loop>;

// A range of the lane's arena in use from before step `first_step` to after step `last_step`, as
// `number_steps` counts them; of a team's memory, from epoch `first_step` to epoch `last_step`.
// Both steps are of one block; the last counts with all that its blocks hold, so that what is in
// use before a loop stays so in every trip.
struct Allocation {
  std::string name;  // for people; may be empty
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
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
  std::vector<Block> blocks;  // blocks[0] runs per request; the others belong to If and Loop
  friend bool operator==(const Lane&, const Lane&) = default;
};

// Core lanes [first_lane, first_lane + num_lanes) and the memory that they share.
struct Team {
  LaneId first_lane;
  uint32_t num_lanes = 0;
  uint64_t shared_bytes = 0;
  std::vector<Allocation> allocations;
  bool holds(size_t lane) const {
    return lane >= first_lane.index && lane - first_lane.index < num_lanes;
  }
  friend bool operator==(const Team&, const Team&) = default;
};

struct Plan {
  std::string model_name;
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  std::vector<Constant> constants;
  std::vector<Kernel> kernels;
  std::vector<Channel> channels;
  std::vector<Team> teams;  // a lane is in one at most
  uint32_t num_host_slots = 0;
  std::vector<Lane> lanes;  // cores in order, then at most one host lane
  friend bool operator==(const Plan&, const Plan&) = default;
};

// Calls `visit` for each reference a step itself makes; blocks of If and Loop are not entered.
void for_each_ref(const Step& step, const std::function<void(const BufferRef&)>& visit);
void for_each_ref(Step& step, const std::function<void(BufferRef&)>& visit);

// The steps of a lane in the order in which they stand: those of a block come behind the step that
// names the block. What no step names, or lies deeper than kMaxNestedBlocks, is left out.
struct StepNumbers {
  struct Range {
    uint32_t first = 0;
    uint32_t last = 0;  // of the steps in its blocks
    BlockId block;
  };
  std::vector<std::vector<uint32_t>> numbers;  // by block and step
  std::vector<Range> ranges;                   // by number
};
inline constexpr uint32_t kMaxNestedBlocks = 64;
StepNumbers number_steps(const Lane& lane);
// The blocks that a step names.
std::vector<BlockId> blocks_of(const Step& step);

uint32_t num_cores(const Plan& plan);
// The team of a lane; nullptr for a lane that works alone.
const Team* team_of(const Plan& plan, size_t lane);

// Adds lanes that do nothing until there are `cores` core lanes; the host lane stays the last.
// Plans of one model for several targets have lanes in common, and may need different numbers.
void add_idle_lanes(Plan& plan, uint32_t cores);

}  // namespace neuronc::plan
