// Rules on tables and on single steps; the rules' numbers stand in verify.h.
#include "ir/plan/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>

#include "ir/plan/kernel_abi.h"
#include "ir/plan/text.h"
#include "ir/plan/verify_internal.h"

namespace neuronc::plan {
namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 46;  // far above any memory, far below overflow
constexpr uint32_t kMaxDepth = 1024;

// The bytes of a static tensor; nothing if they do not fit.
std::optional<uint64_t> dense_bytes(DType dtype, const std::vector<int64_t>& dims) {
  uint64_t size = static_cast<uint64_t>(size_bytes(dtype));
  for (int64_t dim : dims) {
    if (dim < 0) return std::nullopt;
    if (dim != 0 && size > kMaxBytes / static_cast<uint64_t>(dim)) return std::nullopt;
    size *= static_cast<uint64_t>(dim);
  }
  return size;
}

class TableVerifier {
 public:
  TableVerifier(const Plan& plan, Errors& errors) : plan_(plan), errors_(errors) {}

  void run() {
    check_tensors("input", plan_.inputs);
    check_tensors("output", plan_.outputs);
    check_constants();
    check_kernels();
    check_channels();
    check_lanes();
    check_teams();
  }

 private:
  void check_tensors(std::string_view what, const std::vector<TensorSpec>& tensors) {
    std::set<std::string_view> names;
    for (const TensorSpec& tensor : tensors) {
      const auto error = [&](std::string_view text) {
        errors_.add(fmt::format("{} `{}` {}", what, tensor.name, text));
      };
      if (tensor.name.empty()) error("has no name");
      if (!names.insert(tensor.name).second) error("is there twice");
      if (tensor.dtype == DType::none) error("has no dtype");
      if (is_static(tensor)) {
        const std::optional<uint64_t> size = dense_bytes(tensor.dtype, tensor.dims);
        if (!size || *size != tensor.size_bytes) error("has a size that is not that of its dims");
      } else if (tensor.size_bytes != 0) {
        error("is sized at run time but states a size");
      } else if (tensor.kind == Type::Kind::none) {
        error("is of no kind");
      } else if (!tensor.is_ranked && !tensor.dims.empty()) {
        error("has dims without a rank");
      } else if (what == "input" && tensor.kind == Type::Kind::tensor &&
                 (tensor.dtype != DType::string || !tensor.is_ranked)) {
        error("has an unknown dim or rank");
      }
    }
  }

  void check_constants() {
    for (size_t i = 0; i < plan_.constants.size(); ++i) {
      const Constant& constant = plan_.constants[i];
      if (constant.offset_bytes % kBufferAlignment != 0 || constant.offset_bytes > kMaxBytes ||
          constant.size_bytes > kMaxBytes) {
        errors_.add(fmt::format("constant {} has a wrong offset or size", i));
      }
    }
  }

  void check_kernels() {
    std::set<std::string_view> symbols;
    for (const Kernel& kernel : plan_.kernels) {
      if (kernel.symbol.empty()) errors_.add("a kernel has no symbol");
      if (!symbols.insert(kernel.symbol).second) {
        errors_.add(fmt::format("kernel @{} is there twice", kernel.symbol));
      }
      if (kernel.num_tiles < 0) {
        errors_.add(fmt::format("kernel @{} has a negative number of tiles", kernel.symbol));
      }
    }
  }

  void check_channels() {
    for (size_t i = 0; i < plan_.channels.size(); ++i) {
      const Channel& channel = plan_.channels[i];
      const auto error = [&](std::string_view text) {
        errors_.add(fmt::format("channel {} {}", i, text));
      };
      if (channel.slot_bytes > kMaxBytes) error("is too large");
      if (channel.depth < 1 || channel.depth > kMaxDepth) error("has a depth outside [1, 1024]");
      check_lane_list(channel.producers, "producer", error);
      check_lane_list(channel.consumers, "consumer", error);
      if (channel.producers.size() < 2) continue;
      const Team* team = team_of(plan_, channel.producers[0].index);
      const bool is_team =
          std::all_of(channel.producers.begin(), channel.producers.end(),
                      [&](LaneId lane) { return team != nullptr && team->holds(lane.index); });
      if (!is_team) error("has several producers that are no team");
    }
  }

