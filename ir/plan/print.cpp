// Prints plans; the grammar stands in text.h.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <string_view>

#include "ir/plan/text.h"

namespace neuronc::plan {
namespace {

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string_view text_of(Space space) {
  static constexpr std::string_view kNames[] = {"arena",  "shared",  "constant", "input",
                                                "output", "channel", "slot"};
  return kNames[static_cast<size_t>(space)];
}

std::string_view text_of(Access access) {
  static constexpr std::string_view kNames[] = {"?", "r", "w", "rw"};
  return kNames[static_cast<size_t>(access)];
}

std::string type_text(DType dtype, const std::vector<int64_t>& dims) {
  return fmt::format("{}[{}]", name(dtype), fmt::join(dims, ","));
}

std::string refs_text(const std::vector<BufferRef>& refs) {
  std::string result = "(";
  for (const BufferRef& ref : refs) {
    if (result.size() > 1) result += ", ";
    result += to_text(ref);
  }
  return result + ")";
}

std::string hosts_text(const std::vector<HostOperand>& operands) {
  std::string result = "(";
  for (const HostOperand& operand : operands) {
    if (result.size() > 1) result += ", ";
    result += to_text(operand.ref);
    if (operand.dtype != DType::none) result += " " + type_text(operand.dtype, operand.dims);
  }
  return result + ")";
}

struct StepPrinter {
  const Plan& plan;

