// Small queries on plans.
#include "ir/plan/plan.h"

#include <algorithm>
#include <utility>

namespace neuronc::plan {

bool is_static(const TensorSpec& tensor) {
  const bool has_unknown_dim =
      std::any_of(tensor.dims.begin(), tensor.dims.end(), [](int64_t dim) { return dim < 0; });
  return tensor.kind == Type::Kind::tensor && tensor.is_ranked && !has_unknown_dim &&
         tensor.dtype != DType::string;
}

namespace {
constexpr std::pair<Type::Kind, std::string_view> kKinds[] = {
    {Type::Kind::tensor, "tensor"},
    {Type::Kind::sequence, "sequence"},
    {Type::Kind::optional, "optional"},
    {Type::Kind::optional_sequence, "optional_sequence"},
};
}  // namespace

std::string_view kind_name(Type::Kind kind) {
  for (const auto& [known, name] : kKinds) {
    if (known == kind) return name;
  }
  return "none";
}

Type::Kind kind_from_name(std::string_view name) {
  for (const auto& [kind, known] : kKinds) {
    if (known == name) return kind;
  }
  return Type::Kind::none;
}

namespace {

struct RefVisitor {
  const std::function<void(BufferRef&)>& visit;
  void operator()(RunKernel& s) const {
    for (BufferRef& ref : s.buffers) visit(ref);
  }
  void operator()(Acquire&) const {}
  void operator()(Send&) const {}
  void operator()(Recv&) const {}
  void operator()(Release&) const {}
  void operator()(Barrier&) const {}
  void operator()(Fill& s) const { visit(s.target); }
  void operator()(Copy& s) const {
    visit(s.source);
    visit(s.target);
  }
  void operator()(RunHostNode& s) const {
    for (HostOperand& operand : s.operands) visit(operand.ref);
    for (HostOperand& result : s.results) visit(result.ref);
  }
  void operator()(If& s) const { visit(s.condition); }
  void operator()(Loop& s) const {
    if (s.count) visit(*s.count);
    if (s.condition) visit(*s.condition);
    visit(s.iteration);
  }
};

}  // namespace

void for_each_ref(Step& step, const std::function<void(BufferRef&)>& visit) {
  std::visit(RefVisitor{visit}, step);
}

void for_each_ref(const Step& step, const std::function<void(const BufferRef&)>& visit) {
  // The visitor sees every reference as constant, so that none is changed.
  for_each_ref(const_cast<Step&>(step), [&visit](BufferRef& ref) { visit(ref); });
}

std::vector<BlockId> blocks_of(const Step& step) {
  std::vector<BlockId> blocks;
  if (const auto* branch = std::get_if<If>(&step)) {
    blocks.push_back(branch->then_block);
    if (branch->else_block) blocks.push_back(branch->else_block);
  } else if (const auto* loop = std::get_if<Loop>(&step)) {
    blocks.push_back(loop->body);
  }
  return blocks;
}

namespace {

// The lane may be hostile: a block counts once, and only behind the block that names it.
class StepCounter {
 public:
  StepCounter(const Lane& lane, StepNumbers& result)
      : lane_(lane), result_(result), is_counted_(lane.blocks.size(), false) {
    result_.numbers.resize(lane.blocks.size());
  }

  void count(BlockId block, uint32_t depth) {
    if (block.index >= lane_.blocks.size() || is_counted_[block.index]) return;
    if (depth >= kMaxNestedBlocks) return;
    is_counted_[block.index] = true;
    for (const Step& step : lane_.blocks[block.index].steps) {
      const auto number = static_cast<uint32_t>(result_.ranges.size());
      result_.numbers[block.index].push_back(number);
      result_.ranges.push_back({number, number, block});
      for (BlockId inner : blocks_of(step)) {
        if (inner.index > block.index) count(inner, depth + 1);
      }
      result_.ranges[number].last = static_cast<uint32_t>(result_.ranges.size()) - 1;
    }
  }

 private:
  const Lane& lane_;
  StepNumbers& result_;
  std::vector<bool> is_counted_;
};

}  // namespace

StepNumbers number_steps(const Lane& lane) {
  StepNumbers result;
  StepCounter(lane, result).count(BlockId(0), 0);
  return result;
}

uint32_t num_cores(const Plan& plan) {
  return static_cast<uint32_t>(
      std::count_if(plan.lanes.begin(), plan.lanes.end(),
                    [](const Lane& lane) { return lane.kind == LaneKind::core; }));
}

void add_idle_lanes(Plan& plan, uint32_t cores) {
  const uint32_t present = num_cores(plan);
  if (cores <= present) return;
  const uint32_t added = cores - present;
  std::vector<Lane> idle(added);
  for (uint32_t i = 0; i < added; ++i) {
    idle[i].core = present + i;
    idle[i].blocks.emplace_back();
  }
  plan.lanes.insert(plan.lanes.begin() + present, idle.begin(), idle.end());
  const auto moved = [&](LaneId& lane) {
    if (lane.index >= present) lane.index += added;
  };
  for (Channel& channel : plan.channels) {
    for (LaneId& producer : channel.producers) moved(producer);
    for (LaneId& consumer : channel.consumers) moved(consumer);
  }
}

const Team* team_of(const Plan& plan, size_t lane) {
  const auto it = std::find_if(plan.teams.begin(), plan.teams.end(),
                               [lane](const Team& team) { return team.holds(lane); });
  return it == plan.teams.end() ? nullptr : &*it;
}

}  // namespace neuronc::plan
