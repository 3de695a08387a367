// Implements profile_costs.h.
#include "runtime/profile_costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace neuronc::runtime {
namespace {

using Json = nlohmann::json;

double number_at(const Json& json, const char* key) {
  const auto it = json.is_object() ? json.find(key) : json.end();
  return json.is_object() && it != json.end() && it->is_number() ? it->get<double>() : 0;
}

std::string text_at(const Json& json, const char* key) {
  const auto it = json.is_object() ? json.find(key) : json.end();
  const bool is_text = json.is_object() && it != json.end() && it->is_string();
  return is_text ? it->get<std::string>() : "";
}

// What the hardware model says of everything but kernels.
struct Rates {
  double streamed_bytes_per_ns = 0;
  double launch_ns = 0;
  double hand_off_ns = 0;
  double barrier_ns = 0;
  double copied_bytes_per_ns = 0;
};

double touched_bytes(const plan::BufferRef& ref) {
  if (ref.touched.empty()) return static_cast<double>(ref.size_bytes);
  double sum = 0;
  for (const plan::Run& run : ref.touched) {
    sum += static_cast<double>(run.size_bytes) * static_cast<double>(run.count);
  }
  return sum;
}

// The rows of neff.json's kernels that a lane's steps came from. Both are in execution order, and one
// symbol may stand for several; a lane has a step for each row of its core, or, where the row has fewer
// tiles than there are cores, for none of this kernel.
class KernelRows {
 public:
  KernelRows(const Json& kernels, const Json& cores, std::string_view isa, uint32_t core) {
    if (cores.is_array() && core < cores.size()) {
      const double weights = number_at(cores[core], "weight_bytes");
      if (weights > 0) streamed_share_ = number_at(cores[core], "streamed_bytes") / weights;
    }
    if (!kernels.is_array()) return;
    for (const Json& row : kernels) {
      if (text_at(row, "isa") != isa) continue;
      const double first = number_at(row, "core");
      const double count = std::max(number_at(row, "num_cores"), 1.0);
      if (core < first || core >= first + count) continue;
      rows_[text_at(row, "symbol")].push_back(&row);
    }
  }

  // Of the core's weights, what is read from memory for each request.
  double streamed_share() const { return streamed_share_; }

  const Json* next(const std::string& symbol) {
    const auto it = rows_.find(symbol);
    if (it == rows_.end()) return nullptr;
    size_t& used = num_used_[symbol];
    return used < it->second.size() ? it->second[used++] : nullptr;
  }

 private:
  std::map<std::string, std::vector<const Json*>> rows_;
  std::map<std::string, size_t> num_used_;
  double streamed_share_ = 0;
};

class CostReader {
 public:
  // `kernels` and `cores` outlive the reader.
  CostReader(const plan::Plan& plan, std::string_view isa, const Json& kernels, const Json& cores,
             const Rates& rates)
      : plan_(plan), isa_(isa), kernels_(kernels), cores_(cores), rates_(rates) {}

  std::vector<StepCost> read(const plan::Lane& lane) {
    lane_ = &lane;
    KernelRows rows(kernels_, cores_, isa_, lane.core);
    std::vector<StepCost> costs;
    for (const plan::Step& step : lane.blocks[0].steps) {
      costs.push_back(cost_of_step(step, rows));
    }
    return costs;
  }

