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

uint32_t num_cores(const Plan& plan) {
  return static_cast<uint32_t>(
      std::count_if(plan.lanes.begin(), plan.lanes.end(),
                    [](const Lane& lane) { return lane.kind == LaneKind::core; }));
}

void add_idle_lanes(Plan& plan, uint32_t cores) {
  const uint32_t present = num_cores(plan);
  if (cores <= present) return;
  const uint32_t added = cores - present;
  // All core lanes meet at every barrier.
  Block block;
  if (present > 0 && !plan.lanes[0].blocks.empty()) {
    for (const Step& step : plan.lanes[0].blocks[0].steps) {
      if (std::holds_alternative<Barrier>(step)) block.steps.push_back(step);
    }
  }
  std::vector<Lane> idle(added);
  for (uint32_t i = 0; i < added; ++i) {
    idle[i].core = present + i;
    idle[i].blocks.push_back(block);
  }
  plan.lanes.insert(plan.lanes.begin() + present, idle.begin(), idle.end());
  const auto moved = [&](LaneId& lane) {
    if (lane.index >= present) lane.index += added;
  };
  for (Channel& channel : plan.channels) {
    moved(channel.producer);
    for (LaneId& consumer : channel.consumers) moved(consumer);
  }
}

}  // namespace neuronc::plan