  template <class Error>
  void check_lane_list(const std::vector<LaneId>& lanes, std::string_view what,
                       const Error& error) const {
    if (lanes.empty()) error(fmt::format("has no {}", what));
    for (size_t i = 0; i < lanes.size(); ++i) {
      if (lanes[i].index >= plan_.lanes.size())
        error(fmt::format("has a {} that is no lane", what));
      if (i > 0 && lanes[i - 1] >= lanes[i]) error(fmt::format("has {}s that do not ascend", what));
    }
  }

  void check_teams() {
    std::vector<bool> is_taken(plan_.lanes.size(), false);
    for (size_t i = 0; i < plan_.teams.size() && !errors_.is_full(); ++i) {
      const Team& team = plan_.teams[i];
      const auto error = [&](std::string_view text) {
        errors_.add(fmt::format("team {} {}", i, text));
      };
      const uint64_t end = uint64_t{team.first_lane.index} + team.num_lanes;
      if (team.num_lanes < 2 || end > num_cores(plan_)) {
        error("is not of two or more core lanes");
        continue;
      }
      for (size_t lane = team.first_lane.index; lane < end; ++lane) {
        if (is_taken[lane]) error("has a lane of another team");
        is_taken[lane] = true;
      }
      if (team.shared_bytes > kMaxBytes) error("has too much shared memory");
      check_allocations(
          fmt::format("team {}", i), team.allocations, team.shared_bytes,
          [end = num_epochs(team)](const Allocation& a) { return a.last_step < end; });
    }
  }

  size_t num_epochs(const Team& team) const {
    const Lane& lane = plan_.lanes[team.first_lane.index];
    if (lane.blocks.empty()) return 1;
    const std::vector<Step>& steps = lane.blocks[0].steps;
    return 1 + static_cast<size_t>(std::count_if(steps.begin(), steps.end(), [](const Step& step) {
             return std::holds_alternative<Barrier>(step);
           }));
  }

  void check_lanes() {
    if (plan_.lanes.empty()) errors_.add("there is no lane");
    for (size_t i = 0; i < plan_.lanes.size(); ++i) {
      const Lane& lane = plan_.lanes[i];
      const bool is_last = i + 1 == plan_.lanes.size();
      if (lane.kind == LaneKind::host ? !is_last : lane.core != i) {
        errors_.add(fmt::format("lane {} is out of order: cores first, the host last", i));
      }
      if (lane.blocks.empty()) errors_.add(fmt::format("lane {} has no block", i));
      if (lane.arena_bytes > kMaxBytes)
        errors_.add(fmt::format("lane {}: the arena is too large", i));
      const StepNumbers steps = number_steps(lane);
      std::set<std::pair<uint32_t, uint32_t>> ends;  // block, number
      for (const StepNumbers::Range& range : steps.ranges) {
        ends.emplace(range.block.index, range.last);
      }
      const auto are_steps = [&](const Allocation& a) {
        return a.first_step < steps.ranges.size() &&
               ends.contains({steps.ranges[a.first_step].block.index, a.last_step});
      };
      check_allocations(fmt::format("lane {}", i), lane.allocations, lane.arena_bytes, are_steps);
    }
  }

  // Of a lane's arena in steps, or of a team's memory in epochs: `are_steps` says whether those of
  // an allocation are there.
  void check_allocations(const std::string& where, const std::vector<Allocation>& allocations,
                         uint64_t memory_bytes,
                         const std::function<bool(const Allocation&)>& are_steps) {
    std::vector<const Allocation*> sorted;
    for (size_t i = 0; i < allocations.size(); ++i) {
      const Allocation& a = allocations[i];
      const auto error = [&](std::string_view text) {
        errors_.add(fmt::format("{} allocation {} `{}` {}", where, i, a.name, text));
      };
      if (a.offset_bytes % kBufferAlignment != 0) error("does not start on 64 bytes");
      if (a.size_bytes > memory_bytes || a.offset_bytes > memory_bytes - a.size_bytes) {
        error("lies outside its memory");
      }
      if (a.first_step > a.last_step || !are_steps(a)) {
        error("names steps that are not there");
      }
      sorted.push_back(&a);
    }
    std::sort(sorted.begin(), sorted.end(), [](const Allocation* a, const Allocation* b) {
      return a->offset_bytes < b->offset_bytes;
    });
    for (size_t i = 0; i < sorted.size() && !errors_.is_full(); ++i) {
      check_collisions(where, sorted, i);
    }
  }