 private:
  void describe(const plan::RunKernel& step, KernelRows& rows, StepCost& cost) const {
    const plan::Kernel& kernel = plan_.kernels[step.kernel.index];
    cost.kind = "kernel";
    cost.label = kernel.symbol;
    const Json* row = rows.next(kernel.symbol);
    if (row == nullptr) return;
    cost.variant = text_at(*row, "variant");
    if (const auto nodes = row->find("nodes"); nodes != row->end() && nodes->is_array()) {
      for (const Json& node : *nodes) cost.nodes.push_back(text_at(node, "name"));
    }
    const auto predicted = row->find("predicted");
    if (predicted == row->end()) return;
    const double share = kernel.num_tiles == 0
                             ? 1
                             : static_cast<double>(step.tile_end - step.tile_begin) /
                                   static_cast<double>(kernel.num_tiles);
    cost.flops = number_at(*predicted, "flops") * share;
    const double time_ns = number_at(*predicted, "time_ns");
    const double launch_ns = std::min(rates_.launch_ns, time_ns);
    if (time_ns <= 0) return;
    cost.predicted_ns = launch_ns + (time_ns - launch_ns) * share;
    // Weights that do not stay on chip are read while the kernel computes.
    if (rates_.streamed_bytes_per_ns > 0) {
      const double streamed_bytes =
          number_at(*predicted, "weight_bytes") * share * rows.streamed_share();
      cost.predicted_ns =
          std::max(cost.predicted_ns, launch_ns + streamed_bytes / rates_.streamed_bytes_per_ns);
    }
  }
  void describe(const plan::Acquire& step, KernelRows& /*rows*/, StepCost& cost) const {
    cost.label = channel_label("acquire", step.channel);
  }
  void describe(const plan::Send& step, KernelRows& /*rows*/, StepCost& cost) const {
    cost.label = channel_label("send", step.channel);
  }
  void describe(const plan::Recv& step, KernelRows& /*rows*/, StepCost& cost) const {
    cost.label = channel_label("recv", step.channel);
  }
  void describe(const plan::Release& step, KernelRows& /*rows*/, StepCost& cost) const {
    cost.label = channel_label("release", step.channel);
  }
  static void describe(const plan::Barrier& /*step*/, KernelRows& /*rows*/, StepCost& cost) {
    cost.label = "barrier";
  }
  void describe(const plan::Fill& step, KernelRows& /*rows*/, StepCost& cost) const {
    describe_move("fill", step.target, cost);
  }
  void describe(const plan::Copy& step, KernelRows& /*rows*/, StepCost& cost) const {
    describe_move("copy", step.source, cost);
  }
  std::string channel_label(const char* verb, plan::ChannelId channel) const {
    const std::string& name = plan_.channels[channel.index].name;
    return name.empty() ? fmt::format("{} {}", verb, channel.index)
                        : fmt::format("{} {}", verb, name);
  }
  void describe_move(const char* label, const plan::BufferRef& ref, StepCost& cost) const {
    cost.kind = "copy";
    cost.label = label;
    if (rates_.copied_bytes_per_ns > 0) {
      cost.predicted_ns = static_cast<double>(ref.size_bytes) / rates_.copied_bytes_per_ns;
    }
  }
  static void describe(const plan::RunHostNode& step, KernelRows& /*rows*/, StepCost& cost) {
    cost.kind = "host";
    cost.label = fmt::format("host node {}", step.host_node);
  }
  void describe(const plan::If& step, KernelRows& rows, StepCost& cost) const {
    cost.kind = "kernel";
    cost.label = "if";
    const StepCost taken = cost_of_block(step.then_block, rows);
    const StepCost other = step.else_block ? cost_of_block(step.else_block, rows) : StepCost();
    add_to(cost, taken.predicted_ns >= other.predicted_ns ? taken : other, 1);
    if (cost.nodes.empty()) cost.nodes = taken.nodes.empty() ? other.nodes : taken.nodes;
  }
  // As long as the trips that are known, or as one.
  void describe(const plan::Loop& step, KernelRows& rows, StepCost& cost) const {
    cost.kind = "kernel";
    cost.label = "loop";
    const double trips = step.is_counted() ? static_cast<double>(step.max_trips) : 1;
    add_to(cost, cost_of_block(step.body, rows), trips);
  }

  static void add_to(StepCost& cost, const StepCost& part, double times) {
    cost.predicted_ns += part.predicted_ns * times;
    cost.flops += part.flops * times;
    cost.bytes_read += part.bytes_read * times;
    cost.bytes_written += part.bytes_written * times;
    cost.nodes.insert(cost.nodes.end(), part.nodes.begin(), part.nodes.end());
  }

  // A block's steps together. Blocks nest as deep as the plan's verifier allows.
  StepCost cost_of_block(plan::BlockId block, KernelRows& rows) const {
    StepCost sum;
    for (const plan::Step& step : lane_->blocks[block.index].steps) {
      add_to(sum, cost_of_step(step, rows), 1);
    }
    return sum;
  }

  StepCost cost_of_step(const plan::Step& step, KernelRows& rows) const {
    StepCost cost;
    cost.kind = "wait";
    std::visit([&](const auto& s) { describe(s, rows, cost); }, step);
    if (cost.kind == "wait") return cost;
    plan::for_each_ref(step, [&](const plan::BufferRef& ref) {
      if (ref.access != plan::Access::write) cost.bytes_read += touched_bytes(ref);
      if (ref.access != plan::Access::read) cost.bytes_written += touched_bytes(ref);
    });
    return cost;
  }

  const plan::Plan& plan_;
  const plan::Lane* lane_ = nullptr;  // that is read
  std::string_view isa_;
  const Json& kernels_;
  const Json& cores_;
  const Rates& rates_;
};

// Lets the lanes run their steps in turns, as far as each can.
class Simulation {
 public:
  Simulation(const plan::Plan& plan, const std::vector<std::vector<StepCost>>& costs,
             const Rates& rates)
      : plan_(plan), costs_(costs), rates_(rates) {
    lanes_.resize(plan.lanes.size());
    // Requests come to the workers of several cores by a hand-over.
    const double start_ns = num_cores(plan) > 1 ? rates.hand_off_ns : 0;
    for (LaneClock& lane : lanes_) lane.now_ns = start_ns;
    sent_.resize(plan.channels.size());
    meetings_.resize(plan.teams.size());
  }

