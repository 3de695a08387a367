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
    visit(s.count);
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