  void check_collisions(const std::string& where, const std::vector<const Allocation*>& sorted,
                        size_t i) {
    const Allocation& a = *sorted[i];
    for (size_t j = i + 1; j < sorted.size(); ++j) {
      const Allocation& b = *sorted[j];
      if (b.offset_bytes - a.offset_bytes >= a.size_bytes) return;
      const bool meets = a.first_step <= b.last_step && b.first_step <= a.last_step;
      if (b.size_bytes > 0 && meets) {
        errors_.add(
            fmt::format("{}: allocations `{}` and `{}` are live together and share bytes "
                        "from {}",
                        where, a.name, b.name, b.offset_bytes));
      }
    }
  }

  const Plan& plan_;
  Errors& errors_;
};

// Rules 5, 6, 11 and 13: each step by itself.
class StepVerifier {
 public:
  StepVerifier(const Plan& plan, Errors& errors) : plan_(plan), errors_(errors) {}

  void run() {
    for (lane_ = 0; lane_ < plan_.lanes.size(); ++lane_) {
      const std::vector<Block>& blocks = plan_.lanes[lane_].blocks;
      nests_.assign(blocks.size(), {});
      for (block_ = 0; block_ < static_cast<int64_t>(blocks.size()); ++block_) {
        const std::string list = block_ == 0 ? "" : fmt::format("block {} ", block_);
        check_list(list, blocks[static_cast<size_t>(block_)].steps);
      }
    }
  }

 private:
  // Ranges that all references of a plan may touch: verifying takes time and memory for each.
  static constexpr uint64_t kMaxRanges = uint64_t{1} << 22;

  void check_list(std::string_view list, const std::vector<Step>& steps) {
    for (size_t i = 0; i < steps.size() && !errors_.is_full(); ++i) {
      where_ = [this, list, i, &steps] { return place(plan_, lane_, list, i, steps[i]); };
      for_each_ref(steps[i], [this](const BufferRef& ref) { check_ref(ref); });
      std::visit([this](const auto& step) { check(step); }, steps[i]);
    }
  }

  void error(std::string_view text) { errors_.add(fmt::format("{}: {}", where_(), text)); }

  bool is_host() const { return plan_.lanes[lane_].kind == LaneKind::host; }

  // The size of a space, or nothing if the reference's index names none.
  std::optional<uint64_t> space_bytes(const BufferRef& ref) const {
    const auto at = [&](const auto& list, auto member) -> std::optional<uint64_t> {
      if (ref.index >= list.size()) return std::nullopt;
      return list[ref.index].*member;
    };
    switch (ref.space) {
      case Space::arena:
        return plan_.lanes[lane_].arena_bytes;
      case Space::shared:
        if (ref.index >= plan_.teams.size()) return std::nullopt;
        return plan_.teams[ref.index].shared_bytes;
      case Space::constant:
        return at(plan_.constants, &Constant::size_bytes);
      case Space::input:
        return at(plan_.inputs, &TensorSpec::size_bytes);
      case Space::output:
        return at(plan_.outputs, &TensorSpec::size_bytes);
      case Space::channel:
        return at(plan_.channels, &Channel::slot_bytes);
      case Space::host_slot:
        return ref.index < plan_.num_host_slots ? std::optional<uint64_t>(0) : std::nullopt;
    }
    return std::nullopt;
  }

  void check_ref(const BufferRef& ref) {
    const std::optional<uint64_t> size = space_bytes(ref);
    const auto ref_error = [&](std::string_view text) {
      error(fmt::format("`{}` {}", to_text(ref), text));
    };
    if (!size || (ref.space == Space::arena && ref.index != 0)) return ref_error("does not exist");
    if (ref.size_bytes > *size || ref.offset_bytes > *size - ref.size_bytes) {
      return ref_error("lies outside its space");
    }
    if (ref.trip_stride_bytes != 0 && !check_trips(ref, *size)) {
      return ref_error("moves out of its space, or by trips that no loop bounds");
    }
    const bool is_read_only = ref.space == Space::constant || ref.space == Space::input;
    if (writes(ref) && is_read_only) return ref_error("is written, but may only be read");
    if (ref.space == Space::host_slot && !is_host()) ref_error("is used outside the host lane");
    if (ref.space == Space::shared && !plan_.teams[ref.index].holds(lane_)) {
      ref_error("is used outside its team");
    }
    for (const Run& run : ref.touched) {
      const bool is_one = run.count == 1 && run.stride_bytes == 0;
      const bool is_run = is_one || (run.count > 1 && run.stride_bytes > run.size_bytes &&
                                     run.count <= ref.size_bytes / run.stride_bytes + 1);
      if (!is_run || run.size_bytes == 0 || run.size_bytes > ref.size_bytes ||
          run.offset_bytes > ref.size_bytes || run.end_bytes() > ref.size_bytes) {
        return ref_error("touches what is not inside it");
      }
      num_ranges_ += run.count;
    }
    if (num_ranges_ > kMaxRanges) ref_error("is one of references that touch too many ranges");
  }