  std::vector<std::vector<PredictedStep>> run() {
    bool is_moving = true;
    while (is_moving) {
      is_moving = false;
      for (size_t lane = 0; lane < lanes_.size(); ++lane) is_moving |= advance(lane);
    }
    std::vector<std::vector<PredictedStep>> timeline;
    for (LaneClock& lane : lanes_) timeline.push_back(std::move(lane.steps));
    return timeline;
  }

 private:
  struct LaneClock {
    double now_ns = 0;
    size_t num_barriers = 0;
    bool has_arrived = false;
    std::vector<PredictedStep> steps;
  };
  struct Sent {
    size_t count = 0;
    double last_ns = 0;
  };
  struct Meeting {
    size_t num_arrived = 0;
    double last_ns = 0;
  };

  bool advance(size_t index) {
    LaneClock& lane = lanes_[index];
    const std::vector<plan::Step>& steps = plan_.lanes[index].blocks[0].steps;
    bool has_moved = false;
    while (lane.steps.size() < steps.size()) {
      const size_t i = lane.steps.size();
      double end_ns = lane.now_ns + costs_[index][i].predicted_ns;
      if (const auto* recv = std::get_if<plan::Recv>(&steps[i])) {
        const Sent& sent = sent_[recv->channel.index];
        const plan::Channel& channel = plan_.channels[recv->channel.index];
        if (sent.count < channel.producers.size()) break;
        const bool is_own = channel.producers.size() == 1 && channel.producers[0].index == index;
        end_ns = std::max(end_ns, sent.last_ns + (is_own ? 0 : rates_.hand_off_ns));
      } else if (const auto* barrier = std::get_if<plan::Barrier>(&steps[i])) {
        if (!meet(lane, barrier->team.index, end_ns)) break;
      } else if (const auto* send = std::get_if<plan::Send>(&steps[i])) {
        Sent& sent = sent_[send->channel.index];
        ++sent.count;
        sent.last_ns = std::max(sent.last_ns, end_ns);
      }
      lane.steps.push_back({lane.now_ns, end_ns});
      lane.now_ns = end_ns;
      has_moved = true;
    }
    return has_moved;
  }

  // False while others of the team are not there; otherwise when they part again.
  bool meet(LaneClock& lane, size_t team, double& end_ns) {
    std::vector<Meeting>& meetings = meetings_[team];
    if (meetings.size() <= lane.num_barriers) meetings.resize(lane.num_barriers + 1);
    Meeting& meeting = meetings[lane.num_barriers];
    if (!lane.has_arrived) {
      ++meeting.num_arrived;
      meeting.last_ns = std::max(meeting.last_ns, lane.now_ns);
      lane.has_arrived = true;
    }
    if (meeting.num_arrived < plan_.teams[team].num_lanes) return false;
    end_ns = meeting.last_ns + rates_.barrier_ns;
    lane.has_arrived = false;
    ++lane.num_barriers;
    return true;
  }

  const plan::Plan& plan_;
  const std::vector<std::vector<StepCost>>& costs_;
  const Rates& rates_;
  std::vector<LaneClock> lanes_;
  std::vector<Sent> sent_;                      // by channel
  std::vector<std::vector<Meeting>> meetings_;  // by team and ordinal
};

double latency_ns(const std::vector<std::vector<PredictedStep>>& timeline) {
  double end_ns = 0;
  for (const std::vector<PredictedStep>& lane : timeline) {
    if (!lane.empty()) end_ns = std::max(end_ns, lane.back().end_ns);
  }
  return end_ns;
}

}  // namespace

ProfileCosts profile_costs(const plan::Plan& plan, std::string_view isa, std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  const Json root = parsed.is_object() ? parsed : Json::object();
  const Json partition = root.value("partition", Json::object());
  ProfileCosts result;
  result.hardware = text_at(partition, "hardware");
  result.strategy = text_at(partition, "strategy");
  result.predicted_period_ns = number_at(partition, "period_ns");
  result.cores_per_stage =
      std::max<int64_t>(1, static_cast<int64_t>(number_at(partition, "cores_per_stage")));
  const Rates rates{number_at(partition, "dram_bytes_per_s_per_core") * 1e-9,
                    number_at(partition, "launch_ns"), number_at(partition, "hand_off_ns"),
                    number_at(partition, "barrier_ns"),
                    number_at(partition, "on_chip_bytes_per_s") * 1e-9};
  const Json kernels = root.value("kernels", Json::array());
  const Json cores =
      partition.is_object() ? partition.value("cores", Json::array()) : Json::array();
  CostReader reader(plan, isa, kernels, cores, rates);
  for (const plan::Lane& lane : plan.lanes) result.lanes.push_back(reader.read(lane));
  result.timeline = Simulation(plan, result.lanes, rates).run();
  result.predicted_latency_ns = latency_ns(result.timeline);
  if (num_cores(plan) > 1) result.predicted_latency_ns += rates.hand_off_ns;
  return result;
}

}  // namespace neuronc::runtime