  std::string operator()(const RunKernel& step) const {
    const bool is_known = step.kernel.index < plan.kernels.size();
    const std::string kernel = is_known ? "@" + plan.kernels[step.kernel.index].symbol
                                        : fmt::format("@<kernel {}>", step.kernel.index);
    return fmt::format("run {} tiles {}..{} {}", kernel, step.tile_begin, step.tile_end,
                       refs_text(step.buffers));
  }
  std::string operator()(const Acquire& step) const {
    return fmt::format("acquire {}", step.channel.index);
  }
  std::string operator()(const Send& step) const {
    return fmt::format("send {}", step.channel.index);
  }
  std::string operator()(const Recv& step) const {
    return fmt::format("recv {}", step.channel.index);
  }
  std::string operator()(const Release& step) const {
    return fmt::format("release {}", step.channel.index);
  }
  std::string operator()(const Barrier& step) const {
    return fmt::format("barrier {}", step.team.index);
  }
  std::string operator()(const Fill& step) const {
    return fmt::format("fill {} {:#x}:{}", refs_text({step.target}), step.pattern,
                       step.pattern_bytes);
  }
  std::string operator()(const Copy& step) const {
    return "copy " + refs_text({step.source, step.target});
  }
  std::string operator()(const RunHostNode& step) const {
    return fmt::format("host {} {} -> {}", step.host_node, hosts_text(step.operands),
                       hosts_text(step.results));
  }
  std::string operator()(const If& step) const {
    const std::string head =
        fmt::format("if {} {}", refs_text({step.condition}), step.then_block.index);
    return step.else_block ? fmt::format("{} else {}", head, step.else_block.index) : head;
  }
  std::string operator()(const Loop& step) const {
    std::string text = "loop";
    if (step.max_trips >= 0) text += fmt::format(" most {}", step.max_trips);
    if (step.count) text += " count " + refs_text({*step.count});
    if (step.condition) text += " while " + refs_text({*step.condition});
    return text + fmt::format(" trip {} {}", refs_text({step.iteration}), step.body.index);
  }
};

void print_tensor(std::string& out, std::string_view word, size_t index, const TensorSpec& tensor) {
  fmt::format_to(std::back_inserter(out), "  {} {} {} {} bytes {}", word, index,
                 quoted(tensor.name), type_text(tensor.dtype, tensor.dims), tensor.size_bytes);
  if (tensor.kind != Type::Kind::tensor) out += fmt::format(" kind {}", kind_name(tensor.kind));
  if (!tensor.is_ranked) out += " unranked";
  out += '\n';
}

std::string lanes_text(const std::vector<LaneId>& lanes) {
  std::string text;
  for (const LaneId lane : lanes) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", lane.index);
  }
  return text;
}

void print_allocations(std::string& out, const std::vector<Allocation>& list,
                       std::string_view unit) {
  for (const Allocation& a : list) {
    out += fmt::format("    alloc {} {}:{} {} {}..{}\n", quoted(a.name), a.offset_bytes,
                       a.size_bytes, unit, a.first_step, a.last_step);
  }
}

void print_tables(std::string& out, const Plan& plan) {
  const auto sink = std::back_inserter(out);
  for (size_t i = 0; i < plan.inputs.size(); ++i) print_tensor(out, "input", i, plan.inputs[i]);
  for (size_t i = 0; i < plan.outputs.size(); ++i) print_tensor(out, "output", i, plan.outputs[i]);
  for (size_t i = 0; i < plan.constants.size(); ++i) {
    const Constant& constant = plan.constants[i];
    fmt::format_to(sink, "  constant {} {} bytes {} offset {} hash {}\n", i, quoted(constant.name),
                   constant.size_bytes, constant.offset_bytes, to_hex(constant.hash));
  }
  for (size_t i = 0; i < plan.kernels.size(); ++i) {
    const Kernel& kernel = plan.kernels[i];
    fmt::format_to(sink, "  kernel {} @{} buffers {} tiles {}\n", i, kernel.symbol,
                   kernel.num_buffers, kernel.num_tiles);
  }
  for (size_t i = 0; i < plan.channels.size(); ++i) {
    const Channel& channel = plan.channels[i];
    fmt::format_to(sink, "  channel {} {} bytes {} depth {} lane {} -> {}\n", i,
                   quoted(channel.name), channel.slot_bytes, channel.depth,
                   lanes_text(channel.producers), lanes_text(channel.consumers));
  }
  for (size_t i = 0; i < plan.teams.size(); ++i) {
    const Team& team = plan.teams[i];
    fmt::format_to(sink, "  team {} lanes {} from {} shared {} {{\n", i, team.num_lanes,
                   team.first_lane.index, team.shared_bytes);
    print_allocations(out, team.allocations, "epochs");
    out += "  }\n";
  }
  fmt::format_to(sink, "  host_slots {}\n", plan.num_host_slots);
}

void print_steps(std::string& out, const Plan& plan, const std::vector<Step>& steps) {
  for (const Step& step : steps) out += "      " + to_text(plan, step) + "\n";
  out += "    }\n";
}

void print_lane(std::string& out, const Plan& plan, size_t index) {
  const Lane& lane = plan.lanes[index];
  const std::string kind =
      lane.kind == LaneKind::core ? fmt::format("core {}", lane.core) : std::string("host");
  out += fmt::format("  lane {} {} arena {} {{\n", index, kind, lane.arena_bytes);
  print_allocations(out, lane.allocations, "steps");
  for (size_t i = 0; i < lane.blocks.size(); ++i) {
    out += fmt::format("    block {} {{\n", i);
    print_steps(out, plan, lane.blocks[i].steps);
  }
  out += "  }\n";
}

}  // namespace

std::string to_text(const BufferRef& ref) {
  const bool has_index = ref.space != Space::arena;
  std::string result = fmt::format("{} {}", text_of(ref.access), text_of(ref.space));
  if (has_index) result += std::to_string(ref.index);
  if (ref.space == Space::host_slot) return result;
  result += fmt::format("+{}:{}", ref.offset_bytes, ref.size_bytes);
  for (const Run& run : ref.touched) {
    result += fmt::format("{}{}:{}", &run == ref.touched.data() ? " at " : " ", run.offset_bytes,
                          run.size_bytes);
    if (run.count != 1) result += fmt::format("*{}/{}", run.count, run.stride_bytes);
  }
  if (ref.trip_stride_bytes != 0) result += fmt::format(" step {}", ref.trip_stride_bytes);
  return result;
}

std::string to_text(const Plan& plan, const Step& step) {
  return std::visit(StepPrinter{plan}, step);
}

std::string to_text(const Plan& plan) {
  std::string out = fmt::format("plan {} {{\n", quoted(plan.model_name));
  print_tables(out, plan);
  for (size_t i = 0; i < plan.lanes.size(); ++i) print_lane(out, plan, i);
  return out + "}\n";
}

}  // namespace neuronc::plan