  // Whether a reference that moves stays inside its space, which has `space_bytes`, in all trips.
  bool check_trips(const BufferRef& ref, uint64_t space_bytes) {
    const int64_t max_trips = nest().max_trips;
    const bool can_move = ref.space != Space::host_slot && ref.touched.empty();
    if (!can_move || max_trips < 0) return false;
    const __int128 last =
        static_cast<__int128>(ref.offset_bytes) +
        static_cast<__int128>(std::max<int64_t>(max_trips - 1, 0)) * ref.trip_stride_bytes;
    // What is written row by row is noted as so many ranges.
    num_ranges_ += static_cast<uint64_t>(max_trips);
    return last >= 0 && last + static_cast<__int128>(ref.size_bytes) <= space_bytes &&
           num_ranges_ <= kMaxRanges;
  }

  void check(const RunKernel& step) {
    if (step.kernel.index >= plan_.kernels.size()) return error("the kernel does not exist");
    const Kernel& kernel = plan_.kernels[step.kernel.index];
    if (step.buffers.size() != kernel.num_buffers) {
      error(fmt::format("the kernel takes {} buffers", kernel.num_buffers));
    }
    const bool is_good = 0 <= step.tile_begin && step.tile_begin <= step.tile_end &&
                         step.tile_end <= kernel.num_tiles;
    if (!is_good) error(fmt::format("the kernel has {} tiles", kernel.num_tiles));
    for (const BufferRef& ref : step.buffers) check_no_slot(ref);
  }

  void check(const Acquire& step) { check_channel(step.channel); }
  void check(const Send& step) { check_channel(step.channel); }
  void check(const Recv& step) { check_channel(step.channel); }
  void check(const Release& step) { check_channel(step.channel); }
  void check_channel(ChannelId channel) {
    if (channel.index >= plan_.channels.size()) error("the channel does not exist");
    if (block_ != 0) error("channel steps stand in block 0 only");
  }

  void check(const Barrier& step) {
    if (block_ != 0) error("barriers stand in block 0 only");
    if (step.team.index >= plan_.teams.size() || !plan_.teams[step.team.index].holds(lane_)) {
      error("the barrier is not of the lane's team");
    }
  }

  void check(const Fill& step) {
    const uint32_t bytes = step.pattern_bytes;
    if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8) {
      return error("the pattern takes 1, 2, 4 or 8 bytes");
    }
    if (step.target.size_bytes % bytes != 0) error("the pattern does not divide the target");
    if (step.target.access != Access::write) error("the target of a fill is written");
    check_is_whole(step.target);
    check_no_slot(step.target);
  }

  void check(const Copy& step) {
    const BufferRef& a = step.source;
    const BufferRef& b = step.target;
    if (a.access != Access::read || b.access != Access::write) error("a copy reads and writes");
    if (a.size_bytes != b.size_bytes) error("source and target differ in size");
    check_is_whole(a);
    check_is_whole(b);
    const auto [a_begin, a_end] = extent(a);
    const auto [b_begin, b_end] = extent(b);
    const bool overlaps =
        a.space == b.space && a.index == b.index && a_begin < b_end && b_begin < a_end;
    if (overlaps) error("source and target overlap");
    check_no_slot(a);
    check_no_slot(b);
  }

  // The bytes of its space between which a reference moves.
  std::pair<uint64_t, uint64_t> extent(const BufferRef& ref) const {
    const __int128 begin = ref.offset_bytes, end = begin + ref.size_bytes;
    const __int128 moved =
        static_cast<__int128>(std::max<int64_t>(nest().max_trips - 1, 0)) * ref.trip_stride_bytes;
    const auto clamped = [](__int128 at) {
      return static_cast<uint64_t>(std::clamp<__int128>(at, 0, UINT64_MAX));
    };
    return {clamped(std::min(begin, begin + moved)), clamped(std::max(end, end + moved))};
  }

  void check_is_whole(const BufferRef& ref) {
    if (!ref.touched.empty()) error("only kernels touch parts of a reference");
  }

  void check_no_slot(const BufferRef& ref) {
    if (ref.space == Space::host_slot) error("host slots are for host nodes");
  }

  void check(const RunHostNode& step) {
    if (!is_host()) error("host nodes run on the host lane");
    for (const HostOperand& operand : step.operands) check_operand(operand, Access::read);
    for (const HostOperand& result : step.results) check_operand(result, Access::write);
  }

  void check_operand(const HostOperand& operand, Access access) {
    const BufferRef& ref = operand.ref;
    if (ref.access != access) error("operands are read, results are written");
    if (ref.space == Space::host_slot) {
      if (block_ > 0 && access == Access::write) error("slots are written in block 0 only");
      return;
    }
    if (!space_bytes(ref)) return;
    const bool is_run_time_tensor =
        (ref.space == Space::input && !is_static(plan_.inputs[ref.index])) ||
        (ref.space == Space::output && !is_static(plan_.outputs[ref.index]));
    if (is_run_time_tensor) return;
    const std::optional<uint64_t> size = dense_bytes(operand.dtype, operand.dims);
    if (operand.dtype == DType::none || operand.dtype == DType::string || !size ||
        *size != ref.size_bytes) {
      error(fmt::format("`{}` does not have the size of its dims and dtype", to_text(ref)));
    }
  }

  void check(const If& step) {
    if (step.condition.size_bytes != 1 || step.condition.access != Access::read) {
      error("the condition is one byte that is read");
    }
    check_no_slot(step.condition);
    check_block(step.then_block, nest().max_trips);
    if (step.else_block) check_block(step.else_block, nest().max_trips);
  }

  void check(const Loop& step) {
    const auto is_read = [](const BufferRef& ref, uint64_t size_bytes) {
      return ref.size_bytes == size_bytes && ref.access == Access::read;
    };
    if ((step.count && !is_read(*step.count, 8)) || step.iteration.size_bytes != 8 ||
        step.iteration.access != Access::write) {
      error("count (read) and iteration (written) are 8 bytes each");
    }
    if (step.condition && !is_read(*step.condition, 1)) {
      error("the condition is one byte that is read");
    }
    const Step all(step);
    for_each_ref(all, [this](const BufferRef& ref) {
      check_no_slot(ref);
      check_is_whole(ref);
      if (ref.trip_stride_bytes != 0) error("what a loop itself reads and writes does not move");
    });
    if (step.max_trips < 0 && !step.count && !step.condition) error("nothing ends the loop");
    check_block(step.body, std::max<int64_t>(step.max_trips, -1));
  }

  // Where a block stands: how deep, and how often its innermost loop runs at most (-1: any number).
  struct Nest {
    uint32_t depth = 0;
    int64_t max_trips = -1;
  };
  const Nest& nest() const { return nests_[static_cast<size_t>(block_)]; }

  void check_block(BlockId block, int64_t max_trips) {
    const auto num_blocks = static_cast<int64_t>(plan_.lanes[lane_].blocks.size());
    if (block.index >= num_blocks || int64_t{block.index} <= block_) {
      return error("the block does not exist later in the lane");
    }
    if (!named_blocks_.insert({lane_, block.index}).second) {
      error("the block belongs to two steps");
    }
    nests_[block.index] = {nest().depth + 1, max_trips};
    if (nest().depth + 1 >= kMaxNestedBlocks) error("blocks nest too deep");
  }

  const Plan& plan_;
  Errors& errors_;
  size_t lane_ = 0;
  int64_t block_ = 0;
  uint64_t num_ranges_ = 0;
  std::vector<Nest> nests_;  // of the lane's blocks; those that name others come before them
  std::set<std::pair<size_t, uint32_t>> named_blocks_;
  std::function<std::string()> where_;
};

}  // namespace

std::string place(const Plan& plan, size_t lane, std::string_view list, size_t step_index,
                  const Step& step) {
  return fmt::format("lane {} {}step {} (`{}`)", lane, list, step_index, to_text(plan, step));
}

std::vector<std::string> verify(const Plan& plan) {
  Errors errors;
  TableVerifier(plan, errors).run();
  if (errors.is_empty()) StepVerifier(plan, errors).run();
  if (errors.is_empty()) verify_flow(plan, errors);
  return errors.take();
}

}  // namespace neuronc::plan
